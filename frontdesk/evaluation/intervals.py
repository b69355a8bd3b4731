"""How sure a figure is: intervals of a share, and of the difference between two models on the same rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from frontdesk.evaluation.calibration import BINS, bins_by_mass
from frontdesk.evaluation.metrics import ratio

RESAMPLES = 1_000
_Z = 1.959964
_CELLS_AT_ONCE = 2_000_000


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share (Wilson 1927); (0, 1) for no rows."""
    if rows == 0:
        return 0.0, 1.0
    share = hits / rows
    spread = _Z * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2))
    centre = share + _Z**2 / (2 * rows)
    scale = 1 + _Z**2 / rows
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True)
class Difference:
    """A difference between two models on the same rows, and its bootstrap interval."""

    value: float
    low: float
    high: float


def _interval(value: float, resampled: np.ndarray, level: float) -> Difference:
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Difference(value, float(low), float(high))


def accuracy_difference(
    first: np.ndarray, second: np.ndarray, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Difference:
    """Return accuracy(first) - accuracy(second) with its paired bootstrap interval.

    A resample of the rows is a multinomial draw over the three things that a row can be: only the first model right,
    only the second right, no difference. So the cost does not depend on the rows, nor the result on their order.

    Args:
        first, second: whether each model is right, bool [N], N > 0.
    """
    rows = len(first)
    gained = int(np.sum(first & ~second))
    lost = int(np.sum(~first & second))
    shares = np.array([gained, lost, rows - gained - lost]) / rows
    drawn = np.random.default_rng(seed).multinomial(rows, shares, size=resamples)
    return _interval((gained - lost) / rows, (drawn[:, 0] - drawn[:, 1]) / rows, level)


def macro_f1_difference(
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Difference:
    """Return macro-F1(first) - macro-F1(second) with its paired bootstrap interval.

    Rows with the same truth and the same two predictions form a cell; a resample draws the cells' counts. In a resample
    the average is over the classes that occur in it.

    Args:
        truth, first, second: classes, int [N], N > 0.
    """
    classes, places = np.unique(np.concatenate([truth, first, second]), return_inverse=True)
    cells, counts = np.unique(places.reshape(3, -1), axis=1, return_counts=True)
    generator = np.random.default_rng(seed)
    rows, shares = len(truth), counts / len(truth)
    value = _macro_f1(counts[None], cells, len(classes))[0]
    step = max(1, _CELLS_AT_ONCE // max(len(counts), len(classes)))
    resampled = [
        _macro_f1(generator.multinomial(rows, shares, size=min(step, resamples - start)), cells, len(classes))
        for start in range(0, resamples, step)
    ]
    return _interval(float(value), np.concatenate(resampled), level)


def calibration_difference(
    confidence: tuple[np.ndarray, np.ndarray],
    correct: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Difference:
    """Return calibration error(first) - calibration error(second) with its paired bootstrap interval.

    The error is a sum of absolute gaps between confidence and correctness, one per bin and model. Over resamples of
    many rows these gaps are jointly normal, so they are drawn from that distribution instead of from the rows.

    Args:
        confidence, correct: of the first and the second model, [N] each, N > 0.
    """
    rows = len(confidence[0])
    bins = [bins_by_mass(values) for values in confidence]
    gaps = [np.asarray(values, np.float64) - right for values, right in zip(confidence, correct, strict=True)]
    means = [np.bincount(place, gap, minlength=BINS) / rows for place, gap in zip(bins, gaps, strict=True)]
    mean = np.concatenate(means)
    squares = [np.bincount(place, gap**2, minlength=BINS) / rows for place, gap in zip(bins, gaps, strict=True)]
    moments = np.diag(np.concatenate(squares))
    crossed = np.bincount(bins[0] * BINS + bins[1], gaps[0] * gaps[1], minlength=BINS * BINS).reshape(BINS, BINS) / rows
    moments[:BINS, BINS:], moments[BINS:, :BINS] = crossed, crossed.T
    covariance = (moments - np.outer(mean, mean)) / rows
    drawn = np.random.default_rng(seed).multivariate_normal(
        mean, covariance, size=resamples, check_valid="ignore", method="eigh"
    )
    errors = [np.abs(values).sum(axis=-1) for values in (mean[:BINS], mean[BINS:], drawn[:, :BINS], drawn[:, BINS:])]
    return _interval(float(errors[0] - errors[1]), errors[2] - errors[3], level)


def _macro_f1(counts: np.ndarray, cells: np.ndarray, classes: int) -> np.ndarray:
    """Return macro-F1(first) - macro-F1(second) of each resample, float64 [R], from its cells' counts [R, M]."""
    truth, first, second = cells
    support = _sum_by_class(counts, truth, classes)
    macro = []
    for predicted in (first, second):
        hit = predicted == truth
        occurs = support + _sum_by_class(counts, predicted, classes)
        f1 = ratio(2 * _sum_by_class(counts[:, hit], truth[hit], classes), occurs)
        macro.append(f1.sum(axis=1) / (occurs > 0).sum(axis=1))
    return np.asarray(macro[0] - macro[1])


def _sum_by_class(counts: np.ndarray, classes: np.ndarray, size: int) -> np.ndarray:
    """Return the sums of ``counts`` [R, M] over the cells of each class, int64 [R, size]."""
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    result = np.zeros((len(counts), size), np.int64)
    if len(present):
        result[:, present] = np.add.reduceat(counts[:, order], starts, axis=1)
    return result
