"""Runs and schedules on a pipeline server, through the real SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.components.server import Server
from frontdesk.database import open_database
from frontdesk.database.retrainings import past
from frontdesk.errors import PipelineServerError, UsageError
from frontdesk.settings import settings
from tests.pipelines.kfp_api import Desk, kfp_api

MANY = [
    {"name": "ticket-weekly", "recipe": "ticket", "cron": "0 3 * * 0", "data": "s3://desk/tickets.parquet"},
    {"name": "ticket-watch", "recipe": "ticket", "pipeline": "monitoring", "cron": "15 * * * *"},
    {"name": "features", "pipeline": "features", "cron": "5 * * * *"},
]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A server that the settings name, with a store and a registry of a cluster."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with kfp_api() as served:
        for name, value in (
            ("KFP", served.url),
            ("STORE", str(tmp_path / "store")),
            ("MLFLOW", "http://mlflow:5000"),
            ("DATABASE", f"sqlite:///{tmp_path / 'desk.db'}"),
        ):
            monkeypatch.setenv(f"FRONTDESK_{name}", value)
        settings.cache_clear()
        yield served
    monkeypatch.undo()
    settings.cache_clear()


def told(*arguments: str) -> Any:
    answer = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False, standalone_mode=False)
    assert answer.exit_code == 0, answer.output
    return orjson.loads(answer.stdout)  # the SDK's own words would be found here


def declare(path: Path, schedules: list[dict[str, Any]]) -> str:
    path.write_text(yaml.safe_dump({"format": 1, "schedules": schedules}))
    return str(path)


def actions(file: str, *more: str) -> dict[str, str]:
    return {change["name"]: change["action"] for change in told("schedule", "--file", file, *more)["changes"]}


@pytest.mark.slow
def test_a_file_of_schedules_is_applied_once(desk: Desk, tmp_path: Path) -> None:
    theirs = desk.put(
        "recurringruns", "recurring_run_id", {"display_name": "theirs", "description": "", "status": "ENABLED"}
    )
    file = declare(tmp_path / "schedules.yaml", MANY)
    assert set(actions(file, "--dry-run").values()) == {"create"}
    assert list(desk.recurringruns) == [theirs["recurring_run_id"]]
    assert set(actions(file).values()) == {"create"}
    first = dict(desk.recurringruns)
    assert len(first) == 4
    weekly = next(one for one in first.values() if one["display_name"] == "ticket-weekly")
    assert weekly["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 0"
    assert int(weekly["max_concurrency"]) == 1
    assert weekly["no_catchup"] is True
    assert weekly["runtime_config"]["parameters"]["reason"] == "schedule"
    assert weekly["pipeline_version_reference"]["pipeline_version_id"] in desk.versions
    assert set(actions(file).values()) == {"keep"}
    assert desk.recurringruns == first
    assert len(desk.pipelines) == 3

    changed = declare(tmp_path / "schedules.yaml", [{**MANY[0], "cron": "0 4 * * 0"}, MANY[1]])
    assert actions(changed) == {"ticket-weekly": "update", "ticket-watch": "keep", "features": "delete"}
    left = {one["display_name"]: one for one in desk.recurringruns.values()}
    assert set(left) == {"theirs", "ticket-weekly", "ticket-watch"}
    assert left["ticket-weekly"]["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 0"
    assert set(actions(changed).values()) == {"keep"}


@pytest.mark.slow
def test_one_schedule_leaves_the_others(desk: Desk, tmp_path: Path) -> None:
    actions(declare(tmp_path / "schedules.yaml", MANY[2:]))
    for action in ("create", "keep"):
        said = told("schedule", "email", "--cron", "0 2 2 * *", "--data", "s3://desk/emails.parquet")
        assert [(one["name"], one["action"]) for one in said["changes"]] == [("email-lifecycle", action)]
    assert {one["display_name"] for one in desk.recurringruns.values()} == {"features", "email-lifecycle"}


@pytest.mark.slow
def test_a_version_is_uploaded_once(desk: Desk) -> None:
    said = [told("submit", "ticket", "--data", "s3://desk/t.csv", "--set", "epochs=3") for _ in range(2)]
    assert [one["new_version"] for one in said] == [True, False]
    assert said[0]["version"] == said[1]["version"]
    assert len(desk.pipelines) == 1
    assert len(desk.runs) == 2
    run = desk.runs[said[0]["run"]]
    assert orjson.loads(run["runtime_config"]["parameters"]["parameters"])["epochs"] == 3
    assert run["runtime_config"]["parameters"]["store"].endswith("store")


def test_runs_get_the_account_of_the_cluster_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("{format: 1, service_account: frontdesk-pipelines}")
    run = told("submit", "ticket", "--data", "s3://desk/t.csv", "--cluster", str(file))["run"]
    assert desk.runs[run]["service_account"] == "frontdesk-pipelines"
    once = ("schedule", "ticket", "--cron", "0 3 * * 0", "--data", "s3://desk/t.csv", "--cluster", str(file))
    assert [told(*once)["changes"][0]["action"] for _ in range(2)] == ["create", "keep"]
    (weekly,) = desk.recurringruns.values()
    assert weekly["service_account"] == "frontdesk-pipelines"


def test_a_retraining_is_a_run_and_its_end_is_found_out(desk: Desk, tmp_path: Path) -> None:
    table = tmp_path / "tickets.csv"
    table.write_text("id\n")
    plan = tmp_path / "plan.yaml"
    rules = {"data": str(table), "feedback": False, "cool_down_days": 0}
    plan.write_text(yaml.safe_dump({"format": 1, "recipes": {"ticket": {"retraining": rules}}}))
    said = told("retrain", "ticket", "--plan", str(plan))
    assert said["answer"] == "start"
    run = said["started"]["run"]
    assert desk.runs[run]["runtime_config"]["parameters"]["reason"] == "manual"
    assert told("retrain", "ticket", "--plan", str(plan))["answer"] == "running"
    desk.runs[run]["state"] = "SUCCEEDED"
    assert told("retrain", "ticket", "--plan", str(plan))["answer"] == "done_before"
    database = open_database()
    assert [(row.state, row.run) for row in past(database)] == [("ended", run)]
    database.close()


def test_a_server_that_refuses_or_is_not_there(desk: Desk, tmp_path: Path) -> None:
    server = Server(desk.url)
    with pytest.raises(UsageError, match="no pipeline ticket-lifecycle"):
        server.newest_version("ticket-lifecycle")
    desk.refuse = 500
    with pytest.raises(PipelineServerError, match="refused") as caught:
        server.recurring()
    assert caught.value.where == desk.url
