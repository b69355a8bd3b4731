"""Streams of records whose distribution is known exactly, with changes of known size: to judge a drift monitor by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

_FIRST = np.datetime64("2025-01-01", "us")
_DAY = np.timedelta64(86_400_000_000, "us")
CHANGES = ("share", "number", "missing", "new level", "routing")
"""What can change: the share of one level, the middle of a number, values that are there, a level that was never seen,
which label a level leads to."""


@dataclass(frozen=True)
class Change:
    """A change of known size.

    Attributes:
        what: one of `CHANGES`.
        size: the share of rows that are other ones; of ``number`` the shift in standard deviations.
    """

    what: str
    size: float


def stream(
    rows: int,
    rng: np.random.Generator,
    *,
    change: Change | None = None,
    first_day: float = 0.0,
    days: float = 30.0,
    seasons: float = 0.0,
    season_seed: int = 0,
) -> pa.Table:
    """Make records.

    Args:
        rows: how many.
        rng: of the rows.
        change: acts on all rows.
        first_day, days: the time that they are spread over.
        seasons: how much the shares of `channel` and the middle of `amount` wander from month to month: the standard
            deviation of their logarithms (and of the amount, in its own).
        season_seed: of the months.

    Returns:
        ``at``, ``paid`` (two levels), ``channel`` (12), ``product`` (600, most of them rare), ``queue`` (by the
        channel, 5), ``amount`` (normal), ``total`` (log-normal, heavy at the end), ``visits`` (counts), one value in
        ten of ``visits`` missing.
    """
    at = first_day + days * np.sort(rng.random(rows))
    months = (at // 30).astype(np.int64)
    moods = np.random.default_rng(season_seed).normal(0.0, seasons, (int(months.max(initial=0)) + 1, 13))
    weights = np.exp(moods[:, :12]) / np.arange(1, 13)
    bounds = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
    channel = np.minimum((rng.random(rows)[:, None] > bounds[months]).sum(1), 11)
    amount = rng.normal(0.0, 1.0, rows) + moods[months, 12]
    product = np.minimum(rng.zipf(1.3, rows), 600)
    paid = rng.random(rows) < 0.3
    absent = rng.random(rows) < 0.1
    chosen = rng.random(rows)
    if change is not None and change.what == "share":
        channel = np.where(chosen < change.size, 5, channel)
    queue = np.where(rng.random(rows) < 0.9, channel % 5, rng.integers(0, 5, rows))
    if change is not None:
        hit = chosen < change.size
        if change.what == "number":
            amount = amount + change.size
        elif change.what == "missing":
            absent |= hit
        elif change.what == "new level":
            product = np.where(hit, 9_999, product)
        elif change.what == "routing":
            # All of it in one channel, whose share of the rows is about 0.32.
            queue = np.where((channel == 0) & (chosen < change.size / 0.32), 4, queue)
    return pa.table(
        {
            "at": pa.array(_FIRST + (at * _DAY.astype(np.int64)).astype("timedelta64[us]"), pa.timestamp("us", "UTC")),
            "paid": pa.array(paid),
            "channel": _named("channel", channel),
            "product": _named("product", product),
            "queue": _named("queue", queue),
            "amount": pa.array(amount),
            "total": pa.array(rng.lognormal(3.0, 1.5, rows)),
            "visits": pa.array(rng.poisson(2.0, rows).astype(np.float64), mask=absent),
        }
    )


def _named(name: str, codes: np.ndarray) -> pa.DictionaryArray:
    names, places = np.unique(codes, return_inverse=True)
    levels = pa.array([f"{name} {code}" for code in names], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), levels)
