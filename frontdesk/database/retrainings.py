"""Retrainings: asked for by anybody, decided and begun in one transaction, so that triggers at one time make one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.tables import FeedbackEvent, Retraining
from frontdesk.monitoring.retraining import Decision, Past, Request

_LOCK = 7_041_776_121  # any number beside that of the migrations
_EVENTS: sa.FromClause = FeedbackEvent.__table__


def begin(database: Database, request: Request, decide: Callable[[Request, Sequence[Past]], Decision]) -> Decision:
    """Decide about a request and, where the answer is yes, write the retraining down as running.

    Args:
        decide: pure, from the request and the recipe's past; see `frontdesk.monitoring.retraining.decide`.

    Returns:
        The decision; of any number of equal requests at one time, one is told to start.
    """
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            number = int.from_bytes(hashlib.sha256(request.recipe.encode()).digest()[:4], "big") >> 1
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(:kind, :number)"), {"kind": _LOCK % 2**31, "number": number}
            )
        decision = decide(request, _past(connection, request.recipe))
        if not decision.start:
            return decision
        mine = (Retraining.recipe == request.recipe) & (Retraining.state == "running")
        connection.execute(sa.update(Retraining).where(mine).values(state="lost", active=None, ended_at=request.at))
        connection.execute(sa.delete(Retraining).where(Retraining.key == request.key, Retraining.state != "running"))
        row = {
            "key": request.key,
            "recipe": request.recipe,
            "reason": request.reason,
            "snapshot": request.snapshot,
            "taxonomy": request.taxonomy,
            "words": request.words,
            "state": "running",
            "started_at": request.at,
            "active": request.recipe,
        }
        if not insert_once(connection, Retraining, row):
            return Decision(False, "running", "another retraining began at the same moment", request.key)
    return decision


def began_run(database: Database, key: str, run: str) -> None:
    """Write down which run of the pipeline server a retraining became."""
    with database.writing() as connection:
        connection.execute(sa.update(Retraining).where(Retraining.key == key).values(run=run))


def end(database: Database, key: str, state: str, at: datetime, model_id: str | None = None) -> None:
    """Write down how a retraining ended: ``promoted``, ``held`` or ``failed``."""
    values = {"state": state, "ended_at": at, "model_id": model_id, "active": None}
    with database.writing() as connection:
        connection.execute(
            sa.update(Retraining).where(Retraining.key == key, Retraining.state == "running").values(**values)
        )


def past(database: Database, recipe: str | None = None, count: int = 50) -> list[Any]:
    """Return the retrainings of a recipe, or of all, newest first."""
    statement = sa.select(Retraining.__table__)
    if recipe is not None:
        statement = statement.where(Retraining.recipe == recipe)
    with database.reading() as connection:
        return list(connection.execute(statement.order_by(Retraining.started_at.desc()).limit(count)))


def retraining_counts(database: Database) -> dict[tuple[str, str, str], int]:
    """Return how many retrainings there are by recipe, reason and state."""
    named = (Retraining.recipe, Retraining.reason, Retraining.state)
    statement = sa.select(*named, sa.func.count()).group_by(*named).order_by(*named)
    with database.reading() as connection:
        return {(recipe, why, state): int(count) for recipe, why, state, count in connection.execute(statement)}


def feedback_state(database: Database, recipe: str, until: datetime) -> dict[str, Any]:
    """Return what feedback there is to train on: events up to a moment, and the newest of them."""
    statement = sa.select(sa.func.count(), sa.func.max(_EVENTS.c.at)).where(
        _EVENTS.c.recipe == recipe, _EVENTS.c.at <= until
    )
    with database.reading() as connection:
        count, newest = connection.execute(statement).one()
    return {"events": int(count), "newest": None if newest is None else newest.isoformat()}


def _past(connection: sa.Connection, recipe: str) -> list[Past]:
    statement = sa.select(Retraining.__table__).where(Retraining.recipe == recipe)
    return [
        Past(row.key, row.reason, row.state, row.started_at)
        for row in connection.execute(statement.order_by(Retraining.started_at.desc()))
    ]
