"""Torch, the full pass in arrays and the cached step: one answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.errors import BundleError
from frontdesk.intent.batches import pad_requests
from frontdesk.intent.engines.arrays import ArrayNetwork, opened_at
from frontdesk.intent.engines.eager import EagerEngine
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.live import LONGEST_PASS, LiveSessions
from frontdesk.intent.network_config import NetworkConfig
from frontdesk.intent.sessions import Session
from frontdesk.intent.stacking import Stacking
from frontdesk.intent.tokens import FIRST_TOKEN
from tests.intent_sessions import (
    INTENTS,
    LINES,
    OPERATORS,
    TOKENS,
    made_session,
    made_sessions,
    saved,
    small_config,
    small_network,
)

CLOSE = 1e-4
tokens = st.lists(st.integers(1, TOKENS - 1), min_size=0, max_size=30)
who = st.fixed_dictionaries({"operator": st.integers(-1, OPERATORS - 1), "line": st.integers(-1, LINES - 1)})
sizes = st.sampled_from([{}, {"window": 1}, {"window": 2, "memory": 3}, {"memory": 1}, {"layers": 3, "memory": 9}])


def arrays_of(config: NetworkConfig) -> ArrayNetwork:
    """Return the drawn network of a config in arrays."""
    return ArrayNetwork(config, {name: value.numpy() for name, value in small_network(config).state_dict().items()})


def reference(network: ArrayNetwork, requests: list[Session]) -> np.ndarray:
    """Return the logits of the full pass."""
    padded = pad_requests(requests)
    at = np.arange(len(requests)), padded.lengths
    stream, opened = network.full(padded)[0][at], opened_at(padded.tokens, network.config.intents)[at]
    return network.read(stream, padded.operator, padded.line, opened)


@given(st.lists(tokens, min_size=1, max_size=4), who, sizes)
@settings(max_examples=20)
def test_arrays_are_torch(rows: list[list[int]], asker: dict[str, int], size: dict[str, int]) -> None:
    import torch

    from frontdesk.intent.training import to_device

    config = small_config(**size)
    padded = pad_requests([made_session(each, **asker) for each in rows])
    with torch.no_grad():
        expected = small_network(config)(to_device(padded, torch.device("cpu"))).numpy()
    network = arrays_of(config)
    opened = opened_at(padded.tokens, INTENTS)
    found = network.read(network.full(padded)[0], padded.asking_operator, padded.asking_line, opened)
    for row, length in enumerate(padded.lengths):
        np.testing.assert_allclose(found[row, : length + 1], expected[row, : length + 1], atol=CLOSE, rtol=CLOSE)


@given(st.lists(st.tuples(tokens, who), min_size=1, max_size=5), st.integers(1, 7), sizes)
@settings(max_examples=40)
def test_the_cached_step_is_the_full_pass(
    sessions: list[tuple[list[int], dict[str, int]]], stride: int, size: dict[str, int]
) -> None:
    """Sessions grow side by side, each at its own pace, in a memory that is too small for all of them."""
    network = arrays_of(small_config(**size))
    live = LiveSessions(network, max_sessions=max(1, len(sessions) - 1))
    for turn in range(0, 31, stride):
        requests = [
            made_session(rows[: max(0, turn - place)], name=str(place), **asker)
            for place, (rows, asker) in enumerate(sessions)
        ]
        found = live.logits(requests, now=float(turn))
        np.testing.assert_allclose(found, reference(network, requests), atol=CLOSE, rtol=CLOSE)
    assert len(live) <= max(1, len(sessions) - 1)


@given(tokens, tokens, who, who)
@settings(max_examples=25)
def test_late_rows_and_handovers_cost_a_full_pass_and_never_an_answer(
    before: list[int], after: list[int], one: dict[str, int], other: dict[str, int]
) -> None:
    network = arrays_of(small_config())
    live = LiveSessions(network, max_sessions=3)
    for rows, asker in ((before, one), (after, one), ([*before, *after], other), (before, other)):
        request = made_session(rows, **asker)
        np.testing.assert_allclose(live.logits([request]), reference(network, [request]), atol=CLOSE, rtol=CLOSE)


def test_one_session_asked_twice_in_one_call() -> None:
    network = arrays_of(small_config())
    live = LiveSessions(network, max_sessions=4)
    requests = [made_session([3, 4, 11][:count]) for count in (1, 3, 2)]
    np.testing.assert_allclose(live.logits(requests), reference(network, requests), atol=CLOSE, rtol=CLOSE)


def test_a_new_token_is_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    network = arrays_of(small_config())
    live = LiveSessions(network)
    rows = [3, 11, 12, 4, 11]
    live.logits([made_session(rows)])
    monkeypatch.setattr(network, "full", lambda padded: pytest.fail("a full pass"))
    steps = []
    step = network.step
    monkeypatch.setattr(network, "step", lambda *given: steps.append(len(given[0])) or step(*given))
    live.logits([made_session(rows)])
    assert steps == []  # nothing is new
    live.logits([made_session([*rows, 5])])
    assert steps == [1]


def test_idle_sessions_are_forgotten_and_memory_is_bounded() -> None:
    network = arrays_of(small_config(memory=20))
    live = LiveSessions(network, max_sessions=5)
    arrays = {name: value for name, value in vars(live).items() if isinstance(value, np.ndarray)}
    size = sum(value.nbytes for value in arrays.values())
    long = [FIRST_TOKEN + place % INTENTS for place in range(LONGEST_PASS + 40)]
    for turn in range(12):
        live.logits([made_session(long[turn:], name=str(turn))], now=float(turn))
    assert len(live) <= 5
    assert "11" in live
    assert "0" not in live
    assert sum(getattr(live, name).nbytes for name in arrays) == size
    for name in [str(turn) for turn in range(12)] * 2:
        live.forget(name)
    assert len(live) == 0
    assert len(set(live._free_pages)) == len(live._free_pages) == len(live._pool) - 1


def test_many_long_sessions_at_once_have_room() -> None:
    network = arrays_of(small_config(memory=60))
    live = LiveSessions(network, max_sessions=12)
    rows = [FIRST_TOKEN + place % INTENTS for place in range(80)]
    for length in (10, 79, 80):
        requests = [made_session(rows[:length], name=str(place)) for place in range(20)]
        found = live.logits(requests)
        np.testing.assert_allclose(found, reference(network, requests), atol=CLOSE, rtol=CLOSE)


def test_the_model_answers_alike_by_request_by_row_and_live(tmp_path: Path) -> None:
    sessions = made_sessions(25, handovers=True, longest=30)
    weights = Stacking(1.0, (0.0, 0.1, 0.2, 0.3, 0.2, 0.1))
    model = EvGen.load(saved(tmp_path, small_network(small_config()), made_sessions(40, 1), weights))
    rows = np.flatnonzero(sessions.is_intent)
    requests, live = [], model.live(8)
    for row in rows:
        whole = sessions[int(sessions.session_of[row])]
        cut = slice(0, row - sessions.offsets[sessions.session_of[row]])
        parts = {name: getattr(whole, name)[cut] for name in ("tokens", "is_intent", "intents", "times")}
        asker = {"operator": int(sessions.operators[row]), "line": int(sessions.lines[row])}
        requests.append(replace(whole, **parts, **asker))
    by_row = model.row_scores(sessions, rows)
    np.testing.assert_allclose(by_row.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(model.scores(requests), by_row, atol=CLOSE)
    np.testing.assert_allclose(model.scores(requests, live=live), by_row, atol=CLOSE)
    assert model.scores([]).shape == (0, INTENTS)


def test_sessions_longer_than_a_pass(tmp_path: Path) -> None:
    model = EvGen.load(saved(tmp_path, small_network(small_config()), made_sessions(10)))
    rows = [3, 11, 4, 12] * ((LONGEST_PASS + 20) // 4)
    requests = [made_session(rows), made_session(rows[:7]), made_session([])]
    np.testing.assert_allclose(model.logits(requests), reference(model.network, requests), atol=10 * CLOSE, rtol=CLOSE)


def test_only_valid_intents_have_a_share(tmp_path: Path) -> None:
    model = EvGen.load(saved(tmp_path, small_network(small_config()), made_sessions(10)))
    valid = np.arange(INTENTS) % 2 == 0
    scores = model.scores([made_session([3, 11])], valid=valid)
    assert (scores[:, ~valid] == 0).all()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert np.isfinite(model.scores([made_session([])], valid=np.zeros(INTENTS, bool))).all()


def test_the_reference_engine_reads_the_same_folder(tmp_path: Path) -> None:
    folder = saved(tmp_path, small_network(small_config()), made_sessions(10))
    requests = [made_session([3, 11, 4]), made_session([])]
    padded = pad_requests(requests)
    expected = EagerEngine(folder).logits(padded)[np.arange(2), padded.lengths]
    np.testing.assert_allclose(EvGen.load(folder).logits(requests), expected, atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "counts.safetensors"])
def test_a_broken_folder_names_the_file(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path, small_network(small_config()), made_sessions(10))
    (folder / name).write_bytes(b"{}")
    with pytest.raises(BundleError, match=name):
        EvGen.load(folder)


def test_serving_loads_no_torch() -> None:
    import subprocess
    import sys

    probe = "import sys, frontdesk.intent.evgen; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout.strip() == "False"
