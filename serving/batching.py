"""Micro-batches: requests that wait for a thread anyway are computed together, up to a budget.

Nothing is held back to fill a batch. While a thread computes, requests gather; when it is free it takes what has come,
in the order of arrival, as far as the budget goes. At low load a batch is one request, and waits for nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from frontdesk.errors import Overloaded


@dataclass
class Work:
    """A request that waits.

    Attributes:
        together: what may be computed in one call has an equal value here; None is computed alone.
        asked: its content.
        size: what it takes of the budget.
    """

    together: Any
    asked: Any
    size: int
    answer: asyncio.Future[Any]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """A bounded queue before a pool of threads. Belongs to one event loop.

    Args:
        name: of the model, for the words of a refusal.
        compute: takes the requests of a batch, returns an answer or an exception for each; runs in a thread.
        threads: batches computed at a time.
        waiting: requests that may wait.
        budget: the most that a batch of several requests may take.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[[Sequence[Work]], Sequence[Any]],
        *,
        threads: int,
        waiting: int,
        budget: int,
    ) -> None:
        self._name, self._compute, self._threads, self._waiting, self._budget = name, compute, threads, waiting, budget
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"predict-{name}")
        self._pending: deque[Work] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def answer(self, together: Any, asked: Any, size: int) -> Any:
        """Return the answer of one request. Raises `Overloaded` where too many wait, and what computing it raised."""
        idle = len(self._running) < self._threads
        if not idle and len(self._pending) >= self._waiting:
            words = f"{len(self._pending)} requests are waiting"
            raise Overloaded(words, where=self._name, remedy="Ask again in a second")
        work = Work(together, asked, size, asyncio.get_running_loop().create_future())
        if idle:
            task = asyncio.create_task(self._work([work]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        else:
            self._pending.append(work)
        return await work.answer

    async def _work(self, batch: list[Work]) -> None:
        loop = asyncio.get_running_loop()
        while batch:
            for work, found in zip(batch, await loop.run_in_executor(self._pool, self._compute, batch), strict=True):
                if work.answer.done():  # its caller has gone
                    continue
                if isinstance(found, Exception):
                    work.answer.set_exception(found)
                else:
                    work.answer.set_result(found)
            batch = self._take()

    def _take(self) -> list[Work]:
        """Take the oldest request, and those behind it that fit in one call with it; none where none waits."""
        if not self._pending:
            return []
        batch = [self._pending.popleft()]
        size = batch[0].size
        while batch[0].together is not None and self._pending:
            following = self._pending[0]
            if following.together is not batch[0].together or size + following.size > self._budget:
                break
            size += following.size
            batch.append(self._pending.popleft())
        return batch

    def stop(self) -> None:
        """Take no more requests."""
        self._pool.shutdown(wait=False)
