"""How long the prediction log is kept: old predictions go in small transactions, and what is left fits together.

A prediction goes when it is older than the limit and nobody has said anything about its case since the limit. With the
last prediction of a case go the events and the outcome of the case, in the same transaction; cases that never had a
prediction here, such as an imported history, stay.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database
from frontdesk.database.tables import FeedbackEvent, Outcome, Prediction
from frontdesk.recipes import names

TOGETHER = 500
"""Predictions in one transaction."""
_PAUSE_SECONDS = 0.02
"""Between two transactions: whoever waits to write comes first."""
_Case = tuple[str, str]
_Row = sa.Row[str, datetime, str, str]
"""Id, moment, recipe and case of a prediction."""


def prune(database: Database, before: datetime, *, keep_labelled: bool = False) -> Iterator[int]:
    """Remove predictions that were made before a moment; yield after each transaction how many it removed.

    Args:
        keep_labelled: keep the cases with labels, which are rows to train from.

    Raises:
        StorageError: what was yielded is gone, the rest is not.
    """
    for recipe in names():
        last: tuple[datetime, str] | None = None
        while found := _oldest(database, recipe, before, last):
            removed = _remove(database, found, before, keep_labelled)
            last = found[-1].at, found[-1].id
            if removed:
                yield removed
            time.sleep(_PAUSE_SECONDS)


def _oldest(database: Database, recipe: str, before: datetime, last: tuple[datetime, str] | None) -> Sequence[_Row]:
    statement = sa.select(Prediction.id, Prediction.at, Prediction.recipe, Prediction.case_id)
    statement = statement.where(Prediction.recipe == recipe, Prediction.at < before)
    if last is not None:
        at, identity = last
        statement = statement.where(Prediction.at >= at, sa.or_(Prediction.at > at, Prediction.id > identity))
    with database.reading() as connection:
        return connection.execute(statement.order_by(Prediction.at, Prediction.id).limit(TOGETHER)).all()


def _remove(database: Database, found: Sequence[_Row], before: datetime, keep_labelled: bool) -> int:
    with database.writing() as connection:
        cases = sorted({(row.recipe, row.case_id) for row in found})
        # Who brings feedback for one of these cases waits for its outcome, and then finds what is left.
        locked = sa.select(Outcome.recipe, Outcome.case_id, sa.cast(Outcome.labels, sa.String).label("labels"))
        outcomes = connection.execute(locked.where(_of(Outcome, cases)).order_by(Outcome.case_id).with_for_update())
        kept = {(row.recipe, row.case_id) for row in outcomes if keep_labelled and row.labels != "{}"}
        fresh = sa.select(FeedbackEvent.recipe, FeedbackEvent.case_id).where(
            _of(FeedbackEvent, cases), FeedbackEvent.received_at >= before
        )
        kept |= {(row.recipe, row.case_id) for row in connection.execute(fresh)}
        old = [row.id for row in found if (row.recipe, row.case_id) not in kept]
        if not old:
            return 0
        removed = connection.execute(sa.delete(Prediction).where(Prediction.id.in_(old))).rowcount
        left = sa.select(Prediction.recipe, Prediction.case_id).where(_of(Prediction, cases)).distinct()
        kept |= {(row.recipe, row.case_id) for row in connection.execute(left)}
        if gone := [case for case in cases if case not in kept]:
            connection.execute(sa.delete(FeedbackEvent).where(_of(FeedbackEvent, gone)))
            connection.execute(sa.delete(Outcome).where(_of(Outcome, gone)))
        return removed


def _of(table: Any, cases: Sequence[_Case]) -> sa.ColumnElement[bool]:
    """Return the condition of rows that belong to cases, which are of one recipe."""
    return sa.and_(table.recipe == cases[0][0], table.case_id.in_([case for _, case in cases]))
