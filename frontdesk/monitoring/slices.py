"""Parts of two windows, compared by themselves: a change of one language or line may be small in the whole.

The whole and its parts share one false-alarm rate, half for the whole and half for all parts together, so that looking
at parts costs no more false alarms than not looking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.errors import UsageError
from frontdesk.monitoring.comparison import compare_windows
from frontdesk.monitoring.verdict import LEVELS, Slice, Verdict
from frontdesk.monitoring.windows import LevelCounter, Watched, Window

LEAST_ROWS = 100
"""Sampled rows of a part in either window; parts with fewer are noted, not compared."""
MOST_PARTS = 8
"""Of a column: the most frequent values of the reference."""


def columns_named(names: Sequence[str], watched: Sequence[Watched]) -> list[Watched]:
    """Return the columns that somebody named, by the table's words or ours. Raises `UsageError` for one that is not."""
    usable = [each for each in watched if each.type == "categorical" and each.kind in ("input", "label")]
    found = []
    for name in names:
        each = next((one for one in usable if name in (one.title, one.name)), None)
        if each is None:
            known = ", ".join(one.title for one in usable) or "none"
            raise UsageError(f"the tables have no levels {name!r}", where="--by", remedy=f"Columns: {known}")
        found.append(each)
    return list(dict.fromkeys(found))


def compare_parts(
    reference: Window,
    current: Window,
    watched: Sequence[Watched],
    by: Sequence[Watched],
    *,
    time: str | None,
    false_alarm_rate: float,
    seed: int,
) -> tuple[tuple[Slice, ...], list[str]]:
    """Compare the parts of two windows; return them worst first, and notes on what was left out.

    Args:
        by: the columns whose values make the parts; the samples of both windows hold them.
        false_alarm_rate: of all parts together.
    """
    pairs: list[tuple[str, Watched, dict[str, int], Window, Window]] = []
    notes = []
    for each in by:
        counts = reference.levels[each.name].counts
        few = 0
        for value in sorted(counts, key=lambda level: (-counts[level], level))[:MOST_PARTS]:
            rows = {"reference": counts[value], "current": current.levels[each.name].counts[value]}
            sides = [part_of(window, each.name, value, watched) for window in (reference, current)]
            if min(side.rows for side in sides) < LEAST_ROWS:
                few += 1
                continue
            pairs.append((f"{each.title}={value}", each, rows, sides[0], sides[1]))
        left = few + max(len(counts) - MOST_PARTS, 0)
        if left:
            notes.append(f"{left:,} parts by {each.title} are too small or too many and were not compared")
    found = [
        _compared(name, rows, compare_windows(
            before, now, _inside(watched, each), time=time, false_alarm_rate=false_alarm_rate / len(pairs), seed=seed
        ))
        for name, each, rows, before, now in pairs
    ]  # fmt: skip
    return tuple(sorted(found, key=_badness)), notes


def part_of(window: Window, column: str, value: str, watched: Sequence[Watched]) -> Window:
    """Return the rows of a window's samples with one value."""
    tables = tuple(table.filter(pc.equal(table.column(column).cast(pa.string()), value)) for table in window.samples)
    levels: dict[str, LevelCounter] = {}
    missing: dict[str, int] = {}
    counted: dict[str, int] = {}
    for each in watched:
        table = next(table for table in tables if each.name in table.column_names)
        counted[each.name] = table.num_rows
        if each.type == "categorical":
            levels[each.name] = LevelCounter()
            levels[each.name].add(table.column(each.name))
        else:
            missing[each.name] = table.column(each.name).null_count
    return Window(tables, tables[0].num_rows, levels, missing, counted=counted)


def _inside(watched: Sequence[Watched], by: Watched) -> list[Watched]:
    """Return what can be compared inside a part: its own column is the same everywhere."""
    others = [each for each in watched if each.name != by.name]
    return [replace(each, given=None) if each.given == by.name else each for each in others]


def _compared(name: str, rows: dict[str, int], verdict: Verdict) -> Slice:
    return Slice(name, verdict.verdict, rows, verdict.causes)


def _badness(part: Slice) -> tuple[int, float, str]:
    first = part.causes[0] if part.causes else None
    passed = first.score / first.threshold if first and first.threshold else 0.0
    return -LEVELS.index(part.verdict), -passed, part.part
