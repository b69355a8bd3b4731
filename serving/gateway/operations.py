"""What OpenAPI says of every operation: body, problems, credentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from frontdesk.serving.gateway.problems import PROBLEM, Problem
from frontdesk.version import VERSION

_REF = "#/components/schemas/{model}"
_SECURITY = [{"key": []}, {"bearer": []}]
_WORDS = {
    400: "The request is wrong; `where` names the field.",
    401: "No credentials, or bad ones.",
    403: "The credentials do not reach this far.",
    404: "There is no such thing.",
    405: "The address does not take this method.",
    409: "The idempotency key belongs to another request, or its first request is not answered yet.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too much at a time; `Retry-After` says when to come back.",
    503: "Something that the answer needs is not there; `Retry-After` says when to come back.",
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body gets the first answer again, without a second effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def operation(
    answer: type[BaseModel] | None,
    *problems: int,
    body: type[BaseModel] | None = None,
    status: int = 200,
    words: str = "The answer.",
    idempotent: bool = False,
    public: bool = False,
) -> dict[str, Any]:
    """Return the keyword arguments of a route that describe it.

    Args:
        answer: model of the good answer; None where it is not JSON.
        problems: statuses of the problem documents beside those that every protected route has.
        body: model of the request's body.
        idempotent: whether it heeds ``Idempotency-Key``.
        public: whether it needs no credentials.
    """
    statuses = {*problems, *(() if public else (401, 403, 429, 503))}
    if body is not None:
        statuses |= {400, 413, 415}
    if idempotent:
        statuses |= {400, 409}
    extra: dict[str, Any] = {} if public else {"security": _SECURITY}
    if body is not None:
        schema = {"$ref": _REF.format(model=body.__name__)}
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if idempotent:
        extra["parameters"] = [_IDEMPOTENCY]
    good = {"description": words} | ({} if answer is None else {"model": answer})
    return {
        "responses": {status: good, **{code: _problem(code) for code in sorted(statuses)}},
        "status_code": status,
        "openapi_extra": extra,
        "response_model": None,
    }


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    return {"description": _WORDS[status], "content": {PROBLEM: {"schema": schema}}}


def describe(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Let an application tell its OpenAPI document, with the models that its routes name."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title="Frontdesk",
                version=VERSION,
                description="Classification of mails and tickets, and suggestions for operators.",
                routes=app.routes,
            )
            _, named = models_json_schema([(model, "validation") for model in (Problem, *bodies)], ref_template=_REF)
            components = made.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            schemas.update(named["$defs"])
            # FastAPI's own answer to a wrong parameter, in whose place a problem document with 400 comes.
            for one in (operation for path in made["paths"].values() for operation in path.values()):
                one["responses"].pop("422", None)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            components["securitySchemes"] = {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key, or a JWT."},
            }
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
