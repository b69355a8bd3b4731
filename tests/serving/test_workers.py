"""Several workers behind one port: the answers of one, sums in the metrics, a killed one replaced, a clean end."""

from __future__ import annotations

import contextlib
import http.client
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
import orjson
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


def fresh(server: ServerProcess, address: str, content: Any = None) -> tuple[int, bytes]:
    """Ask over a new connection: any worker may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        body = None if content is None else orjson.dumps(content)
        connection.request("GET" if body is None else "POST", address, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def first_of(server: ServerProcess) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(fresh(server, V1, ONE)[1])["predictions"][0]
    return found


def samples(server: ServerProcess) -> dict[str, float]:
    lines = fresh(server, "/metrics")[1].decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def answered(server: ServerProcess) -> float:
    return samples(server).get('frontdesk_instances_total{model="ticket"}', 0.0)


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def store(ticket_bundles: TicketBundles, tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(str(tmp_path_factory.mktemp("workers-store")))
    deploy(made, ticket_bundles.network)
    return made


@pytest.fixture(scope="module")
def server(store: Store, grpc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two workers that follow a store; the tests below meet it in their order."""
    folder = tmp_path_factory.mktemp("workers")
    command = ["-m", "frontdesk.serving", "ticket", "--store", store.root, "--look-seconds", "0.2"]
    command += ["--workers", str(WORKERS), "--grpc-port", str(grpc_port)]
    with ServerProcess(command, folder / "log.jsonl", environment={"TMPDIR": str(folder)}) as running:
        yield running


def test_both_are_ready_and_both_answer_alike(server: ServerProcess) -> None:
    assert samples(server)["frontdesk_workers"] == WORKERS
    answers = [first_of(server) for _ in range(10)]
    labels = [{head: one["label"] for head, one in answer["labels"].items()} for answer in answers]
    assert all(one == labels[0] for one in labels)
    ready = [event for event in server.events() if event["event"] == "model_ready"]
    assert sorted(event["worker"] for event in ready) == [0, 1]  # type: ignore[type-var]


def test_metrics_are_of_all_of_them_whoever_is_asked(server: ServerProcess) -> None:
    before = answered(server)
    threads = [threading.Thread(target=lambda: [first_of(server) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answered(server) for _ in range(10)} == {before + 40}


def test_every_worker_follows_the_store(server: ServerProcess, store: Store, ticket_bundles: TicketBundles) -> None:
    second = deploy(store, ticket_bundles.classical)
    served = f'frontdesk_served{{model="ticket",model_id="{second}"}}'
    wait_for(lambda: samples(server).get(served) == WORKERS)
    assert {first_of(server)["model_id"] for _ in range(10)} == {second}


def test_grpc_is_answered_too(server: ServerProcess, grpc_port: int) -> None:
    tensor = {"name": "subject", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"lost card"]}}
    for _ in range(4):
        with grpc.insecure_channel(
            f"127.0.0.1:{grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            request = ModelInferRequest(model_name="ticket", inputs=[tensor])
            assert GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60).model_version


def test_a_taken_port_is_told(server: ServerProcess, grpc_port: int) -> None:
    for option in (("--port", str(server.port)), ("--port", "0", "--grpc-port", str(grpc_port))):
        command = [sys.executable, "-m", "frontdesk.serving", "x", "--workers", "2", *option]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, "Address already in use" in done.stderr) == (2, True), done.stderr


def test_a_killed_worker_is_replaced_and_readiness_is_never_a_lie(server: ServerProcess) -> None:
    before, counted = children(server), answered(server)
    assert len(before) == WORKERS
    lies: list[str] = []
    done = threading.Event()

    def trust() -> None:
        """Whenever it is ready, the next request is answered."""
        while not done.is_set():
            try:
                if fresh(server, "/v2/health/ready")[0] != 200:
                    continue
                if (answer := fresh(server, V1, ONE))[0] != 200:
                    lies.append(str(answer))
            except (OSError, http.client.HTTPException) as error:
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


def test_a_signal_under_load_fails_no_request(server: ServerProcess) -> None:
    """Each request that a worker has begun is answered; then the port is closed, and nothing is left behind."""
    many = {"instances": [{"body": "lost card " * 20}] * 300}
    statuses: list[int] = []
    workers, scratch = children(server), server.log.parent

    def call() -> None:
        """A connection for each request: none is lost to one that closes while it idles."""
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                statuses.append(fresh(server, V1, many)[0])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    wait_for(lambda: len(statuses) >= 8)
    assert list(scratch.glob("frontdesk-workers-*"))
    assert server.stop(signal.SIGTERM) == 0
    for caller in callers:
        caller.join()
    assert set(statuses) == {200}
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert not list(scratch.glob("frontdesk-workers-*"))
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
