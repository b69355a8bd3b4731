"""``frontdesk up`` and ``frontdesk gateway`` in processes of their own, and what tests ask them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import orjson

from frontdesk.database import Database, open_database
from frontdesk.database.keys import create_key
from tests.serving.process import free_port

GENEROUS = {"FRONTDESK_GATEWAY_REQUESTS_PER_SECOND": "100000", "FRONTDESK_GATEWAY_BURST": "100000"}
EMAILS, TICKETS, INTENTS = "/v1/emails:classify", "/v1/tickets:suggest", "/v1/intents:suggest"
FEEDBACK = "/v1/feedback"
_START_SECONDS = 150.0


@dataclass(frozen=True)
class Logged:
    """How many rows the prediction log has, for a check of what a block of requests added."""

    database: Database

    def rows(self) -> int:
        from frontdesk.database.predictions import count_predictions

        return count_predictions(self.database)


class Process:
    """A command of ours that serves; ends with the block.

    Args:
        arguments: of ``frontdesk``.
        folder: takes the logs.
        environment: more variables.
    """

    def __init__(self, arguments: Iterable[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = folder / "stderr.jsonl"
        variables = {**os.environ, "OMP_NUM_THREADS": "1", **GENEROUS, **(environment or {})}
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "frontdesk.cli.main", *arguments],
                stdout=subprocess.DEVNULL,
                stderr=sink,
                env=variables,
            )

    def wait_for(self, condition: Any, seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
            if condition():
                return
            time.sleep(0.05)
        raise TimeoutError(self.log.read_text()[-3000:])

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Stack(Process):
    """``frontdesk up`` with bundles."""

    def __init__(
        self,
        out: Path,
        bundles: Iterable[Path],
        environment: Mapping[str, str] | None = None,
        *,
        wait: bool = True,
        arguments: Iterable[str] = (),
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        chosen = [part for bundle in bundles for part in ("--bundle", str(bundle))]
        super().__init__(["up", *chosen, *arguments, "--out", str(out)], out, environment)
        if not wait:
            return
        try:
            self.wait_for((out / "up.json").exists)
        except BaseException:
            self.process.kill()
            raise
        self.told: dict[str, Any] = orjson.loads((out / "up.json").read_bytes())
        self.client = client_of(self.told["gateway"], self.told["key"])
        self.database = open_database(f"sqlite:///{out / 'frontdesk.db'}")
        self.log_rows = Logged(self.database).rows

    def key(self, *scopes: str) -> str:
        return create_key(self.database, "test", scopes).text

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        if hasattr(self, "client"):
            self.client.close()
            self.database.close()
        return super().stop(number, seconds)


class GatewayProcess(Process):
    """``frontdesk gateway`` in front of any model servers, with a key of every scope."""

    def __init__(
        self,
        folder: Path,
        models: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
    ) -> None:
        from frontdesk.database.keys import SCOPES

        folder.mkdir(parents=True, exist_ok=True)
        self.database = open_database((environment or {}).get("FRONTDESK_DATABASE", f"sqlite:///{folder / 'desk.db'}"))
        self.database.upgrade()
        self.key = create_key(self.database, "test", SCOPES).text
        self.log_rows = Logged(self.database).rows
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        variables = {
            "FRONTDESK_DATABASE": f"sqlite:///{folder / 'desk.db'}",
            "FRONTDESK_MODELS": orjson.dumps(dict(models)).decode(),
            **(environment or {}),
        }
        super().__init__(["gateway", "--port", str(self.port)], folder, variables)
        self.client = client_of(self.url, self.key)
        self.wait_for(self.answers)

    def answers(self) -> bool:
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        self.client.close()
        self.database.close()
        return super().stop(number, seconds)


def client_of(url: str, key: str) -> httpx.Client:
    """Return a client with a key."""
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False)


def problem(response: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem document, after a check of its form."""
    assert response.headers["content-type"] == "application/problem+json", response.text[:500]
    content = response.json()
    assert content["status"] == response.status_code
    assert content["type"] == f"urn:frontdesk:problem:{content['code']}"
    assert content["title"]
    assert content["detail"]
    assert content["request_id"] == response.headers["x-request-id"]
    if response.status_code in (429, 503) or content["code"] == "in_flight":
        assert int(response.headers["retry-after"]) >= 1
    return response.status_code, content["code"]
