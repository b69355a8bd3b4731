"""One look at a recipe: windows out of the log, compared, asked whether changes persist, and kept."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from frontdesk.database import Database
from frontdesk.database.verdicts import has_verdict, keep_verdict, verdicts_before
from frontdesk.database.windows import feedback_between, spread_rows
from frontdesk.monitoring.comparison import SAMPLE_ROWS, compare
from frontdesk.monitoring.figures import Figures, shares, variety
from frontdesk.monitoring.log_columns import AT, Row, Tables, case_tables, log_tables, opened_tables
from frontdesk.monitoring.log_windows import Span, Window, latest_windows
from frontdesk.monitoring.persistence import alarms_of, persistent
from frontdesk.monitoring.plan import WatchPlan
from frontdesk.monitoring.verdict import Verdict
from frontdesk.monitoring.windows import Watched, window_of
from frontdesk.monitoring.windows import Window as Sample

NONE = "none"
"""The verdict of a window that has too few rows."""
_REMEMBERED = 12  # windows back that a streak is counted over; at least as many as persistence asks for
Known = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Compared:
    """Both sides of a comparison, and what was watched of them."""

    reference: Sample
    current: Sample
    watched: Sequence[Watched]

    @classmethod
    def of(cls, tables: Sequence[Tables], seed: int) -> Compared:
        """Take one side of each comparison together; rows are those of the first."""
        sides = []
        for side, where in ((0, "reference"), (1, "current")):
            made = [window_of(one[side], one[2], AT, rows=SAMPLE_ROWS, seed=seed, where=where) for one in tables]
            levels = {name: counter for one in made for name, counter in one.levels.items()}
            missing = {name: count for one in made for name, count in one.missing.items()}
            sides.append(Sample(tuple(table for one in made for table in one.samples), made[0].rows, levels, missing))
        return cls(sides[0], sides[1], [each for one in tables for each in one[2]])


@dataclass(frozen=True)
class Look:
    """What one look at a window, or at a part of it, came to.

    Attributes:
        part: empty for the whole window, else ``name=value``.
        window: None where the log has no window that has ended.
        verdict: with persistence; None where there are not enough rows.
        words: why there is no verdict; empty where there is one.
        figures: see `frontdesk.monitoring.figures`.
        compared: what was compared, for a page about it; None where there is no verdict.
    """

    part: str
    window: Window | None
    verdict: Verdict | None
    words: str
    figures: Figures
    compared: Compared | None = None

    @property
    def level(self) -> str:
        """``stable``, ``watch``, ``drift`` or ``none``."""
        return NONE if self.verdict is None else self.verdict.verdict


def watch(
    database: Database, recipe: str, plan: WatchPlan, now: datetime, *, known: Known | None = None, seed: int = 0
) -> list[Look]:
    """Judge the newest window that has ended, and keep its verdict and those of its parts.

    Windows before it whose verdicts are missing, as many as persistence asks for, are judged first: what comes out
    follows from the log and ``now``, not from how often anybody looked.

    Args:
        known: ``{head: labels}`` of the deployed model, None where they are not known.

    Returns:
        The look at the whole window first, then those at its parts, by name.
    """
    windows = latest_windows(database, recipe, plan, now)
    if not windows:
        return [Look("", None, None, "the log has no window of this recipe that has ended", {})]
    looks: list[Look] = []
    for window in windows:
        newest = window is windows[-1]
        if newest or not has_verdict(database, recipe, window.current.end):
            looks = _look(database, recipe, plan, window, now, known, seed)
    return looks


def _look(
    database: Database, recipe: str, plan: WatchPlan, window: Window, now: datetime, known: Known | None, seed: int
) -> list[Look]:
    rows = _Rows.read(database, recipe, plan, window)
    parts = rows.parts(plan)
    rate = plan.false_alarm_rate / 2  # half for the window, half for its parts
    looks = []
    for part, some in [("", rows), *parts]:
        share = (rate if part else rate * (1 if parts else 2)) / (len(parts) if part else 1)
        raw, words, figures, compared = _compare(some, plan, known, share, seed)
        verdict = None
        if raw is not None:
            before = verdicts_before(database, recipe, part, window.current.end, max(plan.persistence, _REMEMBERED))
            # Another model had another reference: its alarms say nothing of this one.
            mine = itertools.takewhile(lambda row: row.model_id == window.model_id, before)
            kept = [{(kind, column) for kind, column in row.alarms} for row in mine]
            verdict = persistent(raw, kept, plan.persistence)
        look = Look(part, window, verdict, words, figures, compared)
        keep_verdict(database, _row(recipe, look, window, raw, now))
        looks.append(look)
    return looks


@dataclass(frozen=True)
class _Rows:
    """Rows of a window: predictions, predictions whose cases had time to close, and events (of intents)."""

    reference: Sequence[Row]
    current: Sequence[Row]
    old_reference: Sequence[Row]
    old_current: Sequence[Row]
    events: tuple[Sequence[Any], Sequence[Any]]

    @classmethod
    def read(cls, database: Database, recipe: str, plan: WatchPlan, window: Window) -> _Rows:
        def rows(span: Span | None) -> Sequence[Row]:
            return [] if span is None else spread_rows(database, recipe, span.start, span.end, plan.most)

        def events(span: Span | None) -> Sequence[Any]:
            if span is None or recipe != "intent":
                return []
            return list(feedback_between(database, recipe, span.start, span.end))

        reference, current = rows(window.reference), rows(window.current)
        # What an operator opens is known at once; a label when the case is closed.
        old = None if recipe == "intent" else window.settled(plan.delay)
        return cls(
            reference,
            current,
            [] if old is None else rows(old.reference),
            [] if old is None else rows(old.current),
            (events(window.reference), events(window.current)),
        )

    def parts(self, plan: WatchPlan) -> list[tuple[str, _Rows]]:
        """Return the parts that are watched separately: of each field the most frequent values of the reference."""
        found = []
        for field in plan.slices:
            counts: dict[str, int] = {}
            for row in self.reference:
                if (value := _value(row, field)) is not None:
                    counts[value] = counts.get(value, 0) + 1
            for value in sorted(counts, key=lambda value: (-counts[value], value))[: plan.most_slices]:
                found.append((f"{field}={value}"[:200], self._only(field, value)))
        return sorted(found, key=lambda part: part[0])

    def _only(self, field: str, value: str) -> _Rows:
        def some(rows: Sequence[Row]) -> Sequence[Row]:
            return [row for row in rows if _value(row, field) == value]

        reference, current = some(self.reference), some(self.current)
        cases = {row["case_id"] for row in (*reference, *current)}
        events = tuple([event for event in window if event.case_id in cases] for window in self.events)
        return _Rows(reference, current, some(self.old_reference), some(self.old_current), (events[0], events[1]))


def _value(row: Row, field: str) -> str | None:
    value = row[field] if field in ("line", "client") else row["features"].get(field)
    return None if value is None else str(value)


def _compare(
    rows: _Rows, plan: WatchPlan, known: Known | None, rate: float, seed: int
) -> tuple[Verdict | None, str, Figures, Compared | None]:
    """Return the verdict of a window by itself, or why there is none; its figures; what was compared."""
    few = min(len(rows.reference), len(rows.current))
    if few < plan.least:
        where = "its reference" if len(rows.reference) <= len(rows.current) else "the window"
        return None, f"not enough yet: {where} has {few} of {plan.least} rows", {}, None
    tables = [log_tables(rows.reference, rows.current)]
    lists = [[[one["id"] for one in row["intents"] or ()] for row in some] for some in (rows.reference, rows.current)]
    figures = variety(lists[0], lists[1]) if any(map(any, lists)) else {}
    notes: tuple[str, ...] = ()
    if rows.reference[0]["recipe"] == "intent":
        later = opened_tables((rows.reference, rows.events[0]), (rows.current, rows.events[1]))
        what = "opened intents"
    else:
        later, what = case_tables(rows.old_reference, rows.old_current, plan.delay, known), "closed cases"
    closed = min(later[0].num_rows, later[1].num_rows)
    if closed >= plan.least:
        tables.append(later)
    else:
        notes = (f"Labels and quality were not judged: not enough yet, {closed} of {plan.least} {what}.",)
    verdicts = [_one(table, rate / len(tables), seed) for table in tables]
    for table in tables:
        figures |= shares(table[0], table[1])
    merged = _merged(verdicts)
    return replace(merged, notes=(*merged.notes, *notes)), "", figures, Compared.of(tables, seed)


def _one(tables: Tables, rate: float, seed: int) -> Verdict:
    reference, current, watched = tables
    return compare(reference, current, watched, time=AT, false_alarm_rate=rate, seed=seed)


def _merged(verdicts: Sequence[Verdict]) -> Verdict:
    """Return one verdict of several comparisons; rows and days are those of the first."""
    causes = sorted(
        (cause for one in verdicts for cause in one.causes),
        key=lambda cause: (cause.level != "drift", -cause.score / cause.threshold if cause.threshold else 0.0),
    )
    levels = [one.verdict for one in verdicts]
    return replace(
        verdicts[0],
        verdict="drift" if "drift" in levels else "watch" if "watch" in levels else "stable",
        causes=tuple(causes),
        checks=tuple(check for one in verdicts for check in one.checks),
        false_alarm_rate=sum(one.false_alarm_rate for one in verdicts),
        notes=tuple(note for one in verdicts for note in one.notes),
    )


def _row(recipe: str, look: Look, window: Window, raw: Verdict | None, now: datetime) -> dict[str, Any]:
    reference = window.reference
    return {
        "recipe": recipe,
        "part": look.part,
        "window_start": window.current.start,
        "window_end": window.current.end,
        "reference_start": None if reference is None else reference.start,
        "reference_end": None if reference is None else reference.end,
        "model_id": window.model_id,
        "verdict": look.level,
        "alarms": [] if raw is None else [list(alarm) for alarm in alarms_of(raw)],
        "content": {"words": look.words} if look.verdict is None else look.verdict.as_json(),
        "figures": look.figures,
        "made_at": now,
    }
