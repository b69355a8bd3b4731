"""Readiness, overload, faults, shutdown, logs and metrics of the running server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from frontdesk.errors import BundleError, UsageError
from frontdesk.serving.listener import listen
from frontdesk.serving.server import served_names
from tests.bundles import TicketBundles
from tests.serving.faulty_server import BROKEN, SECRET, SLOW
from tests.serving.process import ServerProcess, free_port

V1 = "/v1/models/ticket:predict"


def faulty(bundle: Path, log: Path, *arguments: str, wait: bool = True) -> ServerProcess:
    """Start the server whose bundle misbehaves on demand."""
    return ServerProcess(["-m", "tests.serving.faulty_server", str(bundle), *arguments], log, wait=wait)


@pytest.fixture(scope="module")
def misbehaving(ticket_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Serve one bundle that misbehaves, for several tests."""
    with faulty(ticket_bundle, tmp_path_factory.mktemp("faulty") / "log") as server:
        yield server


def ask(server: ServerProcess, text: str, **more: Any) -> httpx.Response:
    """Send one ticket."""
    return server.client.post(V1, json={"instances": [{"subject": text}]}, **more)


def test_not_ready_until_the_model_is(ticket_bundle: Path, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("--load-seconds", "2.5", "--grpc-port", str(port))
    with faulty(ticket_bundle, tmp_path / "log", *arguments, wait=False) as server:
        assert server.client.get("/v2/health/live").json() == {"live": True}
        for address in ("/v2/health/ready", "/v1/models/ticket", "/v2/models/ticket/ready"):
            response = server.client.get(address)
            assert response.status_code == 503
            assert response.json()["code"] == "not_ready"
            assert response.headers["retry-after"] == "1"
        assert ask(server, "x").status_code == 503
        assert server.client.get("/v2/models/ticket").status_code == 503
        assert server.client.post("/v2/models/ticket/infer", json={"inputs": []}).status_code == 503
        server.wait_for("/v2/health/ready")
        for address in ("/v1/models/ticket", "/v2/models/ticket/ready"):
            assert server.client.get(address).json() == {"name": "ticket", "ready": True}
        assert ask(server, "x").status_code == 200


def test_a_port_that_cannot_be_had_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="Address already in use"):
            listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:99999"):
        listen("127.0.0.1", 99_999)


def test_an_altered_bundle_ends_the_server_with_its_exit_code(ticket_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for path in ticket_bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "policy.json").write_bytes((copy / "policy.json").read_bytes().replace(b"0", b"1", 1))
    command = [sys.executable, "-m", "frontdesk.serving", str(copy), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "error: policy.json: a file of the bundle was altered" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_of_several_bundles(ticket_bundles: TicketBundles, tmp_path: Path) -> None:
    names = served_names([str(ticket_bundles.network), str(ticket_bundles.classical)])
    first, second = names
    assert first == "ticket"
    assert names["ticket"] == str(ticket_bundles.network)
    assert second.startswith("ticket-")
    assert len(second) == len("ticket-") + 8
    with pytest.raises(UsageError):
        served_names([])
    with pytest.raises(UsageError):
        served_names([str(ticket_bundles.network)] * 2)
    with pytest.raises(BundleError):
        served_names([str(tmp_path)])


def test_two_bundles_of_a_recipe_answer_beside_each_other(server: ServerProcess) -> None:
    names = server.client.get("/v1/models").json()["models"]
    body = {"instances": [{"body": "lost card"}]}
    answers = [server.client.post(f"/v1/models/{name}:predict", json=body).json() for name in names]
    identities = [answer["predictions"][0]["model_id"] for answer in answers]
    assert len(set(identities)) == 2
    assert names == ["ticket", f"ticket-{identities[1][:8]}"]


def test_listens_on_the_loopback_device_only(server: ServerProcess, grpc_port: int) -> None:
    ports = {f"{server.port:04X}", f"{grpc_port:04X}"}
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text("ascii").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, port = local.rpartition(":")
            if port in ports and state == "0A":  # listening
                addresses.add(address)
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}  # the second is the first, as IPv6 writes it
    assert addresses
    assert addresses <= loopback


