"""A request from its credentials to its answer, once per idempotency key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontdesk.database.idempotency import Claim, Stored, claim, release
from frontdesk.errors import FrontdeskError, InvalidRequest
from frontdesk.serving.gateway.bodies import read_body
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.journal import Entry
from frontdesk.serving.gateway.state import Gateway, gateway_of

IDEMPOTENCY_KEY = "idempotency-key"
_PLAIN = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class Made:
    """What a route made of a request.

    Attributes:
        content: the answer's body, plain values.
        rows: for the prediction log, which has them before the answer leaves.
    """

    content: Any
    rows: Sequence[dict[str, Any]] = ()
    status: int = 200


async def reply(request: Request, scope: str, make: Callable[[Caller, bytes, str | None], Awaitable[Made]]) -> Response:
    """Answer a POST: credentials, limits, body, idempotency, work, log.

    Args:
        scope: that the credentials need.
        make: does the work, given the caller, the body, and the digest of the idempotency key.
    """
    gateway = gateway_of(request)
    caller = await gateway.admit(request, scope)
    with gateway.reading.one():
        body = await read_body(request)
    with gateway.places.one():
        claimed = await _claim(gateway, request, caller, body)
        if isinstance(claimed, Stored):
            headers = {"idempotent-replayed": "true"}
            return Response(claimed.content, claimed.status, headers, "application/json")
        try:
            made = await make(caller, body, None if claimed is None else claimed.key)
            content = orjson.dumps(made.content)
            if made.rows or claimed is not None:
                answer = None if claimed is None else Stored(made.status, content)
                await gateway.journal.commit(Entry(made.rows, claimed, answer))
        except BaseException:
            if claimed is not None:
                with suppress(FrontdeskError):  # the lease ends by itself
                    await gateway.run(release, gateway.database, claimed)
            raise
    return Response(content, made.status, media_type="application/json")


async def _claim(gateway: Gateway, request: Request, caller: Caller, body: bytes) -> Claim | Stored | None:
    given = request.headers.get(IDEMPOTENCY_KEY)
    if given is None:
        return None
    if not _PLAIN.fullmatch(given):
        raise InvalidRequest("must be 1 to 255 printable ASCII characters", where="Idempotency-Key")
    key = hashlib.sha256("\0".join((caller.client, request.url.path, given)).encode()).hexdigest()
    return await gateway.run(claim, gateway.database, key, hashlib.sha256(body).hexdigest())
