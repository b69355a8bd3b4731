"""Errors as problem documents (RFC 9457): what a caller is told, with a stable code.

Only errors that are made for callers speak. Anything else is ``internal`` with the request's id, and the log has its
type and places, because the text of an exception may quote a customer.
"""

from __future__ import annotations

import logging
import math
import re
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from frontdesk.errors import (
    FrontdeskError,
    InFlight,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Overloaded,
    RateLimited,
    StorageError,
    Unauthorised,
    Unavailable,
)

PROBLEM = "application/problem+json"
RETRY_SECONDS = 1
_FOR_CALLERS = (InvalidRequest, NotReady, Overloaded, Unavailable)
_log = logging.getLogger(__name__)


class Problem(BaseModel):
    """An error (RFC 9457).

    Attributes:
        type: a name of the kind of problem, not an address to open.
        code: stable; programs decide by it.
        where: the field at fault, as a path.
        remedy: what to do.
        request_id: to quote when asking the operators.
    """

    type: str = Field(examples=["urn:frontdesk:problem:invalid_request"])
    title: str
    status: int
    detail: str
    code: str
    where: str | None = None
    remedy: str | None = None
    request_id: str


def translated(error: Exception) -> FrontdeskError:
    """Return what a caller may know of an exception."""
    if isinstance(error, _FOR_CALLERS):
        return error
    if isinstance(error, StorageError):
        return StorageError("the database does not answer", remedy="Ask again in a few seconds")
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return NotFound("there is nothing at this address", remedy="/openapi.json lists the addresses")
        if error.status_code == 405:
            return MethodNotAllowed("the address does not take this method")
        return InvalidRequest("the request cannot be read")
    return FrontdeskError("something went wrong here; the log knows what")


def problem_response(error: Exception, request_id: str) -> Response:
    """Return the answer of an exception, and log it where the caller is not told of it."""
    told = translated(error)
    if told is not error and told.status >= 500:
        fields = {"fields": {"request_id": request_id}}
        _log.error("request_failed", exc_info=(type(error), error, error.__traceback__), extra=fields)
    headers = {"cache-control": "no-store"}
    if isinstance(told, Unauthorised):
        headers["www-authenticate"] = "Bearer"
    if told.status in (429, 503) or isinstance(told, InFlight):
        headers["retry-after"] = str(math.ceil(told.seconds) if isinstance(told, RateLimited) else RETRY_SECONDS)
    if isinstance(error, HTTPException) and "Allow" in (error.headers or {}):
        headers["allow"] = (error.headers or {})["Allow"]
    return Response(orjson.dumps(document(told, request_id)), told.status, headers, PROBLEM)


def document(error: FrontdeskError, request_id: str) -> dict[str, Any]:
    """Return an error as a problem document."""
    found = {
        "type": f"urn:frontdesk:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "where": error.where or None,
        "remedy": error.remedy or None,
        "request_id": request_id,
    }
    return {name: value for name, value in found.items() if value is not None}


def invalid(error: ValidationError, *prefix: str) -> InvalidRequest:
    """Return the first error of a body as `InvalidRequest` with the field's path; it quotes no value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ""
    for part in (*prefix, *first["loc"]):
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    words = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
    words = re.sub(r"^Value error, ", "", words)
    return InvalidRequest(words[:1].lower() + words[1:], where=where[:200])
