"""Metrics of a closed-set classifier, in numpy.

A truth is the index of a label in the catalogue. Two other values mean something: `NO_LABEL` (-1), a row that the head
leaves out, and whatever the catalogue does not hold, a label that training never saw: `UNSEEN_LABEL` (-2), or indices
behind the catalogue where several such labels shall stay apart. An unseen label can never be predicted, so it counts
as an error in every figure, and as a class of its own with an F1 of zero in the macro average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.preprocessing.spec import NO_LABEL

OTHER = -9
"""The class of a confusion matrix that gathers all labels outside the most frequent."""

NO_CANDIDATE = -3
"""Fills the places of a top list that is shorter than three because the catalogue is."""


@dataclass(frozen=True)
class PerLabel:
    """Figures of each class that occurs in the truths or in the predictions, by rising class.

    Attributes:
        classes: int64 [C].
        precision, recall, f1: float64 [C]; 0 where the denominator is 0.
        support: rows of the class, int64 [C].
        predicted: predictions of the class, int64 [C].
    """

    classes: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    predicted: np.ndarray


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return ``numerator / denominator`` as float64, 0 where the denominator is 0."""
    result = np.zeros(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)))
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) != 0)
    return result


def per_label(truth: np.ndarray, predicted: np.ndarray) -> PerLabel:
    """Return precision, recall and F1 of every class.

    Args:
        truth: classes, int [N], without `NO_LABEL`.
        predicted: classes, int [N].
    """
    classes, places = np.unique(np.concatenate([truth, predicted]).astype(np.int64), return_inverse=True)
    true, guess = places[: len(truth)], places[len(truth) :]
    support = np.bincount(true, minlength=len(classes))
    guessed = np.bincount(guess, minlength=len(classes))
    hits = np.bincount(true[true == guess], minlength=len(classes))
    return PerLabel(
        classes,
        precision=ratio(hits, guessed),
        recall=ratio(hits, support),
        f1=ratio(2 * hits, support + guessed),
        support=support,
        predicted=guessed,
    )


def rounded(value: float | None, digits: int = 6) -> float | None:
    """Return a figure for JSON: rounded, and None for what is not a finite number."""
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), digits)


def classification(truth: np.ndarray, predicted: np.ndarray, top: np.ndarray, known: int) -> dict[str, Any]:
    """Return the figures of one head.

    The averages are those of scikit-learn with ``zero_division=0`` over the classes that occur in truth or prediction.

    Args:
        truth: classes, int [N]; rows of `NO_LABEL` are left out.
        predicted: classes, int [N].
        top: the three most likely classes, int [N, 3], padded with `NO_CANDIDATE`.
        known: labels in the catalogue; every other truth is unseen.

    Returns:
        Accuracy, top3, macro and weighted figures (None without a labelled row); ``n`` labelled rows, of which
        ``unseen`` have a label that training never saw; ``classes`` averaged over.
    """
    labelled = truth != NO_LABEL
    truth, predicted, top = truth[labelled], predicted[labelled], top[labelled]
    count = len(truth)
    names = ("accuracy", "macro_f1", "top3", "macro_precision", "macro_recall", "weighted_f1")
    if count == 0:
        return dict.fromkeys(names) | {"n": 0, "unseen": 0, "classes": 0}
    report = per_label(truth, predicted)
    figures = {
        "accuracy": np.mean(truth == predicted),
        "macro_f1": report.f1.mean(),
        "top3": np.mean((top == truth[:, None]).any(axis=1)),
        "macro_precision": report.precision.mean(),
        "macro_recall": report.recall.mean(),
        "weighted_f1": np.average(report.f1, weights=report.support),
    }
    return {name: rounded(value) for name, value in figures.items()} | {
        "n": count,
        "unseen": int(np.sum((truth < 0) | (truth >= known))),
        "classes": len(report.classes),
    }


def top_three(probabilities: np.ndarray) -> np.ndarray:
    """Return the three most likely classes, best first, ties by the lower index, int64 [N, 3].

    A catalogue of fewer than three labels leaves `NO_CANDIDATE` behind.
    """
    rows, classes = probabilities.shape
    result = np.full((rows, 3), NO_CANDIDATE, np.int64)
    rest = probabilities.copy()
    every = np.arange(rows)
    for place in range(min(3, classes)):
        best = rest.argmax(axis=1)
        result[:, place] = best
        rest[every, best] = -np.inf
    return result


def negative_log_likelihood(truth_probability: np.ndarray) -> float | None:
    """Return the mean of ``-ln p(truth)`` in nats, p at least 1e-12; None for no rows.

    A label that training never saw has no probability: leave its rows out and say so.
    """
    if len(truth_probability) == 0:
        return None
    return float(-np.log(np.maximum(truth_probability.astype(np.float64), 1e-12)).mean())


def brier(truth_probability: np.ndarray, squares: np.ndarray) -> float | None:
    """Return the multi-class Brier score, 0 (perfect) to 2: mean over rows of the squared distance to the truth.

    Args:
        truth_probability: probability of the true label, [N], 0 for an unseen one.
        squares: sum of the squared probabilities of a row, [N].
    """
    if len(squares) == 0:
        return None
    return float(np.mean(squares.astype(np.float64) - 2 * truth_probability.astype(np.float64) + 1))


def confusion(truth: np.ndarray, predicted: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the most frequent true classes and their confusion matrix.

    Returns:
        classes: by falling support, int64 [C]; `OTHER` last where more than ``limit`` classes occur.
        counts: rows are truths, columns predictions, int64 [C, C].
    """
    report = per_label(truth, predicted)
    order = np.lexsort((report.classes, -report.predicted, -report.support))
    shown = report.classes[order[:limit]]
    place = {int(value): index for index, value in enumerate(shown)}
    rest = len(shown)
    fold = np.array([place.get(int(value), rest) for value in report.classes], np.int64)
    size = rest + (len(report.classes) > limit)
    true = fold[np.searchsorted(report.classes, truth)]
    guess = fold[np.searchsorted(report.classes, predicted)]
    counts = np.bincount(true * size + guess, minlength=size * size).reshape(size, size)
    return (shown if size == rest else np.append(shown, OTHER)), counts


def confused_pairs(truth: np.ndarray, predicted: np.ndarray, limit: int) -> list[tuple[int, int, int]]:
    """Return the most frequent errors as (truth, prediction, rows), most rows first."""
    wrong = truth != predicted
    pairs, counts = np.unique(np.stack([truth[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:limit]
    return [(int(pairs[place, 0]), int(pairs[place, 1]), int(counts[place])) for place in order]
