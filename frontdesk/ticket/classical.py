"""v1 of the ticket recipe: a topic model, cosine similarity to every label, and a pointwise ranker over candidates.

For each head, a ticket is compared with every label (`frontdesk.ticket.candidates`); the nearest ones are candidates. A
gradient-boosted binary classifier scores each pair of ticket and candidate; it learns from the true pairs and from
candidates drawn uniformly at random. The softmax of a ticket's scores, at a temperature fitted on held-out tickets, is
the answer. The way of Uber's COTA v1, with LightGBM as the ranker.

As there, a ticket's categorical and numeric fields reach the ranker as they are, and a candidate is known by the text
of its tickets and its share of them. How often each label goes with a field's value is left out, because the
article's v1 has no such rates: fields alone tell two candidates apart only where their shares differ.

Cross-fitting keeps the ranker honest: a training ticket is compared with means that its own fold had no part in, as a
new ticket will be. Otherwise a label of one ticket would look like a perfect match to that ticket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from scipy import sparse

from frontdesk.errors import TrainingError
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import Spec
from frontdesk.progress import report
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, work_key
from frontdesk.ticket.candidates import Comparison, Profiles, Sums, Tickets
from frontdesk.ticket.classical_model import (
    FORMAT,
    ClassicalModel,
    Columns,
    Features,
    Head,
    Knobs,
    categories_and_numbers,
    fields_of,
    pieces,
    scores_of,
)
from frontdesk.ticket.recipe import TicketParameters
from frontdesk.ticket.topics import TextVectors

__all__ = ["ClassicalModel", "HeldOut", "Knobs", "fit", "train_classical"]

STAGE = "train"
VALIDATION = "validation.safetensors"
_FOLDER = "classical"
_TEMPERATURES = np.geomspace(0.2, 5.0, 81)


@dataclass(frozen=True)
class HeldOut:
    """Tickets that the ranker did not learn from, for the thresholds of the decision policy.

    Attributes:
        probabilities: float32 [N, K].
        labels: their labels, int32 [N].
    """

    probabilities: np.ndarray
    labels: np.ndarray


def train_classical(store: Store, snapshot_id: str, spec: Spec, parameters: TicketParameters, work: Path) -> Path:
    """Train v1 on a snapshot's training rows.

    Args:
        store: holds the snapshot.
        snapshot_id: which one.
        spec: fitted on the same rows.
        parameters: give the seed.
        work: gets the finished folder ``classical``: the model's files and ``validation.safetensors``, with
            ``HEAD.probabilities`` and ``HEAD.labels`` of held-out tickets. One that is finished is returned at once.

    Raises:
        TrainingError: no training row has a label.
    """
    from frontdesk.snapshots import read_rows

    knobs = Knobs()
    key = work_key("classical", snapshot=snapshot_id, spec=spec.digest, seed=parameters.seed)
    place = Store(str(work))
    if (done := place.manifest(_FOLDER)) is not None and done["id"] == key:
        return Path(place.uri(_FOLDER))
    snapshot = store.manifest("snapshots", snapshot_id) or {"rows": {"train": spec.documents}}
    total = int(snapshot["rows"]["train"])
    wanted = [*spec.fields, *spec.labels]

    def batches() -> Iterator[tuple[Columns, int]]:
        for batch in read_rows(store, snapshot_id, "train", wanted):
            yield {name: batch.column(name).to_pylist() for name in batch.schema.names}, batch.num_rows

    model, held = fit(sampled(batches(), total, knobs.rows, parameters.seed), spec, parameters.seed, knobs, total)
    with place.writing(_FOLDER) as folder:
        model.save(folder)
        arrays = {f"{head}.probabilities": out.probabilities for head, out in held.items()}
        save_file(arrays | {f"{head}.labels": out.labels for head, out in held.items()}, folder / VALIDATION)
        manifest = {
            "format": FORMAT,
            "id": key,
            "snapshot": snapshot_id,
            "spec": spec.digest,
            "rows": min(total, knobs.rows),
            "files": describe(folder),
        }
        (folder / MANIFEST).write_bytes(canonical_json(manifest))
    return Path(place.uri(_FOLDER))


def sampled(batches: Iterable[tuple[Columns, int]], total: int, most: int, seed: int) -> Iterator[tuple[Columns, int]]:
    """Yield batches with a seeded sample of ``most`` of their ``total`` rows; unchanged where there are no more."""
    if total <= most:
        yield from batches
        return
    chosen = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    start = 0
    for columns, rows in batches:
        here = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + rows)] - start
        start += rows
        yield {name: [values[row] for row in here] for name, values in columns.items()}, len(here)


def fit(
    batches: Iterable[tuple[Columns, int]], spec: Spec, seed: int, knobs: Knobs | None = None, total: int = 0
) -> tuple[ClassicalModel, dict[str, HeldOut]]:
    """Fit v1.

    Args:
        batches: raw columns (inputs by field, labels by head) and their number of rows.
        spec: the fitted values of preprocessing.
        seed: of the topic model, the folds, the negatives and the ranker.
        knobs: sizes.
        total: rows expected, for the progress.

    Returns:
        The model, and per head what it says of the tickets that fitted the temperature only.

    Raises:
        TrainingError: there is no row, or no row has a label.
    """
    knobs = knobs or Knobs()
    fields, encoder, read = fields_of(spec), Encoder(spec), TextVectors(spec)
    vectors, categories, numbers = [], [], []
    found: dict[str, list[np.ndarray]] = {head: [] for head in spec.labels}
    rows = 0
    for columns, count in batches:
        levels, values = categories_and_numbers(fields, columns, count)
        vectors.append(read(columns, count))
        categories.append(levels)
        numbers.append(values)
        for head, parts in found.items():
            parts.append(encoder.labels(head, columns[head]))
        rows += count
        report(STAGE, rows, max(total, rows), "v1: reading")
    labels = {head: np.concatenate(parts) if parts else np.zeros(0, np.int32) for head, parts in found.items()}
    if not any((index >= 0).any() for index in labels.values()):
        raise TrainingError("no training row has a label", remedy="Check the label columns of the mapping")
    # Sums in another order give other bits, so one thread; most of the work, the sparse products, knows no other way.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="blas"):
        matrix, raw = sparse.vstack(vectors, "csr"), np.concatenate(numbers)
        features = Features.fit(matrix, spec, knobs, seed)
        tickets = features.combine(matrix, np.concatenate(categories), raw)
        heads, held = {}, {}
        for place, (head, index) in enumerate(labels.items()):
            known = index >= 0
            part, truth = tickets.take(known), index[known]
            size = len(spec.labels[head])
            heads[head], out = _fit_head(part, truth, size, knobs, (seed, place))
            if out is not None:
                held[head] = out
            report(STAGE, place + 1, len(labels), f"v1: {head}")
    return ClassicalModel(features, heads, knobs), held


class _Folds:
    """Labelled tickets of one head, each to be compared with means that its own fold had no part in.

    Args:
        tickets, truth: N records and their labels, int [N].
        total: sums over all of them.
        knobs: sizes.
        random: draws the folds, and the sample of a fold that is too large.
    """

    def __init__(
        self,
        tickets: Tickets,
        truth: np.ndarray,
        total: Sums,
        knobs: Knobs,
        random: np.random.Generator,
    ) -> None:
        self._tickets, self._truth, self._total = tickets, truth, total
        self._knobs, self._random = knobs, random
        self.count = min(knobs.folds, len(truth))
        self._fold = random.permutation(len(truth)) % self.count

    def compared(self, number: int, most: int) -> Iterator[tuple[Comparison, np.ndarray, np.ndarray]]:
        """Yield at most ``most`` tickets of a fold in pieces: compared, their candidates, their labels (int [N])."""
        rows = np.flatnonzero(self._fold == number)
        label_count = len(self._total.rows)
        mine = Sums.of(self._tickets.take(rows), self._truth[rows], label_count)
        others = Profiles.of(self._total - mine)
        if len(rows) > most:
            rows = np.sort(self._random.choice(rows, most, replace=False))
        for piece in pieces(len(rows), label_count):
            comparison = Comparison(others, self._tickets.take(rows[piece]))
            yield comparison, comparison.candidates(self._knobs.candidates), self._truth[rows[piece]]


def _fit_head(
    tickets: Tickets,
    truth: np.ndarray,
    label_count: int,
    knobs: Knobs,
    seed: tuple[int, int],
) -> tuple[Head, HeldOut | None]:
    """Fit the candidates, the ranker and the temperature of one head on its labelled tickets."""
    total = Sums.of(tickets, truth, label_count)
    profiles = Profiles.of(total)
    if label_count < 2 or len(truth) < 2:
        return Head(profiles, None, 1.0, 0.0), None
    random = np.random.default_rng(seed)
    folds = _Folds(tickets, truth, total, knobs, random)
    each = min(knobs.negatives, label_count - 1, knobs.candidates - 1) + 1
    share = knobs.pairs // (each * folds.count) + 1
    pairs, hits = [], []
    for number in range(1, folds.count):
        for comparison, candidates, labels in folds.compared(number, share):
            chosen = _with_negatives(candidates, labels[:, None], each, random)
            pairs.append(comparison.pairs(chosen))
            hits.append((chosen == labels[:, None]).ravel())
    ranker = _train_ranker(np.concatenate(pairs), np.concatenate(hits), tickets.levels.shape[1], knobs, seed[0])
    held = [
        (scores_of(ranker, comparison, candidates), candidates, labels)
        for comparison, candidates, labels in folds.compared(0, share)
    ]
    scores, candidates, labels = (np.concatenate(parts) for parts in zip(*held, strict=True))
    right = candidates == labels[:, None]
    misses = int((~right.any(axis=1)).sum())
    outside = (misses + 0.5) / (len(right) + 1) if label_count > knobs.candidates else 0.0
    head = Head(profiles, ranker, _temperature(scores, right), outside)
    return head, HeldOut(head.spread(scores, candidates), labels.astype(np.int32))


def _with_negatives(candidates: np.ndarray, right: np.ndarray, each: int, random: np.random.Generator) -> np.ndarray:
    """Return the true label and wrong candidates drawn uniformly without replacement, int64 [N, each]."""
    keys = random.random(candidates.shape)
    keys[candidates == right] = 2.0  # drawn last, so never
    drawn = np.argsort(keys, axis=1)[:, : each - 1]
    return np.concatenate([right, np.take_along_axis(candidates, drawn, axis=1)], axis=1)


def _train_ranker(pairs: np.ndarray, hits: np.ndarray, categories: int, knobs: Knobs, seed: int) -> Any:
    """Return a booster that tells true pairs (bool [P]) from others by their features (float32 [P, columns]).

    The first ``categories`` columns are levels, without an order.
    """
    import lightgbm

    parameters = {
        "objective": "binary",
        "learning_rate": knobs.rate,
        "num_leaves": knobs.leaves,
        "min_data_in_leaf": max(1, min(20, len(hits) // 20)),
        "lambda_l2": 1.0,
        "feature_fraction": 0.7,
        "feature_pre_filter": False,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # threads wait for each other at every tree: measured six times slower on a busy machine
        "verbosity": -1,
    }
    data = lightgbm.Dataset(pairs, hits.astype(np.float32), categorical_feature=list(range(categories)))
    return lightgbm.train(parameters, data, knobs.rounds)


def _temperature(scores: np.ndarray, right: np.ndarray) -> float:
    """Return the temperature at which the softmax of held-out scores explains the true candidates best.

    Args:
        scores: float64 [N, M].
        right: whether a candidate is the true one, bool [N, M]; rows without one do not count.

    The penalty ``ln(temperature)^2`` holds it near 1 where there are few tickets.
    """
    kept = right.any(axis=1)
    scores, right = scores[kept] - scores[kept].max(axis=1, keepdims=True), right[kept]
    losses = [
        np.log(np.exp(scores / temperature).sum(axis=1)).sum()
        - scores[right].sum() / temperature
        + np.log(temperature) ** 2
        for temperature in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])
