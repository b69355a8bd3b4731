"""A gateway on a free port of the loopback device, with a database in a folder and a small model server behind it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from frontdesk.database import Database, open_database
from frontdesk.serving.gateway.process import GatewayServer
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.listener import address_of, listen
from frontdesk.settings import read_settings

WAIT_SECONDS = 20


@dataclass
class ModelServer:
    """Answers every ticket with one label, in the form of the model server.

    Attributes:
        asked: instances that came.
        down: answer 503 instead.
    """

    address: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    down: bool = False


def answer_to(instance: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a ticket: surest where its text says refund, or as sure as ``c=0.7`` in it says."""
    text = " ".join(str(value) for value in instance.values())
    told = re.search(r"c=(0\.\d+)", text)
    confidence = float(told[1]) if told else 0.97 if "refund" in text.lower() else 0.4
    label = {"label": "Billing > Refund", "confidence": confidence, "decision": "auto", "level": "automatic"}
    other = [{"label": "Billing > <b>Invoice</b>", "confidence": round((1 - confidence) / 2, 4)}]
    return {"model_id": "m1", "labels": {"contact_type": label | {"alternatives": other, "reason": "confident"}}}


def explained(instance: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a ticket with its explanation: every word speaks for it by its length."""
    tokens = [{"token": word, "share": 0.1 * len(word)} for word in str(instance.get("subject")).split()]
    difference = sum(one["share"] for one in tokens) + 0.5
    against = {"against": "Billing > <b>Invoice</b>", "difference": difference, "tokens": tokens, "rest": 0.5}
    return answer_to(instance) | {"explanation": {"contact_type": against}}


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """Serve answers until the block ends."""
    server = ModelServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            instances = body["instances"]
            server.asked += instances
            answer = explained if body.get("parameters", {}).get("explain") else answer_to
            self._send(503 if server.down else 200, {"predictions": [answer(one) for one in instances]})

        def do_GET(self) -> None:
            self._send(200, {"name": "ticket", "ready": True})

        def _send(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    server.address = f"http://127.0.0.1:{running.server_port}"
    yield server
    running.shutdown()
    running.server_close()
    thread.join()


@dataclass
class Running:
    """A gateway that answers."""

    client: httpx.Client
    database: Database


@contextmanager
def running_gateway(folder: Path, models: dict[str, str], **settings: Any) -> Iterator[Running]:
    """Serve a gateway until the block ends; its database outlives it."""
    url = f"sqlite:///{folder / 'gateway.db'}"
    with listen("127.0.0.1", 0) as listener:
        address = address_of(listener)
        server = GatewayServer(read_settings(GatewaySettings, **settings), open_database(url), models, listener)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        seen = open_database(url)
        try:
            with httpx.Client(base_url=address, timeout=10) as client:
                yield Running(client, seen)
        finally:
            server.stop()
            thread.join(30)
            seen.close()


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return the first true value of a condition. Raises `AssertionError` where none comes in time."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")
