"""What a caller is told when something goes wrong: ``{"error": words, "code": stable code}``.

The SDK answers with the text of any exception, and an exception may quote a customer. Here only errors that are made
for callers speak; anything else is "internal error" with the request's id, and the log holds its type and places.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from frontdesk.errors import FrontdeskError, InvalidRequest, NotReady, Overloaded
from frontdesk.serving.sdk import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady

RETRY_SECONDS = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """An answer that is an error."""

    status: int
    code: str
    words: str


def failure_of(error: Exception) -> Failure:
    """Translate an exception; one that is not for callers becomes 500 ``internal`` without its text."""
    if isinstance(error, InvalidRequest | NotReady | Overloaded):
        return Failure(error.status, error.code, str(error))
    if isinstance(error, ModelNotFound):
        return Failure(404, "unknown_model", "there is no model of this name")
    if isinstance(error, ModelNotReady | ServerNotReady):
        return Failure(503, "not_ready", "a model is still loading")
    if isinstance(error, InvalidInput):
        return Failure(400, "invalid_request", "the request cannot be read")
    if isinstance(error, NotImplementedError):
        return Failure(501, "not_supported", "this is not supported here")
    if isinstance(error, HTTPException):
        words = HTTPStatus(error.status_code).phrase.lower()
        return Failure(error.status_code, words.replace(" ", "_"), words)
    return Failure(500, FrontdeskError.code, "internal error")


def log_internal(error: Exception, request_id: str) -> None:
    """Log an exception that the caller is not told of: type and places, no text."""
    where = {"fields": {"request_id": request_id}}
    _log.error("request_failed", exc_info=(type(error), error, error.__traceback__), extra=where)


def failure_response(error: Exception, request_id: str) -> Response:
    """Return the HTTP answer of an exception."""
    failure = failure_of(error)
    content = {"error": failure.words, "code": failure.code}
    headers = {}
    if failure.status >= 500 and failure.code == FrontdeskError.code:
        log_internal(error, request_id)
        content["request_id"] = request_id
    if failure.status in (429, 503):
        headers["retry-after"] = str(RETRY_SECONDS)
    if isinstance(error, HTTPException) and error.headers:
        headers.update(error.headers)
    return Response(orjson.dumps(content), failure.status, headers, "application/json")


async def http_exception(request: Request, error: Exception) -> Response:
    """Answer unknown addresses and methods in the same form as everything else."""
    return failure_response(error, request.headers.get("x-request-id", ""))
