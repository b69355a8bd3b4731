"""Order statistics and scales of one numeric field, from its distinct values and how often each occurs."""

from __future__ import annotations

import math

import numpy as np

from frontdesk.preprocessing.spec import Number

_TAIL = 0.005
_LEAST_ROWS = 20
"""Below this many values none is called extreme."""
_KNOTS = 8
_EVEN = 1e-12
"""A deviation below this share of the largest value is rounding, not spread."""
_SMALLEST_SCALE = 1e-30


def fit_number(values: np.ndarray, counts: np.ndarray, rows: int) -> Number:
    """Fit a numeric field.

    The fill is the median (linear between the two middle values). Mean and scale (population standard deviation) are
    those of the rows with missing values filled and the outer 0.5 % of the values on each side (one at least) drawn in
    to the next one, so a single 1e308 among ordinary values changes neither. A field without spread has scale 1.

    Args:
        values: the distinct finite values, ascending, float64 [D].
        counts: rows per value, int64 [D].
        rows: all rows, those without a value included.

    Returns:
        The fitted field, every value of it finite.
    """
    if not len(values):
        return Number(fill=0.0, mean=0.0, scale=1.0)
    usual = Number(0.0, 0.0, 1.0)
    values = np.clip(values, usual.low, usual.high)  # as the network does
    fill = quantile(values, counts, 0.5)
    mean, scale = _moments(values, counts, rows, fill)
    return Number(fill=fill, mean=mean, scale=scale)


def fit_time(values: np.ndarray, counts: np.ndarray, rows: int) -> Number:
    """Fit the time of creation, in days: clamped to the training range, a missing one is the newest, octiles are knots.

    Args and values as in `fit_number`, but at least one value.
    """
    low, high = float(values[0]), float(values[-1])
    mean, scale = _moments(values, counts, rows, high)
    knots: tuple[float, ...] = ()
    if np.floor(low) < np.floor(high):
        octiles = {quantile(values, counts, step / _KNOTS) for step in range(1, _KNOTS)}
        knots = tuple(sorted(knot for knot in octiles if knot < high))  # nothing is later than the newest
    return Number(fill=high, mean=mean, scale=scale, low=low, high=high, knots=knots)


def quantile(values: np.ndarray, counts: np.ndarray, share: float) -> float:
    """Return the quantile of a sorted histogram, linear between neighbours (as NumPy's, and Spark's `percentile`)."""
    ends = np.cumsum(counts)
    place = share * (int(ends[-1]) - 1)
    below = int(place)
    left, right = np.searchsorted(ends, [below, min(below + 1, int(ends[-1]) - 1)], side="right")
    part = place - below
    return float(values[left] + (values[right] - values[left]) * part)


def _inner_range(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest value after the extreme ones are left out."""
    ends = np.cumsum(counts)
    total = int(ends[-1])
    extreme = max(1, round(_TAIL * total)) if total >= _LEAST_ROWS else 0
    low, high = np.searchsorted(ends, [extreme, total - 1 - extreme], side="right")
    return float(values[low]), float(values[high])


def _moments(values: np.ndarray, counts: np.ndarray, rows: int, fill: float) -> tuple[float, float]:
    low, high = _inner_range(values, counts)
    drawn = np.append(np.clip(values, low, high), np.clip(fill, low, high))
    weights = np.append(counts, rows - int(counts.sum())) / rows
    # In units of the largest value: squares and sums of 1e300 would not be finite.
    unit = float(np.abs(drawn).max()) or 1.0
    drawn = drawn / unit
    mean = math.fsum(drawn * weights)  # exact, so the same on every processor
    deviation = math.sqrt(math.fsum(np.square(drawn - mean) * weights))
    scale = deviation * unit
    if deviation < _EVEN or scale < _SMALLEST_SCALE:
        scale = 1.0
    return mean * unit, scale