def test_a_slow_request_does_not_block_probes_and_the_queue_is_bounded(misbehaving: ServerProcess) -> None:
    server = misbehaving
    with ThreadPoolExecutor(8) as callers:
        begin = time.monotonic()
        asked = [callers.submit(ask, server, SLOW) for _ in range(5)]  # one computes, one waits, three are too many
        time.sleep(0.3)
        assert server.client.get("/v2/health/ready").status_code == 200
        assert time.monotonic() - begin < 0.9, "the probe waited for a prediction"
        answers = [one.result() for one in asked]
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429]
        refusal = next(answer for answer in answers if answer.status_code == 429)
        assert refusal.json()["code"] == "overloaded"
        assert refusal.headers["retry-after"] == "1"
        assert ask(server, "x").status_code == 200


def test_an_unforeseen_error_shows_nothing_of_itself(misbehaving: ServerProcess) -> None:
    server = misbehaving
    response = ask(server, BROKEN, headers={"x-request-id": "abc-123"})
    assert response.status_code == 500
    assert response.json() == {"error": "internal error", "code": "internal", "request_id": "abc-123"}
    assert ask(server, "x").status_code == 200
    (failure,) = [event for event in server.events() if event["event"] == "request_failed"]
    assert failure["request_id"] == "abc-123"
    assert failure["exception"] == "RuntimeError"
    assert any("faulty_server.py" in place for place in failure["traceback"])  # type: ignore[union-attr]
    assert SECRET not in server.log.read_text("utf-8")


def test_a_signal_lets_requests_finish_and_the_log_is_quiet(ticket_bundle: Path, tmp_path: Path) -> None:
    server = faulty(ticket_bundle, tmp_path / "log", "--grpc-port", str(free_port()))
    for _ in range(5):
        ask(server, "my very private words")
        server.client.post(V1, json={"instances": [{"body": ["my very private words"]}]})
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        slow = {"instances": [{"subject": SLOW}]}
        thread = threading.Thread(target=lambda: answers.append(client.post(V1, json=slow)))
        thread.start()
        time.sleep(0.4)
        assert server.stop(signal.SIGTERM) == 0
        thread.join()
    assert answers[0].status_code == 200
    assert len(answers[0].json()["predictions"]) == 1
    events = [event["event"] for event in server.events()]
    assert set(events) <= {"listening", "engine_chosen", "engine_refused", "model_ready", "stopped"}
    assert events[-1] == "stopped"
    assert "private" not in server.log.read_text("utf-8")


def test_request_ids_are_returned_or_made(server: ServerProcess) -> None:
    assert ask(server, "x", headers={"x-request-id": "given-1"}).headers["x-request-id"] == "given-1"
    made = {ask(server, "x").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    for unfit in ("y" * 200, "a b", "é".encode()):
        response = ask(server, "x", headers={b"x-request-id": unfit if isinstance(unfit, bytes) else unfit.encode()})
        assert response.status_code == 200
        assert len(response.headers["x-request-id"]) == 32


def test_metrics_tell_stages_from_a_tenth_of_a_millisecond(server: ServerProcess) -> None:
    before = _samples(server)
    ask(server, "lost card")
    server.client.post(V1, json={"instances": [{"bodi": "x"}]})
    after = _samples(server)
    for stage in ("decode", "predict", "encode", "total"):
        name = f'frontdesk_stage_seconds_count{{model="ticket",stage="{stage}"}}'
        assert after[name] > before.get(name, 0.0)
    assert 'frontdesk_stage_seconds_bucket{le="0.0001",model="ticket",stage="predict"}' in after
    assert 'frontdesk_stage_seconds_bucket{le="1.0",model="ticket",stage="predict"}' in after
    for status in ("200", "400"):
        name = f'frontdesk_responses_total{{status="{status}"}}'
        assert after[name] > before.get(name, 0.0)
    server.client.post("/v1/models/invented-name:predict", json={"instances": []})
    assert not any("invented-name" in name for name in _samples(server))


def _samples(server: ServerProcess) -> dict[str, float]:
    lines = server.client.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_importing_the_server_leaves_the_command_line_alone_and_loads_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['x', '--http_port', 'none']; import frontdesk.serving.server; "
        "print(sys.argv, 'torch' in sys.modules, 'pyspark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "['x', '--http_port', 'none'] False False", done.stderr
