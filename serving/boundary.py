"""Around every HTTP request: its id, the limit of its body, its errors, its time."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontdesk.errors import TooLarge
from frontdesk.serving import metrics
from frontdesk.serving.failures import failure_response

REQUEST_ID = "x-request-id"
_REQUEST_ID = REQUEST_ID.encode()
_PLAIN = re.compile(rb"[!-~]{1,128}")


class RequestBoundary:
    """ASGI application around another; see the module.

    Args:
        app: what it surrounds.
        body_bytes: largest body; more gets 413, also where the length is not announced.
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
                message["headers"] = [*message.get("headers", ()), (_REQUEST_ID, request_id.encode())]
                metrics.count_response(status)
            await send(message)

        try:
            await self.app(scope, self._limited(scope, receive), send_with_id)
        except Exception as error:
            if status:  # too late for another answer
                raise
            await failure_response(error, request_id)(scope, receive, send_with_id)
        if status == 200 and "model_name" in scope.get("path_params", {}):
            metrics.observe(scope["path_params"]["model_name"], "total", time.perf_counter() - began)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        announced = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        left = self.body_bytes

        async def limited() -> Message:
            nonlocal left
            message: Any = await receive() if announced <= self.body_bytes else {}
            left -= len(message.get("body", b""))
            if left < 0 or announced > self.body_bytes:
                words = f"the body is larger than {self.body_bytes} bytes"
                raise TooLarge(words, remedy="Send fewer instances at a time")
            return message  # type: ignore[no-any-return]

        return limited


class ErrorAnswers:
    """Middleware of the SDK's application: its own outermost layer would answer an exception in its own words."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        began = False

        async def noticed(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, noticed)
        except Exception as error:
            if began:  # too late for another answer
                raise
            request_id = next(value for name, value in scope["headers"] if name == _REQUEST_ID)
            await failure_response(error, request_id.decode("ascii"))(scope, receive, send)


def _request_id(scope: Scope) -> str:
    """Return the caller's request id where it is plain and short, else a new one; the handlers see it as a header."""
    headers = scope["headers"]
    for name, value in headers:
        if name == _REQUEST_ID and _PLAIN.fullmatch(value):
            return str(value.decode("ascii"))
    made = secrets.token_hex(16)
    kept = [(name, value) for name, value in headers if name != _REQUEST_ID]
    scope["headers"] = [*kept, (_REQUEST_ID, made.encode())]
    return made
