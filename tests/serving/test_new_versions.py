"""A new version under load: no request fails, every answer is of one of the two, and a bad one changes nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import orjson

from frontdesk.bundle import manifest_at
from frontdesk.storage import Store, canonical_json
from tests.bundles import TicketBundles
from tests.serving.process import ServerProcess

CALLERS = 4


def deploy(store: Store, bundle: Path) -> str:
    """Make a bundle the deployed ticket model, as job 6 does; return its model_id."""
    model_id: str = manifest_at(str(bundle))["model_id"]
    place = Path(store.uri("models", "ticket", model_id))
    if not place.exists():
        shutil.copytree(bundle, place)
    pointer = {"model_id": model_id, "uri": str(place), "version": 1}
    store.put(canonical_json(pointer), "models", "ticket", "current.json")
    return model_id


def wait_for(check: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def test_a_new_version_takes_over_under_load(ticket_bundles: TicketBundles, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = deploy(store, ticket_bundles.network)
    command = ["-m", "frontdesk.serving", "ticket", "--store", store.root, "--look-seconds", "0.2"]
    answers: list[tuple[int, set[str]]] = []
    done = threading.Event()

    def calls(url: str, number: int) -> None:
        tensor = {"name": "body", "shape": [number], "datatype": "BYTES", "data": ["lost card"] * number}
        v1 = ("/v1/models/ticket:predict", {"instances": [{"body": "lost card"}] * number})
        address, body = v1 if number % 2 else ("/v2/models/ticket/infer", {"inputs": [tensor]})
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            while not done.is_set():
                made = client.post(address, json=body)
                content = made.json()
                found = {content.get("model_version")} | {one["model_id"] for one in content.get("predictions", ())}
                answers.append((made.status_code, found - {None}))

    with ServerProcess(command, tmp_path / "log") as server:
        callers = [threading.Thread(target=calls, args=(server.url, number)) for number in range(1, CALLERS + 1)]
        for caller in callers:
            caller.start()
        wait_for(lambda: len(answers) > 50)
        second = deploy(store, ticket_bundles.classical)
        wait_for(lambda: answers[-1][1] == {second})
        count = len(answers)
        wait_for(lambda: len(answers) > count + 50)
        assert server.client.get("/v2/models/ticket").json()["versions"] == [second]

        damaged = tmp_path / "damaged"
        shutil.copytree(ticket_bundles.network, damaged)
        (damaged / "policy.json").write_bytes(b"{}")
        pointer = {"model_id": "0" * 20, "uri": str(damaged), "version": 2}
        store.put(orjson.dumps(pointer), "models", "ticket", "current.json")
        wait_for(lambda: 'outcome="failed"' in server.client.get("/metrics").text)
        count = len(answers)
        wait_for(lambda: len(answers) > count + 50)
        done.set()
        for caller in callers:
            caller.join()
        metrics = server.client.get("/metrics").text
        assert f'frontdesk_served{{model="ticket",model_id="{second}"}} 1.0' in metrics
        assert first not in metrics
        failures = [one for one in server.events() if one["event"] == "switch_failed"]
        assert [(one["model"], one["model_id"]) for one in failures] == [("ticket", "0" * 20)]
    assert {status for status, _ in answers} == {200}
    assert all(len(found) == 1 for _, found in answers), "an answer is of one model"
    assert set().union(*(found for _, found in answers)) == {first, second}
    assert answers[-1][1] == {second}


def test_a_store_without_a_deployment_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "frontdesk.serving", "ticket", "--store", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "no ticket model is deployed" in done.stderr
    assert "Traceback" not in done.stderr
