"""Offer requests at a fixed rate over plain sockets, whatever comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

CONNECTIONS = 96


@dataclass
class Offered:
    """What came back.

    Attributes:
        statuses: ``{HTTP status: answers}``; 0 for a connection that broke.
        seconds: of each answer 200, from when it was sent.
        answers: the bodies of those.
        unsent: requests for which no connection was free when they were due.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    unsent: int = 0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def offer(
    url: str,
    path: str,
    key: str,
    body: Callable[[int], dict[str, Any]],
    *,
    rate: float | None,
    seconds: float,
    connections: int = CONNECTIONS,
) -> Offered:
    """Send for some seconds.

    Args:
        body: makes the body of the n-th request.
        rate: requests a second; None sends the next one of a connection when its last one is answered.
    """
    address, found = urlsplit(url), Offered()
    began, number = time.perf_counter(), 0
    due: asyncio.Queue[int] = asyncio.Queue(connections)

    async def connection() -> None:
        streams: list[asyncio.StreamWriter] = []
        try:
            await send_all(streams)
        finally:
            for writer in streams:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def send_all(opened: list[asyncio.StreamWriter]) -> None:
        nonlocal number
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while True:
            if rate is None:
                if time.perf_counter() - began > seconds:
                    return
                number += 1
                mine = number
            else:
                mine = await due.get()
            content = orjson.dumps(body(mine))
            head = (
                f"POST {path} HTTP/1.1\r\nhost: desk\r\nauthorization: Bearer {key}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
            ).encode()
            sent = time.perf_counter()
            try:
                if streams is None:
                    streams = await asyncio.open_connection(address.hostname, address.port)
                    opened.append(streams[1])
                status, answer = await _ask(*streams, head + content)
            except (OSError, asyncio.IncompleteReadError):
                status, streams = 0, None
            found.statuses[status] += 1
            if status == 200:
                found.seconds.append(time.perf_counter() - sent)
                found.answers.append(orjson.loads(answer))
            if rate is not None:
                due.task_done()

    workers = [asyncio.create_task(connection()) for _ in range(connections)]
    if rate is not None:
        for place in range(int(rate * seconds)):
            if (left := began + place / rate - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            try:
                due.put_nowait(place)
            except asyncio.QueueFull:
                found.unsent += 1
        await asyncio.wait_for(due.join(), 60)
        for worker in workers:
            worker.cancel()
    for ended in await asyncio.gather(*workers, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    return found


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    start = head.lower().index(b"content-length:") + 15
    content = await reader.readexactly(int(head[start : head.index(b"\r", start)]))
    return int(head[9:12]), content
