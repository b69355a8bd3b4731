"""Windows of the prediction log: where they lie, and their rows, as many as are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database
from frontdesk.database.exports import joined_rows, log_filters
from frontdesk.database.tables import FeedbackEvent, Prediction
from frontdesk.rollout import FALLBACK


def count_rows(database: Database, recipe: str, since: datetime | None, until: datetime) -> int:
    """Return how many predictions there are from a moment on and before another."""
    statement = sa.select(sa.func.count()).select_from(Prediction).where(*log_filters(recipe, since, until))
    with database.reading() as connection:
        return int(connection.execute(statement).scalar_one())


def moment_of_row(database: Database, recipe: str, since: datetime, place: int) -> datetime | None:
    """Return when the prediction at a place (from 0) since a moment was made; None where there are fewer."""
    statement = sa.select(Prediction.at).where(*log_filters(recipe, since, None)).order_by(Prediction.at)
    with database.reading() as connection:
        found: datetime | None = connection.execute(statement.offset(place).limit(1)).scalar_one_or_none()
    return found


def newest_model(database: Database, recipe: str, until: datetime) -> str | None:
    """Return the model that answered last before a moment; None where none answered.

    An answer that a champion gave in the place of a rollout's candidate does not make it the newest model again.
    """
    own = Prediction.arm.is_(None) | (Prediction.arm != FALLBACK)
    statement = (
        sa.select(Prediction.model_id)
        .where(*log_filters(recipe, None, until), Prediction.model_id.is_not(None), own)
        .order_by(Prediction.at.desc())
        .limit(1)
    )
    with database.reading() as connection:
        found: str | None = connection.execute(statement).scalar_one_or_none()
    return found


def first_answer(database: Database, recipe: str, model_id: str) -> datetime:
    """Return when a model that is in the log answered first."""
    statement = sa.select(sa.func.min(Prediction.at)).where(
        Prediction.recipe == recipe, Prediction.model_id == model_id
    )
    with database.reading() as connection:
        found: datetime = connection.execute(statement).scalar_one()
    return found


def spread_rows(
    database: Database, recipe: str, since: datetime, until: datetime, most: int
) -> list[Mapping[str, Any]]:
    """Return the rows of a window with what became of their cases, oldest first; of too many every n-th."""
    every = -(-count_rows(database, recipe, since, until) // most) or 1
    rows = (row for some in joined_rows(database, log_filters(recipe, since, until)) for row in some)
    return [row for place, row in enumerate(rows) if place % every == 0]


def feedback_between(database: Database, recipe: str, since: datetime, until: datetime) -> Iterator[Any]:
    """Yield the events of a recipe that happened in a window, oldest first."""
    statement = (
        sa.select(FeedbackEvent.__table__)
        .where(FeedbackEvent.recipe == recipe, FeedbackEvent.at >= since, FeedbackEvent.at < until)
        .order_by(FeedbackEvent.at, FeedbackEvent.source, FeedbackEvent.event)
    )
    with database.reading() as connection:
        yield from connection.execution_options(yield_per=2_000).execute(statement)
