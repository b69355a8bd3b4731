"""``frontdesk up --store``: a version is approved, rolled out step by step under traffic, and promoted everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontdesk.database.releases import release
from frontdesk.database.rollouts import latest_rollout
from frontdesk.deployment import current, offered
from tests.gateway.desk import Process, client_of
from tests.gateway.releasing import Place, released, traffic


@pytest.fixture
def registered(ticket_bundle: Path, empty_registry: Path, tmp_path: Path) -> Place:
    """A store as ``frontdesk run`` leaves it, twice: the registry is beside it."""
    return released(tmp_path, empty_registry, ticket_bundle)


def command(*arguments: str, folder: Path, database: str) -> dict[str, Any]:
    line = [sys.executable, "-m", "frontdesk.cli.main", *arguments, "--json"]
    done = subprocess.run(
        line,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "FRONTDESK_DATABASE": database},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


@pytest.mark.rehearsal
def test_a_good_candidate_is_promoted(registered: Place, tmp_path: Path) -> None:
    from frontdesk.database import open_database

    out, store = tmp_path / "up", registered.store.root
    out.mkdir()
    where: dict[str, Any] = {"folder": tmp_path, "database": f"sqlite:///{out / 'frontdesk.db'}"}
    patient = {"FRONTDESK_GATEWAY_SUGGEST_SECONDS": "20"}
    with Process(["up", "--store", store, "--out", str(out)], out, patient) as stack:
        stack.wait_for((out / "up.json").exists)
        told = orjson.loads((out / "up.json").read_bytes())
        assert list(told["models"]) == ["ticket"]
        approved = command("approve", "ticket", "2", "--by", "Ada", "--store", store, **where)
        assert approved["decision"] == "approved"
        options = [
            "--steps",
            "50,100",
            "--bake",
            "1",
            "--least",
            "20",
            "--rise",
            "0.4",
            "--slack",
            "30",
            "--alpha",
            "0.4",
        ]
        begun = command("rollout", "start", "ticket", "--store", store, *options, **where)
        assert (begun["status"], begun["share"], begun["version"]) == ("waiting", 0.0, 2)
        database = open_database(where["database"])
        with client_of(told["gateway"], told["key"]) as client:
            with traffic(client, callers=4) as desk:
                stack.wait_for(lambda: not latest_rollout(database, "ticket").active, seconds=400)
                seen = len(desk.models)
                stack.wait_for(lambda: len(desk.models) > seen + 40)
            promoted = 'frontdesk_rollout_status{recipe="ticket",status="promoted"} 1.0'  # the gateway looks by itself
            stack.wait_for(lambda: promoted in client.get("/metrics").text)
            metrics = client.get("/metrics").text
        found = latest_rollout(database, "ticket")
        assert found.progress.status == "promoted", found.as_json()
        shares = [entry["share"] for entry in found.history]
        assert shares == [0.0, 0.5, 1.0, 1.0, 0.0]
        assert set(desk.statuses) == {200}
        assert not any(answer["degraded"] for answer in desk.answers)
        assert set(desk.models) == {registered.champion.model_id, registered.candidate.model_id}
        assert set(desk.models[-20:]) == {registered.candidate.model_id}
        assert current(registered.store, "ticket")["version"] == registered.registry.champion("ticket").number == 2
        stack.wait_for(lambda: release(database, "ticket", 2).state == "deployed")
        stack.wait_for(lambda: release(database, "ticket", 1).state == "replaced")
        assert offered(registered.store, "ticket")["model_id"] == registered.candidate.model_id
        assert 'frontdesk_rollout_calls_total{outcome="good",recipe="ticket",side="candidate"}' in metrics
        status = command("rollout", "status", "ticket", **where)
        assert {one["arm"] for one in status["counts"]} == {"candidate", "control"}
        database.close()
    moved = [line for line in (out / "controller.log").read_text().splitlines() if "rollout_moved" in line]
    assert len(moved) == 4
    assert "Traceback" not in (out / "controller.log").read_text()
