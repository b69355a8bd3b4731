"""What the gateway takes on: requests of one client over time, and of all at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from frontdesk.errors import Overloaded, RateLimited

_REMEMBERED = 10_000


class Rates:
    """A token bucket per client, of this process alone; see `frontdesk.serving.gateway.shared_rates` for several.

    Attributes:
        per_second: tokens that come back.
        burst: tokens at most.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second, self.burst = per_second, float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, client: str) -> None:
        """Take a token. Raises `RateLimited` with the seconds until there is one."""
        now = time.monotonic()
        tokens, at = self._buckets.get(client, (self.burst, now))
        tokens = min(self.burst, tokens + (now - at) * self.per_second)
        if tokens < 1.0:
            raise too_often((1.0 - tokens) / self.per_second)
        self._buckets[client] = (tokens - 1.0, now)
        self._buckets.move_to_end(client)
        while len(self._buckets) > _REMEMBERED:  # the longest silent one: its bucket is full again by now
            self._buckets.popitem(last=False)

    async def close(self) -> None:
        """Let go of what is held: nothing here."""


def too_often(seconds: float) -> RateLimited:
    """Return the refusal of a client that must wait so long."""
    return RateLimited("this client asks too often", seconds=seconds, remedy="Wait as Retry-After says")


class Places:
    """Requests that may be worked on together.

    Args:
        size: of them.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place. Raises `Overloaded` at once where none is free."""
        if self.taken >= self._size:
            raise Overloaded("the gateway is busy", remedy="Ask again in a second")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
