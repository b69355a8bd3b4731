"""EvGen's network and loss; the mistakes that its first authors paid for have tests of their names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.intent.batches import Positions, pad, pad_requests
from frontdesk.intent.network import Dropouts, EvGenNetwork, SessionBatch, next_intent_loss
from frontdesk.intent.tokens import FIRST_TOKEN, UNSEEN
from frontdesk.intent.training import first_times, hit_rates, short_pieces, to_device
from tests.intent_sessions import (
    INTENTS,
    TOKENS,
    made_session,
    made_sessions,
    small_config,
    small_network,
)

CPU = torch.device("cpu")
EVENT = FIRST_TOKEN + INTENTS
tokens = st.lists(st.integers(1, TOKENS - 1), min_size=0, max_size=20)


def batch_of(*sessions: list[int], **who: int) -> SessionBatch:
    """Return sessions of token ids as a batch."""
    return to_device(pad_requests([made_session(each, **who) for each in sessions]), CPU)


@given(tokens, tokens)
@settings(max_examples=25)
def test_a_later_row_changes_nothing_before_it(first: list[int], rest: list[int]) -> None:
    network = small_network(small_config())
    with torch.no_grad():
        whole, part = network(batch_of([*first, *rest])), network(batch_of(first))
    torch.testing.assert_close(whole[:, : len(first) + 1], part, rtol=1e-4, atol=1e-4)


@given(tokens, tokens)
@settings(max_examples=25)
def test_padding_changes_nothing(short: list[int], long: list[int]) -> None:
    network = small_network(small_config())
    with torch.no_grad():
        together, alone = network(batch_of(short, [*short, *long])), network(batch_of(short))
    torch.testing.assert_close(together[0, : len(short) + 1], alone[0], rtol=1e-4, atol=1e-4)


def test_positional_encoding_there_is_none() -> None:
    network = small_network(small_config(layers=1))
    apart = [EVENT] * 9  # longer than the window and the path together
    orders = ([3, *apart, 4], [4, *apart, 3], [3, *apart, *apart, 4])
    sessions = [[*apart, *order, *apart] for order in orders]
    with torch.no_grad():
        one, swapped, stretched = (network(batch_of(each))[0, -1] for each in sessions)
        torch.testing.assert_close(one, swapped, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(one, stretched, rtol=1e-4, atol=1e-4)
        assert torch.isfinite(network(batch_of([3, EVENT] * 300))).all()  # no table of places that could end


def test_the_order_of_the_last_tokens_counts() -> None:
    network = small_network(small_config())
    with torch.no_grad():
        one, other = (network(batch_of(order))[0, -1] for order in ([EVENT, EVENT + 1, 3], [EVENT + 1, EVENT, 3]))
    assert not torch.allclose(one, other, atol=1e-3)


def test_weekday_and_start_hour_enter() -> None:
    network = small_network(small_config())
    hour = 3_600_000_000
    with torch.no_grad():
        found = [network(batch_of([3, 4], start=start))[0, -1] for start in (0, 5 * hour, 24 * hour)]
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    assert not torch.allclose(found[0], found[2], atol=1e-3)


def test_dropping_the_intents_loses_what_was_opened_long_ago() -> None:
    network = small_network(small_config())
    far = [EVENT] * 12
    with torch.no_grad():
        one, other = (network(batch_of([opened, *far]))[0, -1] for opened in (3, 4))
        event, another = (network(batch_of([clicked, *far, *far]))[0, -1] for clicked in (EVENT + 1, EVENT + 2))
    assert not torch.allclose(one, other, atol=1e-3)
    torch.testing.assert_close(event, another, rtol=1e-3, atol=1e-3)  # noise of old clicks is gone


def test_training_on_full_chains_only_would_leave_positions_without_a_target() -> None:
    sessions = made_sessions(30)
    positions = Positions.of(sessions)
    for place in range(len(sessions)):
        begin, end = positions.offsets[place : place + 2]
        rows = slice(*sessions.offsets[place : place + 2])
        wanted = [UNSEEN] * (end - begin)
        for at in range(end - begin - 2, -1, -1):
            row = rows.start + at
            wanted[at] = int(sessions.intents[row]) if sessions.is_target[row] else wanted[at + 1]
        assert positions.targets[begin:end].tolist() == wanted
    logits = torch.zeros(1, len(positions.targets), INTENTS, requires_grad=True)
    next_intent_loss(logits, torch.from_numpy(positions.targets.astype(np.int64))[None]).backward()
    assert ((logits.grad[0] != 0).any(1).numpy() == (positions.targets >= 0)).all()  # type: ignore[index]


def test_the_owner_of_a_coming_event_is_not_known_yet() -> None:
    sessions = made_sessions(40, handovers=True)
    positions = Positions.of(sessions)
    other = replace(sessions, operators=np.where(sessions.is_intent, sessions.operators, 0).astype(np.int32))
    changed = Positions.of(other).operators != positions.operators
    before_event = np.flatnonzero(~sessions.is_intent) + sessions.session_of[~sessions.is_intent]
    first = np.isin(before_event, positions.offsets)  # who opens a session is known
    last = np.append(~sessions.is_intent[:-1], False)
    assert changed.any()
    for place, row in zip(before_event[~first], np.flatnonzero(~sessions.is_intent)[~first], strict=True):
        assert positions.operators[place] == sessions.operators[row - 1], (place, row)
        assert not changed[place] or last[row - 1]
    own = np.flatnonzero(sessions.is_intent)
    assert (positions.operators[own + sessions.session_of[own]] == sessions.operators[own]).all()


def test_masking_the_loss_wrongly_would_give_infinities() -> None:
    logits = torch.randn(3, 4, INTENTS, requires_grad=True)
    targets = torch.tensor([[0, 1, 2, -1], [3, 3, 3, 3], [-1, -1, -1, -1]])
    valid = torch.ones(3, INTENTS, dtype=torch.bool)
    valid[0, 1] = False  # the target itself is not valid
    valid[1] = False  # nothing is
    for smoothing in (0.0, 0.1):
        logits.grad = None
        loss = next_intent_loss(logits, targets, valid, label_smoothing=smoothing)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]
        assert (logits.grad[1:] == 0).all()  # type: ignore[index]
        assert (logits.grad[0, :, 1] == 0).all()  # type: ignore[index]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [[], [3], [EVENT], [3, EVENT] * 500])
def test_losses_and_gradients_are_finite(rows: list[int], kind: torch.dtype) -> None:
    network = small_network(small_config()).train()
    batch = batch_of(rows, [])
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        logits = network(batch)
    for targets in (torch.full(logits.shape[:2], UNSEEN), torch.zeros(logits.shape[:2], dtype=torch.int64)):
        network.zero_grad()
        loss = next_intent_loss(logits, targets)
        loss.backward(retain_graph=True)
        assert torch.isfinite(loss)
        for name, value in network.named_parameters():
            assert value.grad is None or torch.isfinite(value.grad).all(), name


def test_negative_sampling_there_is_none_the_softmax_is_full() -> None:
    logits = torch.zeros(1, 2, INTENTS, requires_grad=True)
    next_intent_loss(logits, torch.tensor([[2, 4]])).backward()
    assert (logits.grad != 0).all()  # type: ignore[union-attr]
    loss = next_intent_loss(logits.detach(), torch.tensor([[2, 4]]))
    assert float(loss) == pytest.approx(np.log(INTENTS))


def test_the_unknown_operator_is_trained() -> None:
    network = EvGenNetwork(small_config(), Dropouts(operators=1.0)).train()
    batch = batch_of([3, 4], operator=2)
    next_intent_loss(network(batch), torch.tensor([[0, 1, 2]])).backward()
    for table in (network.operator, network.asking_operator):
        assert table.weight.grad[0].abs().sum() > 0  # type: ignore[index]
        assert table.weight.grad[1:].abs().sum() == 0  # type: ignore[index]


def test_a_procedure_that_came_later_is_no_wrong_answer_before() -> None:
    sessions = made_sessions(20)
    born = first_times(sessions, INTENTS + 1)
    for intent in range(INTENTS):
        assert born[intent] == sessions.times[sessions.intents == intent].min()
    assert born[INTENTS] < sessions.times.min()


def test_long_sessions_are_cut() -> None:
    sessions = made_sessions(10, longest=40)
    pieces = short_pieces(sessions, 7)
    assert np.diff(pieces.offsets).max() <= 7
    assert pieces.tokens is sessions.tokens
    assert set(sessions.offsets) <= set(pieces.offsets)
    assert len(pieces.session_ids) == len(pieces.offsets) - 1
    assert short_pieces(sessions) is sessions


def test_ties_and_unknown_labels_are_misses() -> None:
    rates = hit_rates(np.zeros((2, 7), np.float32), np.array([0, -1]))
    assert rates == {"hr@1": 0.0, "hr@6": 0.0, "mrr@10": pytest.approx(1 / 14)}
    assert hit_rates(np.eye(3, dtype=np.float32), np.arange(3))["hr@1"] == 1.0


def test_a_set_and_its_requests_are_laid_out_alike() -> None:
    sessions = made_sessions(6)
    places = np.arange(6)
    padded, asked = pad(sessions, Positions.of(sessions), places), pad_requests(list(sessions))
    for name in ("tokens", "is_intent", "operator", "line", "weekday", "hour", "lengths"):
        np.testing.assert_array_equal(getattr(padded, name), getattr(asked, name), name)
