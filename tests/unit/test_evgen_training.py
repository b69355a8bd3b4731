"""Training EvGen: the same bits after a kill, what is learnt, what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from safetensors.numpy import load_file

from frontdesk.errors import TrainingError, UsageError
from frontdesk.intent.batches import Positions
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.network import next_intent_loss
from frontdesk.intent.recipe import IntentParameters
from frontdesk.intent.tokens import UNSEEN
from frontdesk.intent.training import Trainer, hit_rates, short_pieces, train_evgen
from tests.intent_sessions import INTENTS, made_sessions, small_tokenizer

SMALL = IntentParameters(epochs=2, width=8, heads=2, batch_tokens=64, checkpoint_seconds=1e-6)
_RUN = """
import sys
from pathlib import Path
from frontdesk.intent.training import train_evgen
from tests.intent_sessions import made_sessions, small_tokenizer
from tests.unit.test_evgen_training import SMALL
train_evgen(made_sessions(60), small_tokenizer(), SMALL.model_copy(update={"epochs": 12}), Path(sys.argv[1]))
"""


def files(folder: Path) -> dict[str, bytes]:
    """Return a folder's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_bits_twice(tmp_path: Path) -> None:
    sessions = made_sessions(30)
    first, second = (files(train_evgen(sessions, small_tokenizer(), SMALL, tmp_path / name)) for name in "ab")
    assert first == second
    other = train_evgen(sessions, small_tokenizer(), SMALL.model_copy(update={"seed": 1}), tmp_path / "c")
    assert files(other)["weights.safetensors"] != first["weights.safetensors"]


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_stopped_training_ends_with_the_same_bits(tmp_path: Path, stop: int) -> None:
    sessions = made_sessions(30)
    whole = files(train_evgen(sessions, small_tokenizer(), SMALL, tmp_path / "whole"))

    class Stopped(Exception):
        pass

    class Stopping(Trainer):
        def _save_checkpoint(self) -> None:
            super()._save_checkpoint()
            if self.step == stop:
                raise Stopped

    with pytest.raises(Stopped):
        Stopping(sessions, small_tokenizer(), tmp_path / "cut/.checkpoints", SMALL).run()
    assert files(train_evgen(sessions, small_tokenizer(), SMALL, tmp_path / "cut")) == whole


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    for name, kills in (("whole", 0), ("cut", 2)):
        for kill in range(kills + 1):
            with subprocess.Popen([sys.executable, "-c", _RUN, str(tmp_path / name)], cwd=root) as process:
                checkpoints, end = tmp_path / name / ".checkpoints", time.monotonic() + 120
                before = {path.stat().st_mtime_ns for path in checkpoints.glob("*.safetensors")}
                while kill < kills and not (
                    {path.stat().st_mtime_ns for path in checkpoints.glob("*.safetensors")} - before
                ):
                    assert process.poll() is None, "it ended before it was killed"
                    assert time.monotonic() < end
                    time.sleep(0.01)
                if kill < kills:
                    os.kill(process.pid, signal.SIGKILL)
            assert (tmp_path / name / "evgen/manifest.json").exists() == (kill == kills)
    assert files(tmp_path / "cut/evgen") == files(tmp_path / "whole/evgen")


def test_a_finished_training_is_returned_and_another_ones_checkpoint_is_not_taken(tmp_path: Path) -> None:
    sessions = made_sessions(30)
    folder = train_evgen(sessions, small_tokenizer(), SMALL, tmp_path)
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert train_evgen(sessions, small_tokenizer(), SMALL, tmp_path) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == before
    first = Trainer(sessions, small_tokenizer(), tmp_path / "k", SMALL)
    first.step = 3
    first._save_checkpoint()
    again, changed, shorter = (
        Trainer(rows, small_tokenizer(), tmp_path / "k", SMALL.model_copy(update=update))
        for rows, update in ((sessions, {}), (sessions, {"rate": 1e-3}), (sessions.take(0, 20), {}))
    )
    for trainer in (again, changed, shorter):
        trainer._restore()
    assert (again.step, changed.step, shorter.step) == (3, 0, 0)


def test_it_learns_what_follows(tmp_path: Path) -> None:
    parameters = SMALL.model_copy(update={"epochs": 12, "width": 16, "batch_tokens": 256, "checkpoint_seconds": 1e9})
    folder = train_evgen(made_sessions(400), small_tokenizer(), parameters, tmp_path)
    history = orjson.loads((folder / "history.json").read_bytes())
    assert [line["epoch"] for line in history] == list(range(1, 13))
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert set(history[0]) == {"epoch", "loss", "hr@1", "hr@6", "mrr@10"}
    later = made_sessions(100, 7)
    before = np.concatenate([[0], np.cumsum(later.is_intent)])
    rows = np.flatnonzero(later.is_target & (before[:-1] > before[later.offsets[later.session_of]]))
    scores = EvGen.load(folder).row_scores(later, rows)
    assert hit_rates(scores, later.intents[rows])["hr@1"] > 0.8


