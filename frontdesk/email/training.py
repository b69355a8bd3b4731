"""Training a mail model (job 4): the linear path, the network, and how they are combined.

With several folds every row is answered once by models that did not see it. Those answers teach the combination, the
temperatures and, later, the thresholds of decisions; then both models are trained again on every row.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from frontdesk.email.building import build_network, describe_network
from frontdesk.email.combination import Scores, fit_combination
from frontdesk.email.files import WEIGHTS, GramPath, save_combination, save_prototypes, write_config
from frontdesk.email.fitting import Fitting
from frontdesk.email.grams import Bags, Grams
from frontdesk.email.latent import fit_latent, project
from frontdesk.email.linear import Linear, fit_linear, level_places
from frontdesk.email.recipe import EmailParameters
from frontdesk.email.tokens import TOKENIZER, Pieces
from frontdesk.errors import TrainingError
from frontdesk.logs import event
from frontdesk.preprocessing.spec import Spec
from frontdesk.settings import settings
from frontdesk.storage import MANIFEST, canonical_json, describe, digest, file_digest, write_atomically
from frontdesk.taxonomy import Prototypes
from frontdesk.tensors import TensorSet

_log = logging.getLogger(__name__)
_FOLD_ROWS = 20_000
"""Of larger tables one part is held out: it is large enough, and every fold costs a training."""
_VALIDATION_ROWS = (50, 10_000)
VALIDATION, HISTORY, SPEED = "validation.safetensors", "history.json", "speed.json"


def train_email(tensors: Path, tokenizer: Path, work: Path, parameters: EmailParameters) -> Path:
    """Train on transferred tensors.

    Args:
        tensors: folder made by `frontdesk.tensors.transfer`.
        tokenizer: the ``tokenizer.json`` that its ids come from.
        work: folder of this training; a finished one is returned as it is, an interrupted one goes on.
        parameters: knobs.

    Returns:
        ``work/model``: ``weights.safetensors``, ``config.json``, ``tokenizer.json``, ``combination.safetensors``,
        for the subword encoder ``grams.json``, ``linear.safetensors`` and ``prototypes.safetensors``; ``history.json``
        (per epoch and head, of the first fold), ``speed.json`` (samples per second of each epoch) and
        ``validation.safetensors`` (per head calibrated probabilities float32 [n, K] and labels int32 [n] of held-out
        rows), manifest last.

    Raises:
        TrainingError: too few labelled rows, or a loss that is not finite.
        UsageError: the ``hub`` encoder cannot be loaded.
    """
    folder = work / "model"
    if (folder / MANIFEST).is_file():
        return folder
    torch.set_num_threads(settings().threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    spec = Spec.from_json(orjson.loads((tensors / "spec.json").read_bytes()))
    run = _Run(spec, TensorSet.open(tensors, "train"), tokenizer, work, parameters)
    run.save(folder)
    return folder


@dataclass(frozen=True)
class _Trained:
    """One network after training: its answers to the held-out rows, its files."""

    answers: dict[str, np.ndarray]
    history: list[dict[str, Any]]
    speed: list[float]
    folder: Path


class _Run:
    """One training, its parts finished one after the other in folders of their own."""

    def __init__(self, spec: Spec, data: TensorSet, tokenizer: Path, work: Path, parameters: EmailParameters) -> None:
        self.spec, self.data, self.tokenizer, self.work, self.parameters = spec, data, tokenizer, work, parameters
        self.labels = {head: np.asarray(data.labels[head]) for head in spec.labels}
        self.heads = {head: len(labels) for head, labels in spec.labels.items()}
        self.levels = tuple(len(levels) + 1 for levels in spec.categorical.values())
        labelled = np.zeros(data.rows, bool)
        for labels in self.labels.values():
            labelled |= labels >= 0
        self.rows = np.flatnonzero(labelled)
        if len(self.rows) < 2:
            raise TrainingError("fewer than two rows have a label", remedy="Check the label columns of the mapping")
        self.pieces = Pieces(tokenizer.read_bytes(), spec.max_tokens)
        self.parts = self._held_out_parts()
        self.linear = parameters.encoder == "subword"
        self.directions = np.zeros((0, 0), np.float16)
        if self.linear:
            ids = [_unpadded(row) for row in data.ids]
            strings = self.pieces.strings()
            self.grams = Grams.fit((ids[row] for row in self.rows), strings, parameters.grams)
            self.bags: Bags = self.grams.bags(ids)
            self.places = level_places(np.asarray(data.categories), self.levels)
            self.directions = fit_latent(self.bags, len(self.grams.names), parameters.directions, parameters.seed)
            self.data = replace(data, numbers=project(self.bags, self.directions))
        self.network = describe_network(parameters, self.directions.shape[1], self.levels, self.heads)
        self.key = {
            "spec": spec.digest,
            "tokenizer": file_digest(tokenizer),
            "network": self.network,
            "parameters": parameters.model_dump(mode="json"),
            "labels": {head: digest(labels.tolist()) for head, labels in self.labels.items()},
        }

    def _held_out_parts(self) -> list[np.ndarray]:
        """Return the rows held out, part by part: every labelled row once, or one share of them."""
        order = np.random.default_rng([self.parameters.seed, 1]).permutation(self.rows)
        many = self.parameters.encoder == "subword" and len(order) <= _FOLD_ROWS
        if many and 1 < self.parameters.folds <= len(order):
            return [np.sort(part) for part in np.array_split(order, self.parameters.folds)]
        least, most = _VALIDATION_ROWS
        count = min(max(round(len(order) * self.parameters.validation_share), least), most, len(order) // 4)
        return [np.sort(order[:count])]

    def save(self, folder: Path) -> None:
        """Train everything and write the finished model, manifest last."""
        held_out = np.concatenate(self.parts)
        networks = [
            self._network(f"part {number + 1}/{len(self.parts)}", np.setdiff1d(self.rows, part), part)
            for number, part in enumerate(self.parts)
        ]
        scores: Scores = {
            head: [np.concatenate([one.answers[head] for one in networks])] for head in self.heads if len(held_out)
        }
        if self.linear:
            for head, found in scores.items():
                parts = [self._linear(head, np.setdiff1d(self.rows, part), part)[1] for part in self.parts]
                found.append(np.concatenate(parts))
        labels = {head: values[held_out] for head, values in self.labels.items()}
        cross = self.parameters.mode == "multi" and self.linear
        fitted, held_out_answers = fit_combination(scores, labels, cross=cross, seed=self.parameters.seed)
        final = self._network("all rows", self.rows, held_out[:0]) if len(self.parts) > 1 else networks[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes((final.folder / WEIGHTS).read_bytes())
        (folder / TOKENIZER).write_bytes(self.tokenizer.read_bytes())
        if self.linear:
            rows = self.rows if len(self.parts) > 1 else np.setdiff1d(self.rows, held_out)
            self._save_linear(folder, rows)
            save_prototypes(folder, self._prototypes())
        save_combination(folder, fitted)
        write_config(folder, self.network, self.spec, _portable(self.parameters))
        validation = {f"{head}.probabilities": found for head, found in held_out_answers.items()}
        validation |= {f"{head}.labels": values[values >= 0].astype(np.int32) for head, values in labels.items()}
        save_arrays(validation, folder / VALIDATION)
        write_atomically(folder / HISTORY, canonical_json(networks[0].history))
        write_atomically(folder / SPEED, canonical_json([round(rate, 1) for rate in networks[0].speed]))
        write_atomically(folder / MANIFEST, canonical_json({"files": describe(folder)}))

    def _network(self, name: str, rows: np.ndarray, held_out: np.ndarray) -> _Trained:
        """Train one network, or return it where it is finished."""
        key = digest({**self.key, "rows": rows.tolist(), "held_out": held_out.tolist()})
        folder = self.work / f".network-{key[:16]}"
        if not (folder / HISTORY).is_file():
            torch.manual_seed(self.parameters.seed)
            fitting = Fitting(
                build_network(self.network, self.parameters),
                self.data,
                rows,
                held_out,
                self.parameters,
                checkpoints=self.work / ".checkpoints",
                key=key,
                name=name,
            )
            history = fitting.run()
            folder.mkdir(parents=True, exist_ok=True)
            weights = {
                name: tensor.detach().cpu().clone().contiguous()
                for name, tensor in fitting.network.state_dict().items()
            }
            save_file(weights, folder / WEIGHTS)
            save_arrays(fitting.answer(held_out), folder / "answers.safetensors")
            write_atomically(folder / HISTORY, canonical_json({"history": history, "speed": fitting.speed}))
            fitting.checkpoint.clear()
            event(_log, "network_trained", run=name, steps=fitting.steps, rows=len(rows))
        found = orjson.loads((folder / HISTORY).read_bytes())
        return _Trained(load_file(folder / "answers.safetensors"), found["history"], found["speed"], folder)

    def _linear(self, head: str, rows: np.ndarray, answered: np.ndarray) -> tuple[Linear, np.ndarray]:
        """Fit one head of the linear path on rows; return it and its scores of other rows, float32 [n, K]."""
        fitted = fit_linear(
            _select(self.bags, rows),
            self.places[rows],
            self.labels[head][rows],
            grams=len(self.grams.names),
            levels=sum(self.levels),
            count=self.heads[head],
        )
        return fitted, fitted.scores(_select(self.bags, answered), self.places[answered])

    def _save_linear(self, folder: Path, rows: np.ndarray) -> None:
        fitted = [self._linear(head, rows, rows[:0])[0] for head in self.heads]
        side_by_side = Linear(
            np.concatenate([one.grams for one in fitted], axis=1),
            np.concatenate([one.levels for one in fitted], axis=1),
            np.concatenate([one.bias for one in fitted]),
        )
        GramPath(self.grams, side_by_side, self.directions).save(folder)

    def _prototypes(self) -> dict[str, Prototypes]:
        """Fit the labels' places in the latent space, beside which a later label finds its own."""
        found = {}
        for head, labels in self.labels.items():
            rows = np.flatnonzero(labels >= 0)
            names = [self.spec.labels[head][label] for label in labels[rows]]
            found[head] = Prototypes.fit(np.asarray(self.data.numbers)[rows], names)
        return found


def _portable(parameters: EmailParameters) -> dict[str, Any]:
    """Return the parameters without a folder of this machine."""
    values = parameters.model_dump(mode="json")
    if Path(parameters.encoder_name).is_dir():
        values["encoder_name"] = Path(parameters.encoder_name).resolve().name
    return values


def _unpadded(row: np.ndarray) -> list[int]:
    ids: list[int] = row[row != 0].tolist()
    return ids


def _select(bags: Bags, rows: np.ndarray) -> Bags:
    """Return the bags of some rows."""
    sizes = np.diff(bags.begins)[rows]
    ends = np.cumsum(sizes)
    at = np.repeat(bags.begins[:-1][rows] - (ends - sizes), sizes) + np.arange(int(sizes.sum()))
    return Bags(bags.features[at], np.concatenate([[0], ends]).astype(np.int64), bags.weights[at])
