"""Training: the same bits after a kill, losses that stay finite, inputs that training never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch

from frontdesk.errors import TrainingError
from frontdesk.preprocessing.spec import NO_LABEL, UNSEEN_LABEL, Spec
from frontdesk.storage import canonical_json
from frontdesk.tensors import TensorSet
from frontdesk.ticket.margin import add_margin_expert
from frontdesk.ticket.network import NetworkConfig, TicketNetwork
from frontdesk.ticket.recipe import TicketParameters
from frontdesk.ticket.start import level_rates
from frontdesk.training import Loss, Trainer, inner_levels, train
from tests.small_network import small_spec

SMALL = TicketParameters(epochs=2, batch=16, embedding=4, filters=4, hidden=8, checkpoint_seconds=1e-6)


def made(spec: Spec, rows: int = 120, seed: int = 0) -> TensorSet:
    """Return rows whose labels are told by the word that they begin with, over and over."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(2, spec.vocabulary_size, (rows, spec.max_tokens)).astype(np.int32)
    ids[:, 1:6] = ids[:, :1]
    ids[:, 12:] *= draw.integers(0, 2, (rows, 1), dtype=np.int32)
    labels = {head: (ids[:, 0] % len(names)).astype(np.int32) for head, names in spec.labels.items()}
    labels["reply"][::5] = NO_LABEL
    labels["contact_type"][::7] = UNSEEN_LABEL
    numbers = np.stack([draw.normal(60, 25, rows), np.full(rows, 19_500.0)], 1)
    numbers[0] = [1e308, np.nan]
    return TensorSet(ids, draw.integers(0, 5, (rows, 2), dtype=np.int32), numbers, labels, rows)


def on_disk(folder: Path, spec: Spec, data: TensorSet) -> Path:
    """Write a training split as transfer leaves it."""
    folder.mkdir()
    arrays = {"ids": data.ids, "categories": data.categories, "numbers": data.numbers}
    for name, array in (arrays | {f"label.{head}": values for head, values in data.labels.items()}).items():
        np.save(folder / f"train.{name}.npy", array)
    (folder / "spec.json").write_bytes(canonical_json(spec.to_json()))
    (folder / "manifest.json").write_bytes(canonical_json({"rows": {"train": data.rows}, "files": {}}))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Return a folder's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_bits_twice(tmp_path: Path) -> None:
    tensors = on_disk(tmp_path / "tensors", small_spec(), made(small_spec()))
    first, second = (files(train(tensors, tmp_path / name, SMALL)) for name in ("a", "b"))
    assert first == second
    other = files(train(tensors, tmp_path / "c", SMALL.model_copy(update={"seed": 1})))
    assert other["weights.safetensors"] != first["weights.safetensors"]


@pytest.mark.parametrize("stop", [1, 5, 9])
def test_a_killed_training_ends_with_the_same_bits(tmp_path: Path, stop: int) -> None:
    spec = small_spec()
    tensors = on_disk(tmp_path / "tensors", spec, made(spec))
    whole = files(train(tensors, tmp_path / "whole", SMALL))

    class Killed(Exception):
        pass

    class Stopping(Trainer):
        def _save_checkpoint(self) -> None:
            super()._save_checkpoint()
            if self.step == stop:
                raise Killed

    data = TensorSet.open(tensors, "train")
    with pytest.raises(Killed):
        Stopping(spec, data, tmp_path / "cut/.checkpoints", SMALL).run()
    assert files(train(tensors, tmp_path / "cut", SMALL)) == whole


def test_a_checkpoint_of_other_parameters_is_not_taken(tmp_path: Path) -> None:
    spec, data = small_spec(), made(small_spec())
    first = Trainer(spec, data, tmp_path, SMALL)
    first.step = 3
    first._save_checkpoint()
    again = Trainer(spec, data, tmp_path, SMALL)
    again._restore()
    other = Trainer(spec, data, tmp_path, SMALL.model_copy(update={"rate": 1e-3}))
    other._restore()
    assert (again.step, other.step) == (3, 0)


def test_it_learns_and_calibrates(tmp_path: Path) -> None:
    spec = small_spec(contact_types=6)
    data = made(spec, 600)
    parameters = SMALL.model_copy(update={"epochs": 25, "validation_share": 0.2, "word_dropout": 0.0})
    folder = train(on_disk(tmp_path / "tensors", spec, data), tmp_path / "work", parameters)
    history = orjson.loads((folder / "history.json").read_bytes())
    assert history[-1]["loss"] < 0.85 * history[0]["loss"]
    assert history[-1]["validation_accuracy.reply"] > 2 / len(spec.labels["reply"])
    temperatures = orjson.loads((folder / "config.json").read_bytes())["network"]["temperature"]
    assert set(temperatures) == set(spec.labels)
    assert all(0.05 <= value <= 20 for value in temperatures.values())