def test_the_validation_scores_are_those_of_the_network(tmp_path: Path) -> None:
    sessions = made_sessions(60)
    folder = train_evgen(sessions, small_tokenizer(), SMALL, tmp_path)
    validation = load_file(folder / "validation.safetensors")
    rows = validation["rows"]
    assert (sessions.intents[rows] == validation["labels"]).all()
    assert (sessions.session_of[rows] >= len(sessions) - 3).all()  # the newest sessions
    assert len(rows) == sessions.is_target[sessions.offsets[-4] :].sum()
    model = EvGen.load(folder)
    one = np.flatnonzero(rows > sessions.offsets[sessions.session_of[rows]])[0]
    row = int(rows[one])
    whole = sessions[int(sessions.session_of[row])]
    cut = slice(0, row - int(sessions.offsets[sessions.session_of[row]]))
    parts = {name: getattr(whole, name)[cut] for name in ("tokens", "is_intent", "intents", "times")}
    np.testing.assert_allclose(model.logits([replace(whole, **parts)])[0], validation["logits"][one], atol=1e-4)


def test_bfloat16_trains(tmp_path: Path) -> None:
    folder = train_evgen(
        made_sessions(30), small_tokenizer(), SMALL.model_copy(update={"precision": "bfloat16"}), tmp_path
    )
    assert all(np.isfinite(value).all() for value in load_file(folder / "weights.safetensors").values())


def test_sessions_without_anything_to_learn_are_an_error(tmp_path: Path) -> None:
    sessions = made_sessions(10)
    nothing = replace(sessions, is_target=np.zeros_like(sessions.is_target))
    with pytest.raises(TrainingError, match="no session has an opened intent"):
        train_evgen(nothing, small_tokenizer(), SMALL, tmp_path)
    with pytest.raises(TrainingError, match="no session has an opened intent"):
        train_evgen(sessions.take(0, 0), small_tokenizer(), SMALL, tmp_path)
    assert not (tmp_path / "evgen").exists()


def test_the_end_of_a_session_is_learnt_where_it_is_asked_for(tmp_path: Path) -> None:
    sessions = made_sessions(400)
    parameters = SMALL.model_copy(update={"epochs": 8, "width": 16, "batch_tokens": 256, "checkpoint_seconds": 1e9})
    trainers = [
        Trainer(sessions, small_tokenizer(), tmp_path / str(end), parameters.model_copy(update={"end_of_session": end}))
        for end in (False, True)
    ]
    places = np.arange(3)
    (_, without, _, _), (batch, targets, valid, _) = (trainer._batch(places) for trainer in trainers)
    assert ((targets == INTENTS).sum(1) >= 1).all()
    assert (without.numpy()[targets.numpy() == INTENTS] == UNSEEN).all()
    assert (without.numpy() == targets.numpy())[targets.numpy() < INTENTS].all()
    assert valid.shape == (3, INTENTS + 1)
    trainer = trainers[1]
    untrained = next_intent_loss(trainer.network.eval()(batch), targets, valid).item()
    trainer.run()
    assert next_intent_loss(trainer.network.eval()(batch), targets, valid).item() < untrained
    trainer.save(tmp_path / "evgen")
    assert EvGen.load(tmp_path / "evgen").scores(list(made_sessions(2))).shape == (2, INTENTS)


def test_a_piece_of_a_long_session_does_not_end() -> None:
    whole = made_sessions(4, longest=12)
    pieces = short_pieces(whole, 3)
    positions = Positions.of(pieces)
    last = np.append(np.array(pieces.session_ids[:-1]) != np.array(pieces.session_ids[1:]), True)
    ends = positions.offsets[1:] - 1
    assert len(pieces) > len(whole)
    assert (positions.ended[ends] == last).all()
    assert not (positions.ended & (positions.targets >= 0)).any()


def test_one_session_is_enough(tmp_path: Path) -> None:
    folder = train_evgen(made_sessions(1, 3), small_tokenizer(), SMALL, tmp_path)
    assert EvGen.load(folder).scores(list(made_sessions(2))).shape == (2, INTENTS)


def test_parameters_by_key() -> None:
    assert IntentParameters.parse(["width=32", "heads = 2"]).width == 32
    with pytest.raises(UsageError, match="has no '='"):
        IntentParameters.parse(["width"])
    with pytest.raises(UsageError, match="parameter depth: there is no such parameter"):
        IntentParameters.of({"depth": 3})
    with pytest.raises(UsageError, match="parameter rate"):
        IntentParameters.of({"rate": 0})
    with pytest.raises(UsageError, match="heads"):
        IntentParameters.of({"width": 10, "heads": 4})
