"""Offer requests to a served intent bundle at a fixed rate.

``python -m benchmarks.offered_load PORT FILE RATE SECONDS``: FILE holds a JSON array of instances. It is a process
of its own, with few imports, so that it costs the server little.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson

CONNECTIONS = 64
MOST_WAITING = 2_000
"""Requests that may wait for a connection; what comes beyond them is dropped, and counted."""


async def offer(port: int, bodies: Path, rate: int, seconds: float) -> dict[str, Any]:
    """Send at the moments of a schedule over some connections.

    Returns:
        ``rate``, ``answered``, ``failed`` (not 200), ``dropped``, and ``p50``, ``p90``, ``p99`` in milliseconds since
        the moment of the schedule.
    """
    head = b"POST /v1/models/intent:predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    ready = []
    for request in orjson.loads(bodies.read_bytes()):
        body = orjson.dumps({"instances": [request]})
        ready.append(head + b"content-length: %d\r\n\r\n%b" % (len(body), body))
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST_WAITING)
    times: list[float] = []
    failed = dropped = 0

    async def connection() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            due, request = await waiting.get()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            start = answer.lower().index(b"content-length:") + 15
            await reader.readexactly(int(answer[start : answer.index(b"\r", start)]))
            if answer.startswith(b"HTTP/1.1 200"):
                times.append(time.perf_counter() - due)
            else:
                failed += 1
            waiting.task_done()

    connections = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0.2)
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        try:
            waiting.put_nowait((due, ready[number % len(ready)]))
        except asyncio.QueueFull:
            dropped += 1
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waiting.join(), 20)
    for one in connections:
        one.cancel()
    shares = np.percentile(times, [50, 90, 99]) * 1e3 if times else [float("nan")] * 3
    names = dict(zip(("p50", "p90", "p99"), map(float, shares), strict=True))
    return {"rate": rate, "answered": len(times), "failed": failed, "dropped": dropped, **names}


if __name__ == "__main__":
    place, file, per_second, duration = sys.argv[1:]
    print(orjson.dumps(asyncio.run(offer(int(place), Path(file), int(per_second), float(duration)))).decode())
