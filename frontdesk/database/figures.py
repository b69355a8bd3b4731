"""Figures for people: what was answered lately, what became of it, and how right it was."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database
from frontdesk.database.tables import FeedbackEvent, Outcome, Prediction

MOST_ROWS = 50_000


def prediction_counts(database: Database, since: datetime) -> dict[str, dict[str, int]]:
    """Return per recipe how many answers there are: ``all``, ``recent`` (since), ``degraded`` and ``holdout``."""

    def when(condition: Any) -> Any:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    statement = sa.select(
        Prediction.recipe,
        sa.func.count(),
        when(Prediction.at >= since),
        when(Prediction.degraded),
        when(Prediction.holdout),
    ).group_by(Prediction.recipe)
    names = ("all", "recent", "degraded", "holdout")
    with database.reading() as connection:
        return {
            recipe: dict(zip(names, map(int, counts), strict=True))
            for recipe, *counts in connection.execute(statement.order_by(Prediction.recipe))
        }


def feedback_counts(database: Database) -> dict[str, int]:
    """Return how many events of each kind there are."""
    statement = sa.select(FeedbackEvent.kind, sa.func.count()).group_by(FeedbackEvent.kind).order_by(FeedbackEvent.kind)
    with database.reading() as connection:
        return {kind: int(count) for kind, count in connection.execute(statement)}


def latest_outcomes(database: Database, count: int) -> list[dict[str, Any]]:
    """Return what became of the cases that were closed last, newest first, each with its last answer."""
    statement = sa.select(Outcome.__table__).where(Outcome.closed_at.is_not(None))
    statement = statement.order_by(Outcome.closed_at.desc(), Outcome.case_id).limit(count)
    with database.reading() as connection:
        rows = [dict(row._mapping) for row in connection.execute(statement)]
        for row in rows:
            mine = (Prediction.recipe == row["recipe"]) & (Prediction.case_id == row["case_id"])
            last = sa.select(Prediction.labels).where(mine).order_by(Prediction.id.desc()).limit(1)
            row["answered"] = connection.execute(last).scalar_one_or_none() or {}
    return rows


def verdict_counts(database: Database, recipe: str) -> dict[str, Counter[str]]:
    """Return per head how often agents accepted, changed or ignored what was suggested, of the latest cases."""
    statement = sa.select(Outcome.verdicts).where(Outcome.recipe == recipe).limit(MOST_ROWS)
    found: dict[str, Counter[str]] = {}
    with database.reading() as connection:
        for (verdicts,) in connection.execute(statement):
            for head, verdict in verdicts.items():
                found.setdefault(head, Counter())[verdict] += 1
    return found


def labelled_confidences(database: Database, recipe: str) -> dict[str, list[tuple[float, bool]]]:
    """Return per head the confidence of each closed case's last answer, and whether the label was right.

    Cases that went without suggestions count too: nobody's label can be an echo there.
    """
    joined = (Outcome.recipe == Prediction.recipe) & (Outcome.case_id == Prediction.case_id)
    statement = (
        sa.select(Prediction.case_id, Prediction.labels, Outcome.labels)
        .join(Outcome, joined)
        .where(Prediction.recipe == recipe, Outcome.closed_at.is_not(None))
        .order_by(Prediction.id.desc())
        .limit(MOST_ROWS)
    )
    found: dict[str, list[tuple[float, bool]]] = {}
    seen: set[str] = set()
    with database.reading() as connection:
        for case, answered, labels in connection.execute(statement):
            if case in seen:
                continue
            seen.add(case)
            for head, told in labels.items():
                said = answered.get(head, {})
                if told["origin"] == "closed" and said.get("label") is not None:
                    found.setdefault(head, []).append((float(said["confidence"]), said["label"] == told["label"]))
    return found
