"""Several processes behind one port: each is a whole server, proves its own bundle, and takes what it can answer.

One process computes on one core. The parent, which loads no model, binds the ports, starts the workers, starts one
again that died, and stops all of them on SIGTERM or SIGINT. HTTP connections come from one socket that the workers
inherit, so a connection that waits is lost with no worker. gRPC opens its port itself, in each worker
(``SO_REUSEPORT``); the parent keeps it reserved. Metrics are summed over the workers (`frontdesk.serving.metrics`).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from prometheus_client.multiprocess import mark_process_dead

from frontdesk import logs
from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.logs import event
from frontdesk.serving import processes
from frontdesk.serving.crew import Crew, State
from frontdesk.serving.listener import address_of, listen, reserve
from frontdesk.settings import settings
from frontdesk.steps import ERROR_FILE, read_failure

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_LOOK_SECONDS = 0.1
_PAUSES = (1.0, 30.0)
"""Seconds before a worker that could not start is tried again: at first, and at most."""
_log = logging.getLogger(__name__)


def serve(
    bundles: Sequence[str],
    *,
    workers: int = 1,
    host: str = "127.0.0.1",
    port: int = 8080,
    grpc_port: int | None = None,
    **options: Any,
) -> None:
    """Serve bundles until SIGTERM or SIGINT; requests in flight are finished first.

    Args:
        bundles: folders or ``s3://`` addresses; with ``store``, recipes.
        workers: processes; 1 serves in this one.
        host: device to listen on.
        port: of HTTP; 0 takes a free one, which the log tells.
        grpc_port: of gRPC; None means no gRPC.
        options: more arguments of `frontdesk.serving.server.serve`.

    Raises:
        what `frontdesk.serving.server.serve` raises, here or in a worker before any was ready.
    """
    if workers < 1:
        raise UsageError("at least one process must serve", where="--workers")
    given = {"host": host, "grpc_port": grpc_port, **options}
    if workers == 1:
        from frontdesk.serving.server import serve as alone

        alone(bundles, port=port, **given)
        return
    logs.configure(settings().log_level)
    with ExitStack() as stack:
        listener = stack.enter_context(listen(host, port))
        if grpc_port is not None:
            stack.enter_context(reserve(host, grpc_port))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="frontdesk-workers-")))
        Workers(workers, listener, {"bundles": list(bundles), **given}, scratch).run()


@dataclass
class _Place:
    """Where a worker is, or will be again.

    Attributes:
        process: None while nobody is there.
        started: how often.
        pause: seconds before the next try, if this one fails.
        again_at: moment of the next try.
    """

    number: int
    process: subprocess.Popen[bytes] | None = None
    started: int = 0
    pause: float = _PAUSES[0]
    again_at: float = 0.0


class Workers:
    """The processes behind a listener.

    Args:
        count: of them.
        listener: their socket.
        options: arguments of `frontdesk.serving.server.serve`.
        scratch: empty folder for what they share.
    """

    def __init__(self, count: int, listener: socket.socket, options: dict[str, Any], scratch: Path) -> None:
        self._listener, self._options, self._scratch = listener, options, scratch
        self._metrics = scratch / "metrics"
        self._metrics.mkdir()
        self._crew = Crew.assemble(scratch / "crew", count)
        self._places = [_Place(number) for number in range(count)]
        self._ending = threading.Event()

    def run(self) -> None:
        """Serve until a signal. Raises why a worker could not start where no other one answers."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ending.set())
        event(_log, "workers_start", address=address_of(self._listener), workers=len(self._places))
        try:
            while not self._ending.wait(_LOOK_SECONDS):
                for place in self._places:
                    self._look_after(place)
        finally:
            self._stop()
        event(_log, "workers_stopped")

    def _look_after(self, place: _Place) -> None:
        """Start a worker, and another one where it has died: at once if it was ready, else after a growing pause."""
        if place.process is None:
            if time.monotonic() >= place.again_at:
                self._start(place)
            return
        if (code := place.process.poll()) is None:
            return
        mark_process_dead(place.process.pid, str(self._metrics))
        place.process = None
        was_ready = self._crew[place.number] == State.READY
        event(_log, "worker_died", logging.ERROR, worker=place.number, exit_code=code, was_ready=was_ready)
        if was_ready:
            self._crew[place.number] = State.RETURNING
            place.pause = _PAUSES[0]
            return
        if not any(self._answers(other) for other in self._places):
            raise read_failure(self._error(place)) or FrontdeskError(
                f"worker {place.number} ended with {code} before it was ready", remedy="The log says why"
            )
        place.again_at = time.monotonic() + place.pause
        place.pause = min(2 * place.pause, _PAUSES[1])

    def _answers(self, place: _Place) -> bool:
        return place.process is not None and self._crew[place.number] == State.READY

    def _start(self, place: _Place) -> None:
        self._error(place).unlink(missing_ok=True)
        options = {
            "worker": {
                "number": place.number,
                "again": place.started > 0,
                "listener": self._listener.fileno(),
                "crew": str(self._scratch / "crew"),
            },
            "serve": self._options,
        }
        place.process = processes.start(
            [sys.executable, "-m", "frontdesk.serving.worker", orjson.dumps(options).decode()],
            env={**os.environ, METRICS_FOLDER: str(self._metrics), ERROR_FILE: str(self._error(place))},
            pass_fds=(self._listener.fileno(),),
        )
        place.started += 1

    def _error(self, place: _Place) -> Path:
        return self._scratch / f"error-{place.number}.json"

    def _stop(self) -> None:
        """Let every worker finish what is in flight."""
        self._listener.close()  # else callers would wait at a door that nobody opens
        running = [place.process for place in self._places if place.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            processes.wait(process)
