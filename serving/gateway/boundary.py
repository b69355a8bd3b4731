"""Around every HTTP request: its id, the limit of its body, its errors, its counters."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontdesk.errors import TooLarge
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.problems import problem_response

REQUEST_ID = "x-request-id"
_PLAIN = re.compile(rb"[!-~]{1,128}")
_HUNG_UP = 499


class Boundary:
    """ASGI middleware; see the module.

    Args:
        app: what it surrounds.
        body_bytes: largest body; more gets 413 without being read, also where the length is not announced.
    """

    def __init__(self, app: ASGIApp, body_bytes: int) -> None:
        self.app = app
        self.body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers.setdefault("x-content-type-options", "nosniff")
            await send(message)

        try:
            await self.app(scope, self._limited(scope, receive), send_with_id)
        except ClientDisconnect:
            status = status or _HUNG_UP  # nobody is left to be answered
        except Exception as error:
            if status:  # too late for another answer
                raise
            await problem_response(error, request_id)(scope, receive, send_with_id)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            metrics.count_request(route, status, time.perf_counter() - began)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        left = self.body_bytes
        too_large = TooLarge(f"the body is larger than {left} bytes", remedy="Send fewer instances at a time")

        async def limited() -> Message:
            nonlocal left
            if int(announced) > self.body_bytes:
                raise too_large
            message: dict[str, Any] = await receive()  # type: ignore[assignment]
            left -= len(message.get("body", b""))
            if left < 0:
                raise too_large
            return message

        return limited


def _request_id(scope: Scope) -> str:
    """Return the caller's request id where it is plain and short, else a new one; handlers find it in the scope."""
    found = next((value for name, value in scope["headers"] if name == REQUEST_ID.encode()), b"")
    request_id = found.decode("ascii") if _PLAIN.fullmatch(found) else uuid.uuid4().hex
    scope.setdefault("state", {})["request_id"] = request_id
    return request_id
