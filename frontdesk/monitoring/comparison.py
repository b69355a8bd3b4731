"""The comparison of two tables of one recipe: `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from frontdesk.monitoring.verdict import Kind, Verdict

FALSE_ALARM_RATE = 0.01


@dataclass(frozen=True)
class Watched:
    """A column to compare.

    Attributes:
        name: the column in both tables.
        kind: what it is to the model.
        type: how it is read: levels (strings or booleans), numbers, or texts.
    """

    name: str
    kind: Kind
    type: Literal["categorical", "numeric", "text"]


def compare(
    reference: pa.Table,
    current: pa.Table,
    watched: Sequence[Watched],
    *,
    time: str | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    seed: int = 0,
) -> Verdict:
    """Compare two windows, column by column. A pure function of its arguments.

    Args:
        reference: what is normal; better several windows long than one.
        current: what came in.
        watched: the columns; both tables have them. Others are ignored.
        time: a column of time stamps (microseconds, UTC) in both tables, or None. With it, what counts as normal
            contains the reference's own changes from block to block of its time.
        false_alarm_rate: of a whole comparison, over all columns together, where nothing changed.
        seed: of the resampling that sets the thresholds.

    Raises:
        EmptyTable: a window has no row.
        BadColumns: a watched column is missing, is not of its type, or holds an infinite number.
    """
    raise NotImplementedError
