"""Several workers behind one port: the answers of one, sums in the metrics, a killed one replaced, a clean end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from frontdesk.serving.sdk import GRPCInferenceServiceStub, ModelInferRequest
from frontdesk.storage import Store
from tests.bundles import TicketBundles
from tests.serving.process import ServerProcess, free_port
from tests.serving.test_new_versions import deploy

V1 = "/v1/models/ticket:predict"
WORKERS = 2
ONE = {"instances": [{"subject": "lost card"}]}


def wait_for(check: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def children(server: ServerProcess) -> list[int]:
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def fresh(server: ServerProcess, address: str, **content: Any) -> httpx.Response:
    """Ask over a new connection: any worker may take it."""
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        return client.request("POST" if content else "GET", address, **content)


def samples(server: ServerProcess) -> dict[str, float]:
    lines = fresh(server, "/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def answered(server: ServerProcess) -> float:
    return samples(server).get('frontdesk_instances_total{model="ticket"}', 0.0)


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(ticket_bundle: Path, grpc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    arguments = ("--workers", str(WORKERS), "--grpc-port", str(grpc_port))
    log = tmp_path_factory.mktemp("workers") / "log.jsonl"
    with ServerProcess.of_bundles(log, ticket_bundle, arguments=arguments) as running:
        yield running


def test_both_are_ready_and_both_answer_alike(server: ServerProcess) -> None:
    assert samples(server)["frontdesk_workers"] == WORKERS
    answers = [fresh(server, V1, json=ONE).json()["predictions"][0] for _ in range(10)]
    labels = [{head: one["label"] for head, one in answer["labels"].items()} for answer in answers]
    assert all(one == labels[0] for one in labels)
    ready = [event for event in server.events() if event["event"] == "model_ready"]
    assert sorted(event["worker"] for event in ready) == [0, 1]  # type: ignore[type-var]


def test_metrics_are_of_all_of_them_whoever_is_asked(server: ServerProcess) -> None:
    before = answered(server)
    threads = [threading.Thread(target=lambda: [fresh(server, V1, json=ONE) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answered(server) for _ in range(10)} == {before + 40}
    model_id = fresh(server, "/v2/models/ticket").json()["versions"][0]
    assert samples(server)[f'frontdesk_served{{model="ticket",model_id="{model_id}"}}'] == WORKERS


def test_grpc_is_answered_too(server: ServerProcess, grpc_port: int) -> None:
    tensor = {"name": "subject", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"lost card"]}}
    for _ in range(4):
        with grpc.insecure_channel(
            f"127.0.0.1:{grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            request = ModelInferRequest(model_name="ticket", inputs=[tensor])
            assert GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60).model_version


def test_a_taken_port_is_told(server: ServerProcess, ticket_bundle: Path, grpc_port: int) -> None:
    for option in (("--port", str(server.port)), ("--port", "0", "--grpc-port", str(grpc_port))):
        command = [sys.executable, "-m", "frontdesk.serving", str(ticket_bundle), "--workers", "2", *option]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, "Address already in use" in done.stderr) == (2, True), done.stderr


def test_a_killed_worker_is_replaced_and_readiness_is_never_a_lie(server: ServerProcess) -> None:
    before, counted = children(server), answered(server)
    assert len(before) == WORKERS
    lies, done = [], threading.Event()

    def trust() -> None:
        """Whenever it is ready, the next request is answered."""
        while not done.is_set():
            try:
                if fresh(server, "/v2/health/ready").status_code != 200:
                    continue
                if (response := fresh(server, V1, json=ONE)).status_code != 200:
                    lies.append(response.text)
            except httpx.TransportError as error:
                lies.append(repr(error))

    caller = threading.Thread(target=trust)
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{before[0]}").exists())
    caller.start()
    wait_for(lambda: samples(server).get("frontdesk_worker_restarts_total") == 1.0)
    wait_for(lambda: samples(server)["frontdesk_workers"] == WORKERS)
    done.set()
    caller.join()
    assert not lies
    after = children(server)
    assert len(after) == WORKERS
    assert before[1] in after
    assert answered(server) > counted, "what the dead one counted still counts"
    (death,) = [event for event in server.events() if event["event"] == "worker_died"]
    assert (death["exit_code"], death["was_ready"]) == (-signal.SIGKILL, True)


def test_a_signal_under_load_fails_no_request(ticket_bundle: Path, tmp_path: Path) -> None:
    """Each request that a worker has begun is answered; then the port is closed, nothing is left behind."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    many = {"instances": [{"body": "lost card " * 20}] * 300}
    statuses: list[int] = []
    refused = threading.Event()
    command = ["-m", "frontdesk.serving", str(ticket_bundle), "--workers", str(WORKERS)]
    server = ServerProcess(command, tmp_path / "log", environment={"TMPDIR": str(scratch)})
    workers = children(server)

    def call() -> None:
        """A connection for each request: none is lost to one that closes while it idles."""
        while True:
            try:
                with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
                    statuses.append(client.post(V1, json=many, headers={"connection": "close"}).status_code)
            except httpx.ConnectError:
                refused.set()
                return

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    wait_for(lambda: len(statuses) >= 8)
    assert server.stop(signal.SIGTERM) == 0
    for caller in callers:
        caller.join()
    assert set(statuses) == {200}
    assert refused.is_set()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert not list(scratch.iterdir())
    events = [event["event"] for event in server.events()]
    assert events.count("stopped") == WORKERS
    assert events[-1] == "workers_stopped"


def test_a_bundle_that_cannot_be_served_ends_all_with_its_own_error(ticket_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for path in ticket_bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "policy.json").write_bytes((copy / "policy.json").read_bytes().replace(b"0", b"1", 1))
    command = [sys.executable, "-m", "frontdesk.serving", str(copy), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "error: policy.json: a file of the bundle was altered" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_worker_follows_the_store(ticket_bundles: TicketBundles, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    deploy(store, ticket_bundles.network)
    command = ["-m", "frontdesk.serving", "ticket", "--store", store.root, "--look-seconds", "0.2", "--workers", "2"]
    with ServerProcess(command, tmp_path / "log") as server:
        second = deploy(store, ticket_bundles.classical)
        served = f'frontdesk_served{{model="ticket",model_id="{second}"}}'
        wait_for(lambda: samples(server).get(served) == WORKERS)
        answers = [fresh(server, V1, json=ONE).json()["predictions"][0]["model_id"] for _ in range(10)]
        assert set(answers) == {second}