def test_an_input_that_training_never_saw_set_stays_quiet() -> None:
    spec = small_spec()
    data = made(spec)
    data.numbers[0] = [60.0, 19_500.0]  # no missing number in the whole split
    trainer = Trainer(spec, data, Path("unused"), SMALL.model_copy(update={"checkpoint_seconds": 1e9}))
    trainer._save_checkpoint = lambda: None  # type: ignore[method-assign]
    trainer.run()
    trainer.network.numbers.silence_constant()  # type: ignore[union-attr]
    trainer.network.eval()
    ids, categories = torch.from_numpy(data.ids[:8].astype(np.int64)), torch.zeros(8, 2, dtype=torch.int64)
    given = torch.tensor([[spec.numeric[name].fill for name in spec.numeric]] * 8, dtype=torch.float64)
    missing = torch.full((8, 2), torch.nan, dtype=torch.float64)
    with torch.no_grad():
        for head, logits in trainer.network(ids, categories, given).items():
            torch.testing.assert_close(trainer.network(ids, categories, missing)[head], logits)


def test_losses_and_gradients_are_finite_without_any_label() -> None:
    spec = small_spec()
    loss = Loss(spec, SMALL, torch.device("cpu"))
    logits = {head: torch.zeros(4, len(names), requires_grad=True) for head, names in spec.labels.items()}
    none = {head: torch.full((4,), NO_LABEL) for head in logits}
    assert float(loss(logits, none)) == 0.0
    some = {head: torch.tensor([NO_LABEL, 0, 1, UNSEEN_LABEL]) for head in logits}
    loss(logits, some).backward()
    assert all(torch.isfinite(value.grad).all() for value in logits.values() if value.grad is not None)


def test_a_table_without_labels_is_an_error() -> None:
    spec, data = small_spec(), made(small_spec())
    empty = replace(data, labels={head: np.full(data.rows, NO_LABEL, np.int32) for head in data.labels})
    with pytest.raises(TrainingError, match="fewer than two rows have a label"):
        Trainer(spec, empty, Path("unused"), SMALL)


def test_every_inner_level_of_a_tree() -> None:
    names = ("a > x > 1", "a > x > 2", "a > y", "b > z", "b")
    spec = replace(small_spec(), labels={"contact_type": names}, label_counts={"contact_type": (1,) * 5})
    first, second = inner_levels(spec, "contact_type")
    assert first.tolist() == [0, 0, 0, 1, 1]
    assert len(set(second.tolist())) == 4
    flat = replace(spec, labels={"contact_type": ("a", "b")}, label_counts={"contact_type": (1, 1)})
    assert inner_levels(flat, "contact_type") == []


def test_what_was_seen_once_says_nothing() -> None:
    levels = torch.tensor([1, *[2] * 50, *[3] * 50])
    labels = torch.tensor([0, *[0] * 50, *[1] * 50])
    rates = level_rates(levels, labels, 4, 2)
    assert torch.allclose(rates[[0, 1]], torch.zeros(2, 2), atol=1e-6)
    assert rates[2, 0] > 0.2 > -0.2 > rates[2, 1]


@pytest.mark.parametrize("shape", [{}, {"categorical": ()}, {"numeric": ()}, {"phrases": 0}, {"contact_types": 2}])
def test_the_margin_expert_tells_a_label_by_every_kind_of_input(shape: dict[str, Any]) -> None:
    spec = small_spec(**shape)
    data = made(spec, 400)
    network = TicketNetwork(NetworkConfig.of(spec, embedding=4, filters=4, hidden=8), spec).eval()
    size = len(spec.categorical)
    data = replace(data, categories=data.categories[:, :size], numbers=data.numbers[:, : len(spec.numeric)])
    labels = data.labels["contact_type"]
    first = "categories" if size else "ids"
    if size:  # the field decides, and the text says nothing
        labels[:] = np.where(data.categories[:, 0] > 1, 1, 0)
    before = {head: output.weight.clone() for head, output in network.outputs.items()}
    add_margin_expert(network, data, np.arange(400))
    with torch.no_grad():
        inputs = (torch.from_numpy(np.array(value)) for value in (data.ids, data.categories, data.numbers))
        ids, categories, numbers = inputs
        found = network(ids.long(), categories.long(), numbers.double())["contact_type"].argmax(1).numpy()
    known = labels >= 0
    assert (found == labels)[known].mean() > 0.9, first
    assert all(torch.equal(network.outputs[head].weight, weight) for head, weight in before.items())


def test_a_head_with_many_labels_gets_no_margin_expert() -> None:
    spec = small_spec(contact_types=300)
    data = made(spec)
    network = TicketNetwork(NetworkConfig.of(spec, wide_rank=4), spec).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    add_margin_expert(network, data, np.arange(data.rows))
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(".contact_type" in name for name in changed)
