"""A quarter of a simulated desk by one command: what was injected is found, handled once, and nobody notices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from frontdesk.cli.rehearsal.page import PAGE, STORY
from frontdesk.cli.rehearsal.places import RECIPE
from frontdesk.cli.rehearsal.rehearsing import FAULT_DAY
from frontdesk.cli.rehearsal.story import WINDOWS
from frontdesk.database import Database, open_database
from frontdesk.deployment import current, offered
from frontdesk.registry import Registry
from frontdesk.simulation.quarter import DAYS, WEEK
from frontdesk.storage import Store

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(1_900)]  # minutes on a quiet machine, many on a busy one
ROLLED_BACK = {
    "fails": "calls failed",
    "slow": "calls failed",
    "wrong": "golden questions are answered wrongly",
    "never ready": "did not answer as the candidate",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one rehearsal leaves."""
    out = tmp_path_factory.mktemp("rehearsal") / "out"
    command = [sys.executable, "-m", "frontdesk.cli.main", "rehearse", "--out", str(out)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=1_800
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def story(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / STORY).read_bytes())
    return found


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{folder / 'frontdesk.db'}")
    yield opened
    opened.close()


def rows(database: Database, statement: str) -> list[Any]:
    with database.reading() as connection:
        return list(connection.execute(sa.text(statement)))


def test_both_changes_are_found_in_time_by_their_own_cause(story: dict[str, Any]) -> None:
    text, label = story["found"]["text"], story["found"]["label"]
    for found in (text, label):
        assert found["windows"] <= WINDOWS
        assert found["found"] - found["injected"] <= WINDOWS * WEEK
    assert text["first_cause"]["kind"] == "text"
    assert text["first_cause"]["column"] in ("text.subject", "text.body")
    assert label["first_cause"]["column"] in ("orphan.contact_type", "label.contact_type")
    before = [week["verdict"] for week in story["weeks"] if week["day"] <= text["injected"]]
    assert before[0] == "none", "the first week is the reference"
    assert set(before[1:]) == {"stable"}
    between = [week for week in story["weeks"] if text["found"] + WEEK < week["day"] <= label["injected"]]
    assert between
    assert all(week["verdict"] != "drift" for week in between), "the new model is used to the new words"


def test_the_verdicts_are_in_the_database(story: dict[str, Any], database: Database) -> None:
    kept = rows(database, "SELECT verdict FROM verdicts WHERE part = '' ORDER BY window_end")
    assert [row.verdict for row in kept] == [week["verdict"] for week in story["weeks"]]
    assert len(kept) == DAYS // WEEK


def test_one_retraining_started_and_its_run_says_why(story: dict[str, Any], folder: Path, database: Database) -> None:
    (kept,) = rows(database, "SELECT * FROM retrainings")
    assert (kept.reason, kept.state) == ("drift", "promoted")
    assert "text." in kept.words
    heard = next(event["heard"] for event in story["timeline"] if event["kind"] == "retraining")
    assert heard == ["running", "start"], "of two monitors that asked at once, one started it"
    asked = [week["decision"] for week in story["weeks"] if week["verdict"] == "drift"]
    assert asked.count("dry_run") == 1
    assert asked[-1] == "cooling_down"
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}")
    first, retrained = registry.versions(RECIPE)[:2]
    assert (first.reason, retrained.reason) == ("manual", "drift")
    assert retrained.model_id == kept.model_id
    manifest = Store(str(folder / "store")).manifest("training", kept.key[:20])
    assert manifest is not None
    assert manifest["rows"]["rows"] > story["tickets"]["history"], "the newest cases are among its rows"
    assert not manifest["rows"]["refused"]


def test_the_candidate_passed_the_gate_was_approved_canaried_and_promoted(
    story: dict[str, Any], folder: Path, database: Database
) -> None:
    kinds = [event["kind"] for event in story["timeline"] if event["kind"] in ("candidate", "approved", "promoted")]
    assert kinds == ["candidate", "approved", "promoted"]
    candidate = next(event for event in story["timeline"] if event["kind"] == "candidate")
    assert candidate["gate"]["decision"] == "promote"
    rollout = next(one for one in story["rollouts"] if one["fault"] is None)
    assert [entry["share"] for entry in rollout["history"]] == [0.0, 0.5, 1.0, 1.0, 0.0]
    assert rollout["candidate"] == candidate["model_id"]
    arms = dict(
        tuple(row)
        for row in rows(
            database,
            f"SELECT arm, count(*) FROM predictions WHERE experiment = 'rollout {rollout['rollout']}' GROUP BY arm",
        )
    )
    assert min(arms["candidate"], arms["control"]) > 100, "the split was the gateway's, of real cases"
    store, registry = Store(str(folder / "store")), Registry(f"sqlite:///{folder / 'mlflow.db'}")
    champion, pointer = registry.champion(RECIPE), current(store, RECIPE)
    assert champion is not None
    assert pointer is not None
    last = rows(database, "SELECT model_id FROM predictions ORDER BY at DESC LIMIT 1")[0].model_id
    assert {champion.model_id, pointer["model_id"], last} == {candidate["model_id"]}
    release = next(one for one in story["releases"] if one["version"] == candidate["version"])
    assert (release["state"], release["decision"], release["decided_by"]) == ("deployed", "approved", "Ada")


@pytest.mark.parametrize("fault", sorted(ROLLED_BACK))
def test_a_broken_candidate_is_rolled_back(story: dict[str, Any], folder: Path, database: Database, fault: str) -> None:
    rollout = next(one for one in story["rollouts"] if one["fault"] == fault)
    assert rollout["status"] == "rolled back"
    assert ROLLED_BACK[fault] in rollout["reasons"][0]
    release = next(one for one in story["releases"] if one["version"] == rollout["version"])
    assert release["state"] == "rolled back"
    pointer = offered(Store(str(folder / "store")), RECIPE)
    assert pointer is not None
    assert pointer["model_id"] == story["deployed"]["store"], "nobody offers it any more"
    answered = rows(database, f"SELECT count(*) AS n FROM predictions WHERE model_id = '{rollout['candidate']}'")[0].n
    assert answered == 0, "the champion answered in its place"


def test_no_caller_noticed_anything(story: dict[str, Any], database: Database) -> None:
    assert story["calls"]["failed"] == 0
    assert story["problems"] == []
    counted = rows(database, "SELECT count(*) AS n, sum(degraded) AS degraded FROM predictions")[0]
    assert (counted.n, counted.degraded) == (story["tickets"]["quarter"], 0)
    days = [event["day"] for event in story["timeline"] if event["kind"] == "rolled back"]
    assert len(days) == len(ROLLED_BACK)
    assert min(days) >= FAULT_DAY


def test_the_page_says_what_happened(story: dict[str, Any], folder: Path) -> None:
    page = (folder / PAGE).read_text("utf-8")
    assert "Both changes were found" in page
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert len(story["summary"]) > len(ROLLED_BACK)
