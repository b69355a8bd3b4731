"""Calls to a desk's own API: only to hosts that are listed, encrypted, never redirected, bounded in time and size."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any

import httpx
import orjson

from frontdesk.errors import UsageError, WriteBackFailed

ATTEMPTS = 4
_FIRST_PAUSE = 0.25
_MAX_ANSWER = 1 << 20
_TRY_AGAIN = {429, 502, 503, 504}
_NOT_DONE = {429, 503}
"""What a server answers that has not done a thing: the only answers after which even a note is sent again."""


def require_allowed(address: str, allowed_hosts: Collection[str]) -> httpx.URL:
    """Check an address that we are about to write to.

    Raises:
        UsageError: not ``https`` (``http`` only on the loopback device), or a host that is not listed.
    """
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        raise UsageError("this is no address") from None
    if url.userinfo or url.query or url.fragment:
        raise UsageError("an address has no credentials, query or fragment")
    if url.host not in allowed_hosts:
        raise UsageError("the host is not one of allowed_hosts")
    if url.scheme != "https" and not (url.scheme == "http" and _loopback(url.host)):
        raise UsageError("the address must begin with https://")
    return url


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Outgoing:
    """A desk's API.

    TLS proves that who answers is the listed host, whatever a name service says; proxies of the environment are not
    used, and a redirect is an error.

    Args:
        address: scheme and host.
        allowed_hosts: the only hosts that are ever called.
        headers: credentials.
        seconds: for everything that is sent through this object, retries included.
    """

    def __init__(
        self, address: str, allowed_hosts: Collection[str], headers: Mapping[str, str], seconds: float
    ) -> None:
        self._base = require_allowed(address, allowed_hosts)
        self._end = time.monotonic() + seconds
        self._client = httpx.AsyncClient(
            headers={**headers, "User-Agent": "frontdesk", "Accept": "application/json"},
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Outgoing:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> Any:
        """Return the JSON under a path."""
        return await self._call("GET", path, None, {})

    async def put(self, path: str, content: Any) -> Any:
        """Replace what is under a path; sent again after any failure that may pass."""
        return await self._call("PUT", path, orjson.dumps(content), {})

    async def post(self, path: str, content: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Add something; sent again only where it certainly was not added."""
        return await self.post_bytes(path, orjson.dumps(content), headers or {})

    async def post_bytes(self, path: str, content: bytes, headers: Mapping[str, str]) -> Any:
        """Add something whose bytes were signed."""
        return await self._call("POST", path, content, headers)

    async def _call(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> Any:
        url = self._base.copy_with(path=path) if path else self._base
        for attempt in range(ATTEMPTS):
            asked: float | None = None
            try:
                status, body, asked = await self._once(method, url, content, headers)
            except httpx.TransportError as error:
                refused = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                words = f"the desk did not answer ({type(error).__name__})"
                again = method != "POST" or refused
            else:
                if 200 <= status < 300:
                    return _parsed(body)
                redirected = ", and redirects are never followed" if 300 <= status < 400 else ""
                words = f"the desk said {status}{redirected}"
                again = status in (_NOT_DONE if method == "POST" else _TRY_AGAIN)
            pause = max(asked or 0.0, _FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))
            if not again or attempt + 1 == ATTEMPTS or time.monotonic() + pause > self._end:
                raise WriteBackFailed(words, where=self._base.host)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")  # pragma: no cover

    async def _once(
        self, method: str, url: httpx.URL, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, float | None]:
        """Send once; return status, body and the pause that the desk asks for."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise WriteBackFailed("the time for writing is over", where=self._base.host)
        kind = {"Content-Type": "application/json"} if content is not None else {}
        try:
            async with asyncio.timeout(left):
                async with self._client.stream(
                    method, url, content=content, headers={**kind, **headers}, timeout=left
                ) as response:
                    body = bytearray()
                    async for part in response.aiter_bytes():
                        body += part
                        if len(body) > _MAX_ANSWER:
                            raise WriteBackFailed("the desk's answer is too large", where=self._base.host)
                    return response.status_code, bytes(body), _retry_after(response.headers.get("Retry-After"))
        except TimeoutError:
            raise WriteBackFailed("the time for writing is over", where=self._base.host) from None


def _retry_after(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else None


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # a few answers are empty; none of them is read
        return None
