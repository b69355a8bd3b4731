"""From a drifted log to a verdict, a page and one retraining: by the command, and by the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.database import open_database
from frontdesk.database.retrainings import past
from frontdesk.database.verdicts import verdict_history
from frontdesk.errors import BadColumns
from frontdesk.registry import Registry
from frontdesk.settings import settings
from frontdesk.storage import canonical_json
from tests.lifecycle_run import SMALL, write_tickets
from tests.prediction_log import fill_tickets

NOW = "2024-02-05T02:00:00+00:00"  # the fifth week has ended


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a log whose channel and topics change in the fourth week, and a plan."""
    address = f"sqlite:///{tmp_path / 'desk.db'}"
    database = open_database(address)
    database.upgrade()
    fill_tickets(database, 5, rows=120, drift_from=3)
    database.close()
    monkeypatch.setenv("FRONTDESK_DATABASE", address)
    monkeypatch.setenv("FRONTDESK_MONITORING", str(tmp_path / "plan.yaml"))
    settings.cache_clear()
    plan(tmp_path)
    yield tmp_path
    monkeypatch.undo()
    settings.cache_clear()


def plan(folder: Path, **retraining: Any) -> None:
    ticket = {"least": 50, "reference_windows": 3, "retraining": retraining}
    (folder / "plan.yaml").write_bytes(canonical_json({"format": 1, "recipes": {"ticket": ticket}}))


def told(*arguments: str) -> Any:
    answer = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False, standalone_mode=False)
    assert answer.exit_code == 0, answer.output
    return orjson.loads(answer.stdout)


def test_the_command_says_what_changed_and_what_would_be_done(desk: Path) -> None:
    said = told("monitor", "ticket", "--now", NOW, "--verdict", str(desk / "out"), "--out", str(desk / "runs"))
    assert said["verdict"] == "drift"
    assert said["causes"][0]["column"] == "feature.channel"
    assert said["retraining"]["answer"] == "dry_run"
    assert said["retraining"]["reason"] == "drift"
    assert orjson.loads((desk / "out" / "verdict.json").read_bytes()) == said
    assert "channel" in (desk / "out" / "report.html").read_text("utf-8")
    earlier = told(
        "monitor", "ticket", "--now", "2024-01-22", "--verdict", str(desk / "out"), "--out", str(desk / "runs")
    )
    assert earlier["verdict"] == "stable"
    assert earlier["retraining"]["answer"] == "not_asked"
    assert not (desk / "out" / "report.html").exists()
    database = open_database()
    assert past(database) == []
    assert verdict_history(database, "ticket")[0].retraining["request"]["reason"] == "drift"
    database.close()


def test_the_pipeline_watches_and_starts_nothing_unasked(desk: Path) -> None:
    """A start would fail here: there is no pipeline server."""
    from frontdesk.pipelines.local import run_pipeline
    from frontdesk.pipelines.monitoring import build_monitoring

    arguments: dict[str, Any] = {"store": str(desk / "store"), "registry": "", "retrain": False, "now": NOW}
    outputs = run_pipeline(lambda: build_monitoring("ticket"), arguments, desk / "runs", desk / "run.log")
    assert outputs["Output"] == "retrain"
    database = open_database()
    assert [row.verdict for row in verdict_history(database, "ticket")] == ["drift", "watch"]
    database.close()


def test_a_retraining_that_fails_says_so_and_may_begin_again(desk: Path) -> None:
    (desk / "tickets.csv").write_text("id,subject\n1,help\n")
    plan(desk, data=str(desk / "tickets.csv"), feedback=False, cool_down_days=0)
    database = open_database()
    with pytest.raises(BadColumns):
        told("retrain", "ticket", "--reason", "schedule", "--now", NOW, "--out", str(desk / "runs"))
    (row,) = past(database)
    assert (row.state, row.reason, row.active) == ("failed", "schedule", None)
    again = told("retrain", "ticket", "--reason", "schedule", "--now", NOW, "--dry-run", "--out", str(desk / "runs"))
    assert again["answer"] == "dry_run"
    database.close()


@pytest.mark.slow
def test_one_retraining_starts_and_its_run_says_why(desk: Path) -> None:
    plan(desk, data=str(write_tickets(desk / "tickets.parquet")), feedback=False, set=SMALL)
    command = ("monitor", "ticket", "--now", NOW, "--retrain", "--out", str(desk / "runs"))
    said = told(*command)
    assert said["retraining"]["answer"] == "start"
    database = open_database()
    (row,) = past(database)
    assert (row.state, row.reason, row.key) == ("promoted", "drift", said["retraining"]["key"])
    assert "channel" in row.words
    champion = Registry(f"sqlite:///{desk / 'runs' / 'work' / 'mlflow.db'}").champion("ticket")
    assert champion is not None
    assert (champion.reason, champion.model_id) == ("drift", row.model_id)
    # Now that a model is deployed its labels have a version, so this is another wish; it has to wait.
    assert told(*command)["retraining"]["answer"] == "cooling_down"
    assert verdict_history(database, "ticket")[0].retraining["answer"] == "start"
    again = told("retrain", "ticket", "--now", NOW, "--dry-run", "--out", str(desk / "runs"))
    assert again["answer"] == "dry_run"  # a person need not wait
    assert told("retrain", "ticket", "--now", NOW, "--reason", "schedule", "--out", str(desk / "runs"))["answer"] == (
        "cooling_down"
    )
    assert len(past(database)) == 1
    database.close()
