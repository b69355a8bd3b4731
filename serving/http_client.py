"""The door to HTTP servers of ours: bounded connections that are kept, no cookies, no proxies, no redirects.

The client is aiohttp's, which takes a third of the processor time that httpx does for the same call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

FAILURES = (aiohttp.ClientError, ConnectionError)
"""What `HttpClient` raises where no answer came, beside `TimeoutError`."""


@dataclass(frozen=True)
class Answer:
    """Of an HTTP server, whatever its status."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpClient:
    """Connections to private servers. Belongs to one event loop.

    Args:
        connections: at most.
        seconds: for a whole request; None for none.
        connect_seconds: of them, for a connection; None for none.
    """

    def __init__(self, connections: int, *, seconds: float | None = None, connect_seconds: float | None = None) -> None:
        self._connections = connections
        self._timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=connect_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, url: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return what a server answers.

        Raises:
            TimeoutError: nothing in time.
            FAILURES: there is no connection, or it broke.
        """
        if self._session is None:  # needs the running loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,
            )
        request = self._session.request(method, url, data=content, headers=headers, allow_redirects=False)
        async with request as response:
            return Answer(response.status, response.headers, await response.read())

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def was_lost(error: Exception) -> bool:
    """Return whether a connection broke that had been there, as those that a server keeps open do when it restarts."""
    return not isinstance(error, aiohttp.ClientConnectorError)
