"""Which model is watched: the one that answered last, unless it only stood in for a rollout's candidate."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from frontdesk.database import open_database
from frontdesk.database.windows import newest_model
from tests.prediction_log import MONDAY, WEEK, fill_tickets


def test_an_answer_in_the_candidates_place_makes_no_model_the_newest_again(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'log.db'}")
    database.upgrade()
    fill_tickets(database, 1, rows=5, closed=False)
    fill_tickets(database, 1, rows=5, since=MONDAY + WEEK, model_id="model-2", closed=False)
    fill_tickets(database, 1, rows=2, since=MONDAY + 2 * WEEK, closed=False)
    until = MONDAY + 3 * WEEK
    assert newest_model(database, "ticket", until) == "model-1"
    with database.writing() as connection:
        statement = sa.text("UPDATE predictions SET arm = 'fallback' WHERE at >= :at")
        connection.execute(statement.bindparams(sa.bindparam("at", type_=sa.DateTime)), {"at": until - WEEK})
    assert newest_model(database, "ticket", until) == "model-2"
    database.close()
