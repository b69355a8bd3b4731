"""Whether a confidence means what it says: temperature scaling, calibration error, automation.

Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15
_COLDEST, _HOTTEST = 0.05, 20.0
_CHUNK = 4096


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T that minimises the negative log-likelihood of ``softmax(logits / T)``.

    The likelihood is convex in 1/T, so Newton steps inside a shrinking bracket find the one minimum.

    Args:
        logits: float [N, K].
        labels: int [N]; negative ones (no label, unseen label) are left out.

    Returns:
        T in [0.05, 20]; 1 where no row has a label.
    """
    kept = np.flatnonzero(labels >= 0)
    if len(kept) == 0:
        return 1.0
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    sharpness = 1.0
    for _ in range(40):
        slope, curvature = _derivatives(logits, labels, kept, sharpness)
        if slope > 0:
            high = sharpness
        else:
            low = sharpness
        step = sharpness - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - sharpness) <= 1e-7 * sharpness or high / low < 1 + 1e-7:
            break
        sharpness = following
    return float(1 / min(max(sharpness, 1 / _HOTTEST), 1 / _COLDEST))


def _derivatives(logits: np.ndarray, labels: np.ndarray, kept: np.ndarray, sharpness: float) -> tuple[float, float]:
    """Return the first and second derivative of the mean negative log-likelihood by ``sharpness`` = 1/T."""
    slope = curvature = 0.0
    for start in range(0, len(kept), _CHUNK):
        rows = kept[start : start + _CHUNK]
        values = logits[rows].astype(np.float64)
        values -= values.max(axis=1, keepdims=True)
        weights = np.exp(sharpness * values)
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (weights * values).sum(axis=1)
        slope += float((mean - values[np.arange(len(rows)), labels[rows]]).sum())
        curvature += float(((weights * values**2).sum(axis=1) - mean**2).sum())
    return slope / len(kept), curvature / len(kept)


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, by bins that hold at least one row.

    Attributes:
        confidence: mean confidence of a bin, float64 [B].
        accuracy: share of correct rows, float64 [B].
        rows: int64 [B].
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    rows: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the bins' gaps, weighted by their rows; 0 for no rows."""
        total = self.rows.sum()
        return float((self.rows * np.abs(self.confidence - self.accuracy)).sum() / total) if total else 0.0


def bins_by_mass(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the bin of each row, int64 [N]: bins of equal numbers of rows, equal confidences in one bin."""
    if len(confidence) == 0:
        return np.zeros(0, np.int64)
    # A row's bin is that of the first row with the same confidence, so that the order of rows cannot matter.
    first = np.searchsorted(np.sort(confidence), confidence, side="left")
    return first * bins // len(confidence)


def bins_by_width(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the bin of each row, int64 [N]: bins of equal width on [0, 1]."""
    return np.clip((confidence * bins).astype(np.int64), 0, bins - 1)


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: np.ndarray) -> Reliability:
    """Return the reliability curve.

    Args:
        confidence: probability of the predicted label, [N].
        correct: whether it was right, bool [N].
        bins: bin of each row, int [N], from `bins_by_mass` or `bins_by_width`.
    """
    rows = np.bincount(bins)
    kept = rows > 0
    rows = rows[kept]
    sums = np.bincount(bins, weights=confidence.astype(np.float64))[kept]
    hits = np.bincount(bins, weights=correct.astype(np.float64))[kept]
    return Reliability(sums / rows, hits / rows, rows)


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the calibration error that is reported as ``ece``: 15 bins of equal mass.

    Bins of equal width leave most rows of a good model in one bin, so equal mass is the headline.
    """
    return reliability(confidence, correct, bins_by_mass(confidence)).error


@dataclass(frozen=True)
class Automation:
    """What happens when every row from the most confident down to some confidence is answered without a person.

    Attributes:
        coverage: share of rows answered, rising, float64 [P].
        precision: share of the answered that are right, float64 [P].
        threshold: the confidence that gives it, falling, float64 [P].
    """

    coverage: np.ndarray
    precision: np.ndarray
    threshold: np.ndarray

    def at(self, target: float) -> tuple[float, float | None]:
        """Return the largest coverage of a precision of at least ``target`` and its threshold, or (0, None)."""
        reached = np.flatnonzero(self.precision >= target)
        if len(reached) == 0:
            return 0.0, None
        return float(self.coverage[reached[-1]]), float(self.threshold[reached[-1]])


def automation(confidence: np.ndarray, correct: np.ndarray) -> Automation:
    """Return coverage and precision for every distinct confidence; rows of equal confidence go together."""
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order].astype(np.float64)
    hits = np.cumsum(correct[order].astype(np.int64))
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], len(falling) > 0)[: len(falling)])
    answered = last + 1
    return Automation(answered / max(len(falling), 1), hits[last] / answered, falling[last])
