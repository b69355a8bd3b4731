"""Who asks: credentials of a request to a caller with scopes."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request

from frontdesk.database import Database
from frontdesk.database.keys import prefix_of, verify_key
from frontdesk.errors import Unauthorised

_REMEMBERED = 10_000
_LONGEST = 8_192


@dataclass(frozen=True)
class Caller:
    """Who a request speaks for.

    Attributes:
        client: name of the application; rates and idempotency keys are counted by it.
        scopes: see `frontdesk.database.keys.SCOPES`.
        until: Unix time of the credential's end, None for none.
    """

    client: str
    scopes: frozenset[str]
    until: float | None = None


def credential(request: Request) -> str:
    """Return the key or token of a request. Raises `Unauthorised` where there is none."""
    kind, _, found = request.headers.get("authorization", "").partition(" ")
    text = found.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
    if not text or len(text) > _LONGEST:
        raise Unauthorised("a key or a token is needed", remedy="Send the header Authorization: Bearer KEY")
    return text


class KnownCallers:
    """Callers whose credential was checked a moment ago, so that the database is not asked for every request.

    Args:
        seconds: how long a check is trusted.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    def get(self, text: str) -> Caller | None:
        """Return the caller of a credential that was checked lately."""
        found = self._known.get(_digest(text))
        if found is None or found[0] < time.monotonic():
            return None
        caller = found[1]
        return caller if caller.until is None or time.time() < caller.until else None

    def put(self, text: str, caller: Caller) -> None:
        """Remember a checked credential, by its digest."""
        self._known[_digest(text)] = (time.monotonic() + self._seconds, caller)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def caller_of_key(database: Database, text: str) -> Caller | None:
    """Return the caller of an API key, None for one that opens nothing. Blocks."""
    key = verify_key(database, text)
    if key is None:
        return None
    until = None if key.expires_at is None else key.expires_at.timestamp()
    return Caller(key.client, frozenset(key.scopes), until)


def is_key(text: str) -> bool:
    """Return whether a credential has the form of a key, not of a token."""
    return prefix_of(text) is not None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
