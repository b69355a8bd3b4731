"""Verdicts of windows: kept once per window, read by the next window, the console and the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.tables import Verdict

ENOUGH = Verdict.verdict != "none"


def keep_verdict(database: Database, values: Mapping[str, Any]) -> None:
    """Write the verdict of a window, in place of an earlier one of the same window; its decision stays."""
    mine = [getattr(Verdict, name) == values[name] for name in ("recipe", "part", "window_end")]
    with database.writing() as connection:
        if not insert_once(connection, Verdict, dict(values)):
            connection.execute(sa.update(Verdict).where(*mine).values(**values))


def note_decision(database: Database, recipe: str, window_end: datetime, decision: Mapping[str, Any]) -> None:
    """Write beside a window's verdict what was decided about a retraining; one that was started stays noted."""
    mine = (Verdict.recipe == recipe) & (Verdict.part == "") & (Verdict.window_end == window_end)
    with database.writing() as connection:
        noted = connection.execute(sa.select(Verdict.retraining).where(mine)).scalar_one_or_none()
        if noted is None or not noted["start"]:
            connection.execute(sa.update(Verdict).where(mine).values(retraining=dict(decision)))


def has_verdict(database: Database, recipe: str, window_end: datetime) -> bool:
    """Return whether a window of a recipe was judged."""
    mine = (Verdict.recipe == recipe) & (Verdict.part == "") & (Verdict.window_end == window_end)
    with database.reading() as connection:
        return connection.execute(sa.select(sa.literal(1)).where(mine)).first() is not None


def verdicts_before(database: Database, recipe: str, part: str, window_end: datetime, count: int) -> list[Any]:
    """Return the latest verdicts of windows that ended before a moment and had enough rows, newest first."""
    statement = (
        sa.select(Verdict.__table__)
        .where(Verdict.recipe == recipe, Verdict.part == part, Verdict.window_end < window_end, ENOUGH)
        .order_by(Verdict.window_end.desc())
        .limit(count)
    )
    with database.reading() as connection:
        return list(connection.execute(statement))


def verdict_history(database: Database, recipe: str | None = None, part: str = "", count: int = 50) -> list[Any]:
    """Return the verdicts of a recipe, or of all, newest window first, those without enough rows too."""
    statement = sa.select(Verdict.__table__).where(Verdict.part == part)
    if recipe is not None:
        statement = statement.where(Verdict.recipe == recipe)
    statement = statement.order_by(Verdict.window_end.desc(), Verdict.recipe).limit(count)
    with database.reading() as connection:
        return list(connection.execute(statement))


def newest_verdicts(database: Database) -> Sequence[Any]:
    """Return the verdict of the newest window with enough rows, for every recipe and part."""
    newest = (
        sa.select(Verdict.recipe, Verdict.part, sa.func.max(Verdict.window_end).label("window_end"))
        .where(ENOUGH)
        .group_by(Verdict.recipe, Verdict.part)
        .subquery()
    )
    same = (
        (Verdict.recipe == newest.c.recipe)
        & (Verdict.part == newest.c.part)
        & (Verdict.window_end == newest.c.window_end)
    )
    statement = sa.select(Verdict.__table__).join(newest, same).order_by(Verdict.recipe, Verdict.part)
    with database.reading() as connection:
        return list(connection.execute(statement))
