"""``frontdesk up``: everything ready or nothing told, everything stopped, also when a part is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from frontdesk.errors import UsageError
from frontdesk.intent.opening import load_intents
from frontdesk.intent.redis_store import prefix_of
from frontdesk.redis_connection import connect
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.settings import Settings, read_settings
from tests.gateway.desk import INTENTS, TICKETS, Stack
from tests.intent_bundles import IntentRun


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def gone(pids: list[int], seconds: float = 40) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(
            Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text() for pid in pids
        ):
            return True
        time.sleep(0.05)
    return False


def answer(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.client.post(TICKETS, json={"instances": [{"subject": "x"}]}).json()["predictions"][0]
    return found


def test_what_up_tells(desk: Stack) -> None:
    assert desk.told.keys() == {"gateway", "console", "models", "key"}
    assert desk.told["models"].keys() == {"email", "ticket", "intent"}
    assert desk.told["console"] == desk.told["gateway"] + "/console"
    assert (desk.out / "up.json").stat().st_mode & 0o077 == 0
    assert desk.client.get("/readyz").json() == {
        "status": "ready",
        "models": {"email": True, "ticket": True, "intent": True},
    }
    for recipe, url in desk.told["models"].items():
        response = httpx.post(f"{url}/v1/models/{recipe}:predict", json={"instances": [{}]}, trust_env=False)
        assert response.status_code == 200


def test_a_dead_model_server_is_started_again_and_everything_stops(ticket_bundle: Path, tmp_path: Path) -> None:
    stack = Stack(tmp_path, [ticket_bundle])
    try:
        assert not answer(stack)["degraded"]
        (models,) = children(stack.process.pid)
        os.kill(models, signal.SIGKILL)
        assert answer(stack)["degraded"]
        deadline = time.monotonic() + 60
        while answer(stack)["degraded"]:
            assert time.monotonic() < deadline, "the model server never came back"
            time.sleep(0.1)
        started = children(stack.process.pid)
        assert started != [models]
        rows = stack.log_rows()
        assert rows > 2
    finally:
        code = stack.stop(signal.SIGINT)
    assert code == 0
    assert gone(started)
    assert not (tmp_path / "up.json").exists()
    assert "traceback" not in stack.log.read_text().lower()


def test_a_killed_parent_leaves_nobody_behind(ticket_bundle: Path, tmp_path: Path) -> None:
    stack = Stack(tmp_path, [ticket_bundle])
    started = children(stack.process.pid)
    assert len(started) == 1
    assert stack.stop(signal.SIGKILL) == -signal.SIGKILL
    assert gone(started)


def test_stopped_before_it_is_ready(ticket_bundle: Path, tmp_path: Path) -> None:
    stack = Stack(tmp_path, [ticket_bundle], wait=False)
    stack.wait_for((tmp_path / "models.log").exists)
    started = children(stack.process.pid)
    time.sleep(0.3)
    assert stack.stop(signal.SIGINT) == 0
    assert gone(started)
    assert not (tmp_path / "up.json").exists()


def run(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frontdesk.cli.main", *arguments]
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, env=variables)


def test_nothing_to_serve(tmp_path: Path) -> None:
    done = run("up", "--out", "up", "--json", folder=tmp_path)
    assert done.returncode == 2
    assert "make demo" in orjson.loads(done.stdout)["error"]["message"]
    done = run("up", "--bundle", "nowhere", "--out", "up", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("up.json"))


def test_a_private_redis_is_filled_shared_and_stopped(intent_run: IntentRun, tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: install the Debian package redis-server")
    with Stack(tmp_path, [intent_run.bundle], arguments=("--redis",)) as stack:
        assert isinstance(stack, Stack)
        client = connect(stack.told["redis"], timeout_seconds=10)
        tokenizer = load_intents(intent_run.bundle).tokenizer
        assert client.get(f"{prefix_of(tokenizer.digest)}:current")
        assert stack.client.post(INTENTS, json={"instances": [{}]}).status_code == 200
        assert client.keys("frontdesk:rate:*"), "the limits are counted there"
        started = children(stack.process.pid)
        client.close()
    assert gone(started)


def test_a_private_redis_needs_a_program_and_no_other_redis(ticket_bundle: Path, tmp_path: Path) -> None:
    command = ("up", "--bundle", str(ticket_bundle), "--out", "up", "--redis")
    done = run(*command, folder=tmp_path, environment={"FRONTDESK_REDIS": "redis://127.0.0.1:9/0"})
    assert (done.returncode, "FRONTDESK_REDIS names one already" in done.stderr) == (2, True)
    done = run(*command, folder=tmp_path, environment={"PATH": str(tmp_path)})
    assert (done.returncode, "there is no redis-server" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


def test_a_bundle_that_is_broken(ticket_bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bundle"
    shutil.copytree(ticket_bundle, broken)
    (broken / "policy.json").write_text("{}")
    done = run("up", "--bundle", str(broken), "--out", "up", folder=tmp_path)
    assert done.returncode == 1
    assert "policy.json: a file of the bundle was altered" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_server_that_does_not_start(ticket_bundle: Path, tmp_path: Path) -> None:
    nowhere = {"FRONTDESK_POLICY": str(tmp_path / "nothing.json")}
    done = run("up", "--bundle", str(ticket_bundle), "--out", "up", folder=tmp_path, environment=nowhere)
    assert done.returncode != 0
    assert "model server ended before it was ready" in done.stderr
    assert "nothing.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port(desk: Stack, ticket_bundle: Path, tmp_path: Path) -> None:
    port = desk.told["gateway"].rpartition(":")[2]
    done = run("up", "--bundle", str(ticket_bundle), "--out", "up", "--port", port, folder=tmp_path)
    assert (done.returncode, "cannot listen" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("FRONTDESK_GATEWAY_BURST", "many", "FRONTDESK_GATEWAY_BURST"),
        ("FRONTDESK_GATEWAY_LOG_FIELDS", "{", "FRONTDESK_GATEWAY_LOG_FIELDS"),
        ("FRONTDESK_MODELS", '{"ticket": 3}', "FRONTDESK_MODELS.ticket"),
        ("FRONTDESK_MODELS", "{", "FRONTDESK_MODELS"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        read_settings(GatewaySettings if "GATEWAY" in name else Settings)
    assert caught.value.where == where
    assert value not in caught.value.message
