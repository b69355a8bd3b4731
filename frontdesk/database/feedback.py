"""Feedback in the database: each event is kept once, and the outcome of its case follows in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.tables import FeedbackEvent, Prediction
from frontdesk.database.tables import Outcome as OutcomeRow
from frontdesk.feedback import Event, reduce_events

_TOGETHER = 500
_EVENTS: sa.FromClause = FeedbackEvent.__table__
_OUTCOMES: sa.FromClause = OutcomeRow.__table__


def apply_events(database: Database, events: Sequence[Event]) -> list[bool]:
    """Keep events and bring the outcomes of their cases up to date, all of it or nothing.

    Returns:
        For each event whether it is new; one that was delivered before has no effect.

    Raises:
        StorageError: nothing was kept; deliver the events again.
    """
    new = [False] * len(events)
    now = datetime.now(UTC)
    # One order for every process, so that two deliveries never wait for each other.
    order = sorted(
        range(len(events)), key=lambda place: (events[place].recipe, events[place].case_id, events[place].event)
    )
    with database.writing() as connection:
        touched: dict[tuple[str, str], None] = {}
        for place in order:
            new[place] = insert_once(connection, FeedbackEvent, vars(events[place]) | {"received_at": now})
            if new[place]:
                touched[events[place].recipe, events[place].case_id] = None
        for recipe, case_id in touched:
            _reduce(connection, recipe, case_id)
    return new


def apply_all(database: Database, events: Iterable[Event]) -> tuple[int, int]:
    """Apply any number of events in bounded memory; return how many there were and how many of them were new.

    A run that was killed can be repeated: what it had applied is a duplicate then.
    """
    stream, count, fresh = iter(events), 0, 0
    while some := list(islice(stream, _TOGETHER)):
        count += len(some)
        fresh += sum(apply_events(database, some))
    return count, fresh


def cases_of(database: Database, prediction_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return ``{prediction id: (recipe, case)}`` of those predictions that exist."""
    wanted = sorted(set(prediction_ids))
    if not wanted:
        return {}
    statement = sa.select(Prediction.id, Prediction.recipe, Prediction.case_id).where(Prediction.id.in_(wanted))
    with database.reading() as connection:
        return {row.id: (row.recipe, row.case_id) for row in connection.execute(statement)}


def _reduce(connection: sa.Connection, recipe: str, case_id: str) -> None:
    """Write the outcome of a case from all of its events."""
    empty: dict[str, Any] = {"labels": {}, "verdicts": {}, "shown_at": None, "closed_at": None, "events": 0}
    insert_once(connection, OutcomeRow, {"recipe": recipe, "case_id": case_id, "measures": {}, **empty})
    mine = (_OUTCOMES.c.recipe == recipe) & (_OUTCOMES.c.case_id == case_id)
    # Another delivery for this case waits here, and then sees the events of this one. SQLite has one writer anyway.
    connection.execute(sa.select(_OUTCOMES.c.events).where(mine).with_for_update())
    found = connection.execute(sa.select(_EVENTS).where((_EVENTS.c.recipe == recipe) & (_EVENTS.c.case_id == case_id)))
    outcome = reduce_events(_event(row) for row in found)
    connection.execute(sa.update(OutcomeRow).where(mine).values(**vars(outcome)))


def _event(row: Any) -> Event:
    named = (row.source, row.event, row.recipe, row.case_id)
    return Event(*named, row.kind, row.at, dict(row.labels), row.prediction_id, dict(row.measures))
