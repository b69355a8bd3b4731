"""What a model says of the test rows, reduced to a few values per row.

The probabilities of a batch are thousands of labels wide; only what the metrics need is kept, so that the test set may
have as many rows as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from frontdesk.decisions import HeadPolicy, Policy, decide
from frontdesk.evaluation.metrics import top_three
from frontdesk.preprocessing.encoding import level
from frontdesk.preprocessing.spec import NO_LABEL, Spec
from frontdesk.taxonomy import LabelTree, Projected, Taxonomy, hold_back

DECISIONS = ("auto", "suggest", "abstain")
_ROWS_AT_ONCE = 2048


class Model(Protocol):
    """What evaluation needs of a bundle."""

    @property
    def spec(self) -> Spec:
        """The fitted values, with the catalogue of every head."""

    def project(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, Projected]:
        """Return calibrated probabilities per head, float32 [N, K], in the labels of the spec."""


@dataclass(frozen=True)
class Outcome:
    """One head of one model on N test rows.

    Attributes:
        names: labels of the catalogue, then those that only the test rows have.
        known: labels in the catalogue.
        truth: index into `names`, or `NO_LABEL`, int64 [N].
        predicted: the most likely label, int64 [N].
        top: the three most likely, int64 [N, 3].
        confidence: probability of the prediction, float32 [N].
        truth_probability: probability of the true label, 0 for an unseen one, float32 [N].
        squares: sum of squared probabilities, float32 [N].
        raw_confidence, raw_truth_probability: the same without temperature scaling.
        decision: index into `DECISIONS`, int8 [N]; empty without a policy.
        node: the node answered after back-off (an ancestor, the label itself, or "" for neither), [N]; empty without a
            policy.
    """

    names: tuple[str, ...]
    known: int
    truth: np.ndarray
    predicted: np.ndarray
    top: np.ndarray
    confidence: np.ndarray
    truth_probability: np.ndarray
    squares: np.ndarray
    raw_confidence: np.ndarray
    raw_truth_probability: np.ndarray
    decision: np.ndarray
    node: list[str]

    @property
    def labelled(self) -> np.ndarray:
        """Rows that have a label, bool [N]."""
        return np.asarray(self.truth != NO_LABEL)

    @property
    def correct(self) -> np.ndarray:
        """Whether the prediction is right, bool [N]; never for a row without a label."""
        return np.asarray(self.truth == self.predicted)


class Truths:
    """Turns label cells into indices; a label outside the catalogue gets the next free index behind it.

    Args:
        catalogue: the labels that the model knows.
    """

    def __init__(self, catalogue: Sequence[str]) -> None:
        self.known = len(catalogue)
        self._places = {label: index for index, label in enumerate(catalogue)}

    @property
    def names(self) -> tuple[str, ...]:
        """Every label so far, by index."""
        return tuple(self._places)

    def indices(self, cells: Sequence[Any]) -> np.ndarray:
        """Return the indices of label cells, `NO_LABEL` for an empty one, int64 [N]."""
        texts = (level(cell) for cell in cells)
        return np.array(
            [NO_LABEL if text is None else self._places.setdefault(text, len(self._places)) for text in texts], np.int64
        )


def without_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return what the probabilities were before temperature scaling: ``p ** T`` renormalised, float32 [N, K]."""
    if temperature == 1:
        return probabilities
    with np.errstate(divide="ignore"):
        scaled = np.log(probabilities) * np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def inputs_of(batch: pa.RecordBatch, fields: Iterable[str]) -> dict[str, list[Any]]:
    """Return the input columns of a batch as lists; a column that the table lacks is missing in every row."""
    return {name: batch.column(name).to_pylist() for name in fields if name in batch.schema.names}


def in_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut batches to a size whose probabilities fit into memory."""
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            yield batch.slice(start, _ROWS_AT_ONCE)


def measure(
    model: Model,
    batches: Iterable[pa.RecordBatch],
    *,
    temperatures: Mapping[str, float] | None = None,
    policy: Policy | None = None,
    has_text: np.ndarray | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, Outcome]:
    """Predict test rows and keep what the metrics need, per head.

    Args:
        model: a bundle.
        batches: raw rows with their labels.
        temperatures: the temperature that each head's probabilities contain; 1 where not given.
        policy: with it, every row is also decided on as the server would.
        has_text: whether a row has text, bool [N]; goes with ``policy``.
        progress: is told the rows done so far.
    """
    spec = model.spec
    taxonomy = Taxonomy.of(spec)
    temperatures = temperatures or {}
    gathered: dict[str, list[dict[str, Any]]] = {head: [] for head in spec.labels}
    truths = {head: Truths(labels) for head, labels in spec.labels.items()}
    done = 0
    for batch in in_pieces(batches):
        rows = batch.num_rows
        answers = model.project(inputs_of(batch, spec.fields), rows)
        for head, truth in truths.items():
            cells = batch.column(head).to_pylist() if head in batch.schema.names else [None] * rows
            part = _reduce(answers[head].probabilities, truth.indices(cells), temperatures.get(head, 1.0))
            if policy is not None and head in policy.heads:
                readable = np.ones(rows, bool) if has_text is None else has_text[done : done + rows]
                part |= _decided(answers[head], readable, taxonomy.heads[head], policy.heads[head])
            gathered[head].append(part)
        done += rows
        progress(done)
    return {head: _outcome(truth, gathered[head]) for head, truth in truths.items()}


def _reduce(probabilities: np.ndarray, truth: np.ndarray, temperature: float) -> dict[str, Any]:
    rows, known = probabilities.shape
    every = np.arange(rows)
    top = top_three(probabilities)
    raw = without_temperature(probabilities, temperature)
    seen = (truth >= 0) & (truth < known)
    place = np.where(seen, truth, 0)
    return {
        "truth": truth,
        "top": top,
        "confidence": probabilities[every, top[:, 0]],
        "truth_probability": np.where(seen, probabilities[every, place], 0).astype(np.float32),
        "squares": np.einsum("nk,nk->n", probabilities, probabilities),
        "raw_confidence": raw.max(axis=1),
        "raw_truth_probability": np.where(seen, raw[every, place], 0).astype(np.float32),
    }


def _decided(made: Projected, has_text: np.ndarray, tree: LabelTree, policy: HeadPolicy) -> dict[str, Any]:
    answers = decide(made.probabilities, has_text.tolist(), tree, policy)
    answers = hold_back(answers, made.lost, auto=policy.auto)
    return {
        "decision": np.array([DECISIONS.index(answer.decision) for answer in answers], np.int8),
        "node": [
            answer.label if answer.decision == "auto" else answer.backoff.label if answer.backoff else ""
            for answer in answers
        ],
    }


def _outcome(truths: Truths, parts: list[dict[str, Any]]) -> Outcome:
    def column(name: str, dtype: type, width: tuple[int, ...] = ()) -> np.ndarray:
        return np.concatenate([np.zeros((0, *width), dtype), *(part[name] for part in parts if name in part)])

    top = column("top", np.int64, (3,))
    return Outcome(
        names=truths.names,
        known=truths.known,
        truth=column("truth", np.int64),
        predicted=top[:, 0],
        top=top,
        confidence=column("confidence", np.float32),
        truth_probability=column("truth_probability", np.float32),
        squares=column("squares", np.float32),
        raw_confidence=column("raw_confidence", np.float32),
        raw_truth_probability=column("raw_truth_probability", np.float32),
        decision=column("decision", np.int8),
        node=[name for part in parts for name in part.get("node", [])],
    )
