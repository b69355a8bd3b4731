"""What the reference does by itself: its parts in time compared with its rest.

Windows follow each other in time, and no desk's month is like its last one: any two of them differ by more than the
chance of drawing rows. So the reference is cut into parts, as long as the current window where it holds eight of those
and an eighth of it otherwise; the largest distance of a part to all others, beyond chance, is the reference's habit. A
change has to be larger than that before it is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontdesk.monitoring.statistics import Chance

FEWEST_PARTS, MOST_PARTS = 8, 40
FEWEST_ROWS = 30
_USABLE_PARTS = 4
HABIT_LEVEL = 0.01

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """The parts of a reference sample.

    Attributes:
        rows: per part the numbers of its rows in the sample.
        total: rows of the sample.
    """

    rows: tuple[Rows, ...]
    total: int

    def rest(self, part: Rows) -> Rows:
        """Return the rows outside a part."""
        outside = np.ones(self.total, bool)
        outside[part] = False
        return np.flatnonzero(outside)


def parts_of(reference: pa.Table, current: pa.Table, time: str | None) -> Parts | None:
    """Cut a reference sample into parts of its time; None where it has no times, or too few rows for it."""
    if time is None:
        return None
    times, ours = (_numbers(table.column(time)) for table in (reference, current))
    known = times[times >= 0]
    ours = ours[ours >= 0]
    if len(known) < FEWEST_ROWS * _USABLE_PARTS or not len(ours):
        return None
    first, length = int(known.min()), int(known.max() - known.min()) + 1
    part = min(int(ours.max() - ours.min()) + 1, -(-length // FEWEST_PARTS))
    count = min(max(length // part, FEWEST_PARTS), MOST_PARTS)
    begins = first + np.arange(count) * ((length - part) // max(count - 1, 1))
    chosen = (np.flatnonzero((times >= begin) & (times < begin + part)) for begin in begins)
    usable = tuple(rows for rows in chosen if FEWEST_ROWS <= len(rows) < len(times))
    return Parts(usable, len(times)) if len(usable) >= _USABLE_PARTS else None


def habit(
    parts: Parts | None,
    distance: Callable[[Rows, Rows], float],
    chance: Chance,
    sizes: tuple[int, int],
) -> float:
    """Return the largest score of a part against its rest, beyond what chance makes of so few rows.

    Args:
        parts: of the reference.
        distance: the score of two sets of sample rows: the rest and the part.
        chance: of the score where the windows have these `sizes`.
        sizes: rows of the reference and of the current window.
    """
    largest = 0.0
    for part in parts.rows if parts else ():
        rest = parts.rest(part) if parts else part
        score = distance(rest, part)
        scale = (1 / len(part) + 1 / max(len(rest), 1)) / (1 / sizes[0] + 1 / sizes[1])
        power = chance.power
        largest = max(largest, max(score**power - chance.quantile(HABIT_LEVEL, scale) ** power, 0.0) ** (1 / power))
    return largest


def _numbers(column: pa.ChunkedArray) -> Rows:
    """Return times in microseconds, -1 where missing or before 1970."""
    stamps = column.cast(pa.timestamp("us", "UTC") if pa.types.is_timestamp(column.type) else pa.timestamp("us"))
    return np.asarray(stamps.cast(pa.int64()).fill_null(-1).to_numpy(), np.int64)
