"""A model server in a process of its own, on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx
import orjson


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """Starts a server, waits until it is ready, and ends it.

    Args:
        arguments: of the interpreter, without the port.
        log: file of its standard error.
        wait: False leaves the server alone while it loads.
        environment: more environment variables.
        port: where it listens; None takes a free one.
    """

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        *,
        wait: bool = True,
        environment: dict[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, *arguments, "--port", str(self.port)],
                stderr=sink,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            )
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        try:
            self.wait_for("/v2/health/ready" if wait else "/v2/health/live")
        except BaseException:
            self.process.kill()
            raise

    @classmethod
    def of_bundles(
        cls, log: Path, *bundles: Path, arguments: tuple[str, ...] = (), port: int | None = None
    ) -> ServerProcess:
        """Start ``python -m frontdesk.serving``."""
        return cls(["-m", "frontdesk.serving", *map(str, bundles), *arguments], log, port=port)

    def wait_for(self, address: str, seconds: float = 120) -> None:
        """Wait until an address answers 200."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
            try:
                if self.client.get(address).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{address} did not answer 200: {self.log.read_text()[-3000:]}")

    def events(self) -> list[dict[str, object]]:
        """Return the log, one object per line; anything that is not JSON fails."""
        return [orjson.loads(line) for line in self.log.read_bytes().splitlines()]

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Send a signal, wait for the end, return the exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
