"""The prediction log forgets what is old, in small steps, and what is left fits together."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.database import Database, open_database, retention
from frontdesk.database.feedback import apply_events
from frontdesk.database.predictions import count_predictions, insert_predictions
from frontdesk.database.retention import prune
from frontdesk.database.tables import Prediction
from frontdesk.settings import settings
from tests.gateway.test_feedback import event, prediction

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)
"""A limit that today's feedback is older than."""


def fill(database: Database, *rows: tuple[str, str, int]) -> None:
    """Write predictions: id, case, age in days."""
    made = [prediction(name, case) | {"at": NOW - timedelta(days=age)} for name, case, age in rows]
    with database.writing() as connection:
        insert_predictions(connection, made)


def names(database: Database, statement: str) -> list[str]:
    with database.reading() as connection:
        return sorted(str(row[0]) for row in connection.execute(sa.text(statement)))


def test_what_is_older_goes_in_small_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "TOGETHER", 3)
    fill(database, *((f"old{place}", f"c{place}", 40 + place % 2) for place in range(10)), ("new", "c1", 20))
    assert list(prune(database, NOW - timedelta(days=30))) == [3, 3, 3, 1]
    assert names(database, "SELECT id FROM predictions") == ["new"]
    assert list(prune(database, NOW - timedelta(days=30))) == []


def test_feedback_goes_with_the_last_prediction_of_its_case(database: Database) -> None:
    fill(database, ("a1", "a", 40), ("a2", "a", 5), ("b1", "b", 40), ("c1", "c", 40))
    apply_events(database, [event(case, "closed", 0, case=case, topic="Fees") for case in ("a", "b", "imported")])
    limit = LATER - timedelta(days=10)  # feedback of today is younger than this one
    assert sum(prune(database, limit)) == 1, "c alone has heard nothing since"
    assert names(database, "SELECT id FROM predictions") == ["a1", "a2", "b1"]
    with database.writing() as connection:
        later = LATER + timedelta(days=1)
        connection.execute(sa.update(Prediction).where(Prediction.id == "a2").values(at=later))
    assert sum(prune(database, LATER)) == 2
    assert names(database, "SELECT id FROM predictions") == ["a2"]
    for table in ("feedback_events", "outcomes"):
        assert names(database, f"SELECT case_id FROM {table}") == ["a", "imported"], table


def test_cases_with_labels_can_be_kept(database: Database) -> None:
    fill(database, ("a1", "a", 40), ("b1", "b", 40), ("c1", "c", 40))
    apply_events(database, [event("1", "closed", 0, case="a", topic="Fees"), event("2", "shown", 0, case="b")])
    assert sum(prune(database, LATER, keep_labelled=True)) == 2
    assert names(database, "SELECT case_id FROM predictions") == ["a"]
    assert names(database, "SELECT case_id FROM outcomes") == ["a"]
    assert names(database, "SELECT case_id FROM feedback_events") == ["a"]


def test_the_log_is_written_while_it_is_pruned(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feedback that comes meanwhile is whole: an outcome has its events, and events have their outcome."""
    monkeypatch.setattr(retention, "TOGETHER", 5)
    cases = [f"c{place:02}" for place in range(40)]
    fill(database, *((f"p{case}", case, 40) for case in cases))
    done = threading.Event()

    def deliver() -> None:
        for place in range(3):
            for case in cases[::7]:
                apply_events(database, [event(f"{case}-{place}", "closed", place, case=case, topic="Fees")])
        done.set()

    caller = threading.Thread(target=deliver)
    caller.start()
    removed = sum(prune(database, NOW - timedelta(days=30)))
    caller.join(60)
    assert done.is_set()
    assert removed + count_predictions(database) == len(cases)
    fill(database, ("later", "new", 0))
    heard = names(database, "SELECT DISTINCT case_id FROM feedback_events")
    assert heard == names(database, "SELECT case_id FROM outcomes") == cases[::7]
    with database.reading() as connection:
        counted = connection.execute(sa.text("SELECT SUM(events) FROM outcomes")).scalar_one()
        events = connection.execute(sa.text("SELECT COUNT(*) FROM feedback_events")).scalar_one()
    assert counted == events


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    monkeypatch.setenv("FRONTDESK_DATABASE", url)
    settings.cache_clear()
    database = open_database(url)
    database.upgrade()
    fill(database, ("a1", "a", 40), ("b1", "b", 4))
    result = CliRunner().invoke(app, ["predictions", "prune", "--older-than", "30", "--keep-labelled", "--json"])
    settings.cache_clear()
    assert orjson.loads(result.stdout)["removed"] == 1
    assert names(database, "SELECT id FROM predictions") == ["b1"]
    database.close()
