"""The write-ahead prediction log: rows that wait are committed together, and only then are their answers sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from frontdesk.database import Database
from frontdesk.database.idempotency import Claim, Stored, complete
from frontdesk.database.predictions import insert_predictions
from frontdesk.errors import Overloaded
from frontdesk.serving.gateway import metrics

_WAITING = 4_096
_TOGETHER = 256


@dataclass(frozen=True)
class Entry:
    """What one request leaves behind, all of it or nothing.

    Attributes:
        rows: with the columns of `frontdesk.database.tables.Prediction`.
        claim, answer: the idempotency key and what is stored under it.
    """

    rows: Sequence[dict[str, Any]]
    claim: Claim | None = None
    answer: Stored | None = None


class Journal:
    """Commits entries in groups: a commit costs a flush to the disk, however many rows it holds.

    Args:
        database: where to.
        executor: threads that may block.
        keep: how long an idempotent answer is kept.
    """

    def __init__(self, database: Database, executor: Executor, keep: timedelta) -> None:
        self._database, self._executor, self._keep = database, executor, keep
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._work: asyncio.Task[None] | None = None

    async def commit(self, entry: Entry) -> None:
        """Return when an entry is on the disk. Raises `Overloaded`, `StorageError`."""
        if len(self._waiting) >= _WAITING:
            raise Overloaded("the prediction log is behind", remedy="Ask again in a second")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._write_all())
        began = time.perf_counter()
        await done
        metrics.observe_stage("log", time.perf_counter() - began)

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._work is not None:
            await self._work

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            some, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            try:
                await loop.run_in_executor(self._executor, self._write, [entry for entry, _ in some])
            except Exception as error:
                _settle(some, lambda done, error=error: done.set_exception(error))  # type: ignore[misc]
            else:
                _settle(some, lambda done: done.set_result(None))

    def _write(self, entries: Sequence[Entry]) -> None:
        with self._database.writing() as connection:
            if rows := [row for entry in entries for row in entry.rows]:
                insert_predictions(connection, rows)
            for entry in entries:
                if entry.claim is not None and entry.answer is not None:
                    complete(connection, entry.claim, entry.answer, self._keep)


def _settle(some: Sequence[tuple[Entry, asyncio.Future[None]]], how: Callable[[asyncio.Future[None]], None]) -> None:
    for _, done in some:
        if not done.cancelled():
            how(done)
