"""``GET /v1/lines/{line}/config``: what the operator's screen asks for, sends and shows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from frontdesk.database.tables import NAME
from frontdesk.serving.gateway.operations import operation
from frontdesk.serving.gateway.state import gateway_of

router = APIRouter(tags=["configuration"])


class LineAnswer(BaseModel):
    """One line's settings for the front end; see `frontdesk.intent.configuration.LineConfiguration`."""

    version: int
    line: str
    trigger_events: list[str]
    context_events: list[str] | None
    shortest_interval_seconds: float
    shown: int


_DESCRIPTION = operation(LineAnswer, 400)
_DESCRIPTION["responses"][304] = {"description": "The caller's copy is the newest one."}
_DESCRIPTION["responses"][200]["headers"] = {"ETag": {"schema": {"type": "string"}}}


@router.get("/v1/lines/{line}/config", **_DESCRIPTION)
async def line_config(request: Request, line: Annotated[str, Path(min_length=1, max_length=NAME)]) -> Response:
    """Return a line's settings; with `If-None-Match`, 304 where nothing has changed."""
    gateway = gateway_of(request)
    await gateway.admit(request, "lines")
    configuration = gateway.lines.current()
    tag = f'"{configuration.digest(line)}"'
    headers = {"etag": tag, "cache-control": "private, max-age=0, must-revalidate"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    content = LineAnswer.model_validate(configuration.answer(line)).model_dump_json()
    return Response(content, headers=headers, media_type="application/json")


def _matches(given: str, tag: str) -> bool:
    """Return whether ``If-None-Match`` names a tag; weak ones count (RFC 9110, 13.1.2)."""
    return given.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in given.split(",")}
