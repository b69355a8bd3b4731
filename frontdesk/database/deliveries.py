"""Webhooks that were accepted: each is kept once, and worked on until it is done or has failed for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.tables import Delivery

WAITING, DONE, FAILED = "waiting", "done", "failed"


@dataclass(frozen=True)
class Claimed:
    """A delivery that this process works on.

    Attributes:
        event, answer: see `frontdesk.database.tables.Delivery`.
        attempts: including this one.
    """

    desk: str
    delivery: str
    event: dict[str, Any]
    answer: dict[str, Any] | None
    attempts: int
    received_at: datetime


def keep_delivery(
    database: Database,
    *,
    desk: str,
    delivery: str,
    case_id: str,
    kind: str,
    content: str,
    event: dict[str, Any],
    now: datetime,
) -> bool:
    """Keep a delivery; return False where it, or what it says of the case, is known already."""
    row = {
        "desk": desk,
        "delivery": delivery,
        "case_id": case_id,
        "kind": kind,
        "content": content,
        "event": event,
        "state": WAITING,
        "attempts": 0,
        "received_at": now,
        "due_at": now,
    }
    with database.writing() as connection:
        return insert_once(connection, Delivery, row)


def claim_deliveries(database: Database, now: datetime, lease: timedelta, count: int) -> list[Claimed]:
    """Take deliveries that are due; nobody else gets them until the lease is over."""
    due = sa.select(Delivery).where(Delivery.state == WAITING, Delivery.due_at <= now).order_by(Delivery.due_at)
    due = due.limit(count).with_for_update(skip_locked=True)
    claimed = []
    with database.writing() as connection:
        for row in connection.execute(due).all():
            found = Claimed(row.desk, row.delivery, row.event or {}, row.answer, row.attempts + 1, row.received_at)
            _change(connection, found, attempts=found.attempts, due_at=now + lease)
            claimed.append(found)
    return claimed


def keep_answer(database: Database, claimed: Claimed, answer: dict[str, Any]) -> None:
    """Keep the prediction of a delivery."""
    with database.writing() as connection:
        _change(connection, claimed, answer=answer)


def finish_delivery(database: Database, claimed: Claimed) -> None:
    """Mark a delivery as done, and forget what it said."""
    with database.writing() as connection:
        _change(connection, claimed, state=DONE, event=None, reason=None)


def put_back(database: Database, claimed: Claimed, reason: str, due_at: datetime | None) -> None:
    """Let a delivery wait for another attempt; with no time it has failed, and what it said is forgotten."""
    with database.writing() as connection:
        if due_at is None:
            _change(connection, claimed, state=FAILED, event=None, reason=reason)
        else:
            _change(connection, claimed, due_at=due_at, reason=reason)


def count_deliveries(database: Database) -> dict[tuple[str, str], int]:
    """Return ``{(desk, state): deliveries}``."""
    statement = sa.select(Delivery.desk, Delivery.state, sa.func.count()).group_by(Delivery.desk, Delivery.state)
    with database.reading() as connection:
        return {(desk, state): int(count) for desk, state, count in connection.execute(statement)}


def _change(connection: sa.Connection, claimed: Claimed, **values: Any) -> None:
    mine = (Delivery.desk == claimed.desk) & (Delivery.delivery == claimed.delivery)
    connection.execute(sa.update(Delivery).where(mine).values(**values))
