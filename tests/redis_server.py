"""A real Redis for tests: the Debian package's server on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 20.0


@dataclass
class RedisServer:
    """A running server; `stop` and `start` are what a restarted one looks like."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=log, stderr=log)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as client:
                client.sendall(b"PING\r\n")
                if client.recv(16).startswith(b"+PONG"):
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "redis.log").read_text(errors="replace")[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A server of its own for one test: it starts in milliseconds."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server: install the Debian package redis-server")
    with running_redis() as server:
        yield server


@contextlib.contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Run a server within the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="frontdesk-redis-") as folder:
        server = RedisServer(port, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
