"""The prediction log: a row per answered instance, committed before the answer leaves.

The log holds no customer text unless a setting says so, and then masked only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database
from frontdesk.database.tables import Prediction

_INSERT = sa.insert(Prediction)


def insert_predictions(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the columns of `Prediction`."""
    connection.execute(_INSERT, list(rows))


def count_predictions(database: Database, recipe: str | None = None) -> int:
    """Return how many rows there are."""
    statement = sa.select(sa.func.count()).select_from(Prediction)
    if recipe is not None:
        statement = statement.where(Prediction.recipe == recipe)
    with database.reading() as connection:
        return int(connection.execute(statement).scalar_one())
