"""Where the windows of a log lie: what is judged, and what is normal.

Windows by time lie on one grid (weeks begin on Monday, UTC), windows by count are numbered from the model's first
answer; so a second look at one window is never taken for a second window. What is normal is the first windows of the
model that answers now: a new model starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from frontdesk.database import Database
from frontdesk.database.windows import count_rows, first_answer, moment_of_row, newest_model
from frontdesk.monitoring.plan import WatchPlan

_ORIGIN = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Span:
    """A stretch of time; its end is not in it."""

    start: datetime
    end: datetime

    def before(self, delay: timedelta) -> Span:
        """Return the stretch of the same length that much earlier."""
        return Span(self.start - delay, self.end - delay)


@dataclass(frozen=True)
class Window:
    """A window to judge, and the reference to judge it by.

    Attributes:
        reference: None where the model has answered for less than one window before.
        model_id: the model whose reference it is.
    """

    current: Span
    reference: Span | None
    model_id: str

    def settled(self, delay: timedelta) -> Window:
        """Return the window whose cases had a delay to close when this one ended, and its reference.

        The reference ends that much earlier too, so that no case is in both.
        """
        reference = self.reference
        if reference is not None:
            end = reference.end - delay
            reference = Span(reference.start, end) if end > reference.start else None
        return Window(self.current.before(delay), reference, self.model_id)


def latest_windows(database: Database, recipe: str, plan: WatchPlan, now: datetime) -> Sequence[Window]:
    """Return the last windows that had ended at a moment, oldest first: as many as a change must persist over.

    They follow from the log and ``now`` alone. There are fewer, or none, where the log does not go back so far.
    """
    model = newest_model(database, recipe, now)
    if model is None:
        return ()
    since = first_answer(database, recipe, model)
    find = _by_time if plan.rows is None else _by_count
    found = find(database, recipe, plan, now, since)
    return [Window(current, reference, model) for current, reference in found]


def _by_time(
    database: Database, recipe: str, plan: WatchPlan, now: datetime, since: datetime
) -> list[tuple[Span, Span | None]]:
    length = plan.length
    first, last = _ORIGIN + (since - _ORIGIN) // length * length, _ORIGIN + (now - _ORIGIN) // length * length
    found: list[tuple[Span, Span | None]] = []
    for place in range(plan.persistence, 0, -1):
        start = last - place * length
        if start >= first:
            end = min(first + plan.reference_windows * length, start)
            found.append((Span(max(start, since), start + length), Span(since, end) if end > since else None))
    return found


def _by_count(
    database: Database, recipe: str, plan: WatchPlan, now: datetime, since: datetime
) -> list[tuple[Span, Span | None]]:
    rows = plan.rows or 1
    full = count_rows(database, recipe, since, now) // rows

    def edge(place: int) -> datetime:
        moment = moment_of_row(database, recipe, since, place * rows)
        return now if moment is None else moment

    found: list[tuple[Span, Span | None]] = []
    for place in range(max(full - plan.persistence, 0), full):
        last = moment_of_row(database, recipe, since, (place + 1) * rows - 1)
        current = Span(edge(place), (last or now) + _TICK)
        reference = Span(since, edge(min(plan.reference_windows, place))) if place else None
        found.append((current, reference))
    return found
