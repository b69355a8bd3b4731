"""Offer requests to a served intent bundle at a fixed rate.

``python -m benchmarks.offered_load PORT FILE RATE SECONDS``: FILE holds a JSON array of instances. It is a process
of its own, with few imports, so that it costs the server little.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvloop

CONNECTIONS = 64
_TICK = 0.001
"""Shortest sleep: requests that are due within it are sent together, and what that delays them counts
in their latency."""
MOST_WAITING = 2_000
"""Requests that may wait for a connection; what comes beyond them is dropped, and counted."""


class Load:
    """What waits, and what came back.

    Attributes:
        waiting: requests for which no connection is free, with the moments of the schedule.
        idle: connections that wait for work.
        times: seconds from the schedule's moment to the answer's end.
        failed, dropped: answers other than 200, and requests that were never sent.
    """

    def __init__(self) -> None:
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.idle: deque[Connection] = deque()
        self.times: list[float] = []
        self.failed = self.dropped = 0

    def offer(self, due: float, request: bytes) -> None:
        """Send a request, or let it wait for a connection."""
        if self.idle:
            self.idle.popleft().send(due, request)  # every connection in its turn: the workers behind them differ
        elif len(self.waiting) < MOST_WAITING:
            self.waiting.append((due, request))
        else:
            self.dropped += 1


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: Any = None
        self._due = 0.0
        self._answer = b""

    def connection_made(self, transport: Any) -> None:
        """Wait for work."""
        self._transport = transport
        self._load.idle.append(self)

    def send(self, due: float, request: bytes) -> None:
        """Send a request that was due at a moment."""
        self._due, self._answer = due, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer; at its end, take the next request."""
        self._answer += data
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return
        start = self._answer.index(b"content-length:") + 15
        if len(self._answer) < end + 4 + int(self._answer[start : self._answer.index(b"\r", start)]):
            return
        if self._answer.startswith(b"HTTP/1.1 200"):
            self._load.times.append(time.perf_counter() - self._due)
        else:
            self._load.failed += 1
        if self._load.waiting:
            self.send(*self._load.waiting.popleft())
        else:
            self._load.idle.append(self)


async def offer(port: int, bodies: Path, rate: int, seconds: float) -> dict[str, Any]:
    """Send at the moments of a schedule over some connections.

    Returns:
        ``rate``, ``answered``, ``failed`` (not 200), ``dropped``, in milliseconds since the moment of the schedule
        ``p50``, ``p90``, ``p95``, ``p99``, and ``offering_cpu``, milliseconds of this process for each answer.
    """
    head = b"POST /v1/models/intent:predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    ready = []
    for request in orjson.loads(bodies.read_bytes()):
        body = orjson.dumps({"instances": [request]})
        ready.append(head + b"content-length: %d\r\n\r\n%b" % (len(body), body))
    load = Load()
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    await asyncio.sleep(0.2)
    cpu, began = time.process_time(), time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(max(left, _TICK))
        load.offer(due, ready[number % len(ready)])
    deadline = time.perf_counter() + 20
    while (load.waiting or len(load.idle) < CONNECTIONS) and time.perf_counter() < deadline:
        await asyncio.sleep(0.02)
    times, failed, dropped = load.times, load.failed, load.dropped
    cpu = 1e3 * (time.process_time() - cpu) / max(len(times), 1)
    shares = np.percentile(times, [50, 90, 95, 99]) * 1e3 if times else [float("nan")] * 4
    names = dict(zip(("p50", "p90", "p95", "p99"), map(float, shares), strict=True))
    return {"rate": rate, "answered": len(times), "failed": failed, "dropped": dropped, "offering_cpu": cpu, **names}


if __name__ == "__main__":
    place, file, per_second, duration = sys.argv[1:]
    print(orjson.dumps(uvloop.run(offer(int(place), Path(file), int(per_second), float(duration)))).decode())
