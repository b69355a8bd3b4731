"""A trained model's probabilities in the labels of another version, so that it serves a newer one without training.

The probabilities of merged labels are summed; a renamed label answers by its new name; a split label's go to the part
that the rules name, or in equal shares to all parts (then none of them leads, and the answer is ambiguous); a retired
label's are lost, and the rest is scaled to a distribution.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.errors import UsageError
from frontdesk.records import LabelPrediction
from frontdesk.taxonomy.history import History, Spread, When
from frontdesk.taxonomy.trees import LabelTree, Taxonomy

MOSTLY_LOST = 0.5
"""Where at least this share of the probability lay on labels that are gone, the rest says nothing."""


@dataclass(frozen=True)
class Projected:
    """Probabilities in the labels of a version.

    Attributes:
        probabilities: float32 [N, T], rows sum to 1.
        lost: share of the model's probability that lay on labels without a successor, float32 [N].
    """

    probabilities: np.ndarray
    lost: np.ndarray


class Projection:
    """From a model's labels of one head to those of a version.

    Args:
        history: the label file.
        head: one of its heads.
        labels: the model's labels, in the order of its outputs, [K].
        trained: version or day in whose names they are.
        to: version or day asked for; None: the newest.

    Attributes:
        tree: the labels that come out, [T].
        kept: which of the model's labels have a successor, bool [K].
        same: whether nothing changes.

    Raises:
        UsageError: no label is valid in the version asked for.
    """

    def __init__(self, history: History, head: str, labels: Sequence[str], trained: When, to: When = None) -> None:
        written, target = history.at(trained), history.at(to)
        self._history, self._head, self._target = history, head, target
        self.tree = LabelTree(target.labels(head), target.separators.get(head))
        if not self.tree.labels:
            raise UsageError(f"{head} has no label in version {target.name}", remedy="Ask for another version")
        names = target.heads[head]
        self._places = {label: self.tree.labels.index(name) for label, name in names.items()}
        self._ruled: list[tuple[int, str, int]] = []
        links: list[tuple[int, int, float]] = []
        self.kept = np.zeros(len(labels), bool)
        for source, label in enumerate(labels):
            found = history.find(head, label, written)
            if found is None:
                continue
            spread = history.spread(head, *found, target)
            self.kept[source] = bool(spread.shares)
            if history.rule_columns(head, *found, target):
                self._ruled.append((source, *found))
            else:
                links += [(place, source, share) for place, share in self._shares(spread)]
        links.sort()
        self._targets, self._starts = np.unique([place for place, _, _ in links], return_index=True)
        self._sources = np.array([source for _, source, _ in links], np.int64)
        self._weights = np.array([share for _, _, share in links])
        self.same = tuple(labels) == self.tree.labels and links == [(k, k, 1.0) for k in range(len(labels))]

    def apply(self, probabilities: np.ndarray, columns: Mapping[str, Sequence[Any]] | None = None) -> Projected:
        """Project probabilities.

        Args:
            probabilities: float [N, K], rows sum to 1.
            columns: raw columns of the rows, for the rules of splits; an absent one is missing in every row.
        """
        rows = len(probabilities)
        if self.same:
            return Projected(probabilities, np.zeros(rows, np.float32))
        result = np.zeros((rows, len(self.tree.labels)))
        if len(self._sources):
            parts = probabilities[:, self._sources] * self._weights
            result[:, self._targets] = np.add.reduceat(parts, self._starts, axis=1)
        for source, label, number in self._ruled:
            for row in range(rows):
                spread = self._history.spread(self._head, label, number, self._target, _row(columns or {}, row))
                for place, share in self._shares(spread):
                    result[row, place] += share * probabilities[row, source]
        total = result.sum(1, keepdims=True)
        empty = total <= 0
        result = np.where(empty, 1 / result.shape[1], result / np.where(empty, 1, total))
        lost = np.clip(1 - total[:, 0], 0, 1)
        return Projected(result.astype(np.float32), lost.astype(np.float32))

    def _shares(self, spread: Spread) -> list[tuple[int, float]]:
        return [(self._places[label], share) for label, share in spread.shares.items()]


def _row(columns: Mapping[str, Sequence[Any]], row: int) -> Any:
    def value(column: str) -> str | None:
        found = columns[column][row] if column in columns else None
        return None if found is None else str(found).strip()

    return value


class TaxonomyView:
    """A model's whole answer in the labels of a version. Heads that the label file does not know stay as they are.

    Args:
        history: the label file.
        model: the labels that the model was trained with.
        trained: version or day in whose names they are.
        to: version or day asked for; None: the newest.

    Attributes:
        version: name of the version asked for.
        taxonomy: the labels that come out.
    """

    def __init__(self, history: History, model: Taxonomy, trained: When, to: When = None) -> None:
        self.version = history.at(to).name
        self.projections = {
            head: Projection(history, head, tree.labels, trained, to)
            for head, tree in model.heads.items()
            if head in history.heads
        }
        self.taxonomy = Taxonomy(
            {
                head: LabelTree(
                    self.projections[head].tree.labels, self.projections[head].tree.separator or tree.separator
                )
                if head in self.projections
                else tree
                for head, tree in model.heads.items()
            }
        )

    @property
    def same(self) -> bool:
        """Whether what comes out is what goes in."""
        return all(projection.same for projection in self.projections.values())

    def counts(self, rows: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        """Return rows per label, given those of the model's labels, as if their labels had changed with them.

        What only a rule on other columns could tell is shared equally and rounded.
        """
        shares = {head: np.array(counts, np.float64)[None] for head, counts in rows.items()}
        totals = {head: max(float(values.sum()), 1.0) for head, values in shares.items()}
        moved = self.apply({head: values / totals[head] for head, values in shares.items()})
        return {
            head: tuple(np.rint(made.probabilities[0] * (1 - made.lost[0]) * totals[head]).astype(int).tolist())
            for head, made in moved.items()
        }

    def apply(
        self, probabilities: Mapping[str, np.ndarray], columns: Mapping[str, Sequence[Any]] | None = None
    ) -> dict[str, Projected]:
        """Project the probabilities of every head; see `Projection.apply`."""
        return {
            head: self.projections[head].apply(values, columns)
            if head in self.projections
            else Projected(values, np.zeros(len(values), np.float32))
            for head, values in probabilities.items()
        }


def hold_back(
    answers: Sequence[LabelPrediction], lost: np.ndarray, *, auto: float | None, new_labels: Collection[str] = ()
) -> list[LabelPrediction]:
    """Take back decisions that a change of labels has made unsafe.

    A threshold was learnt on the model's own probabilities, so what was lost counts against an answer: it abstains
    where `MOSTLY_LOST`, and is not automatic where its probability before scaling is below the threshold (both with
    the reason ``retired``). A label that still starts from prototypes is suggested at most (``prototype``).

    Args:
        answers: of one head, decided on projected probabilities, [N].
        lost: `Projected.lost`, [N].
        auto: the head's threshold of automatic answers; None: there are none.
        new_labels: labels with too few examples.
    """
    return [_held(answer, float(share), auto, new_labels) for answer, share in zip(answers, lost, strict=True)]


def _held(answer: LabelPrediction, lost: float, auto: float | None, new_labels: Collection[str]) -> LabelPrediction:
    if lost >= MOSTLY_LOST:
        return answer.model_copy(update={"decision": "abstain", "level": "none", "reason": "retired"})
    if answer.label in new_labels and answer.decision != "abstain":
        return answer.model_copy(update={"decision": "suggest", "level": "suggest", "reason": "prototype"})
    if answer.decision != "auto":
        return answer
    if lost and (auto is None or answer.confidence * (1 - lost) < auto):
        return answer.model_copy(update={"decision": "suggest", "level": "suggest", "reason": "retired"})
    return answer
