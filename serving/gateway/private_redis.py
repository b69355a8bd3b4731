"""A Redis of the stack's own on loopback: nothing of it outlives the stack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from frontdesk.errors import FrontdeskError, MissingTool
from frontdesk.redis_connection import Redis, RedisError, connect
from frontdesk.serving import processes

_START_SECONDS = 10.0
_REMEDY = "The log says why"


class PrivateRedis:
    """A redis-server that keeps everything in memory, filled with what the servers of bundles share.

    Args:
        port: where it listens.
        folder: takes its log.
        bundles: of the model server.

    Raises:
        MissingTool: none is installed.
    """

    def __init__(self, port: int, folder: Path, bundles: Sequence[str]) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise MissingTool(
                "there is no redis-server", where="--redis", remedy="Install the package redis-server, or leave it out"
            )
        self._command = [program, "--bind", "127.0.0.1", "--port", str(port)]
        self._command += ["--save", "", "--appendonly", "no", "--dir", str(folder.absolute())]
        self._publishing = [sys.executable, "-m", "frontdesk.serving.publishing", *bundles]
        self.name, self.log = "redis", folder / "redis.log"
        self._server: subprocess.Popen[bytes] | None = None
        self._publisher: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{port}/0"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of those that use it."""
        return {"FRONTDESK_REDIS": self.url}

    def start(self) -> None:
        """Start it, wait until it answers, and begin to fill it. Raises `FrontdeskError` where it does not answer."""
        self.stop()
        with self.log.open("ab") as output, connect(self.url) as client:
            self._server = processes.start(self._command, stdout=output, stderr=output)
            end = time.monotonic() + _START_SECONDS
            while not _answers(client):
                if not self.is_alive() or time.monotonic() > end:
                    raise FrontdeskError("redis-server does not answer", where=self.log.name, remedy=_REMEDY)
                time.sleep(0.02)
            environment = {**os.environ, **self.variables}
            self._publisher = processes.start(self._publishing, stdout=output, stderr=output, env=environment)

    def is_alive(self) -> bool:
        """Return whether the server runs."""
        return self._server is not None and self._server.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the server ended, None while it runs or before it was started."""
        return None if self._server is None else self._server.poll()

    def said(self) -> str:
        """Return what to do when it does not run."""
        return _REMEDY

    def is_ready(self) -> bool:
        """Return whether everything has been written. Raises `FrontdeskError` where it could not be."""
        code = None if self._publisher is None else self._publisher.poll()
        if code:
            raise FrontdeskError("the tables could not be written to Redis", where=self.log.name, remedy=_REMEDY)
        return code == 0

    def stop(self) -> None:
        """End it."""
        for process in (self._publisher, self._server):
            if process is not None and process.poll() is None:
                process.terminate()
                processes.wait(process)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
