"""``POST /v1/webhooks/{desk}``: a helpdesk says what happened to a case."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from frontdesk.errors import NotFound
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.bodies import read_body
from frontdesk.serving.gateway.desks.work import desk_work_of
from frontdesk.serving.gateway.operations import operation
from frontdesk.serving.gateway.state import gateway_of

router = APIRouter(tags=["desks"])


class WebhookAnswer(BaseModel):
    """What is done with a webhook.

    Attributes:
        status: ``accepted`` is kept and worked on later; ``duplicate`` was accepted before; ``ignored`` has no effect.
        reason: why it is ignored, a stable word.
    """

    status: Literal["accepted", "duplicate", "ignored"]
    reason: str | None = None


class WebhookBody(BaseModel):
    """Whatever the desk sends; see ``docs/desks.md``."""

    model_config = {"extra": "allow"}


_DESCRIPTION: dict[str, Any] = operation(
    WebhookAnswer, 401, 404, 429, 503, body=WebhookBody, status=202, public=True, words="What is done with it."
)


@router.post("/v1/webhooks/{desk}", **_DESCRIPTION)
async def take_webhook(request: Request, desk: Annotated[str, Path(min_length=1, max_length=40)]) -> Response:
    """Take an event of a desk. The desk's signature is its credential; the answer comes before any work."""
    gateway = gateway_of(request)
    work = desk_work_of(request)
    found = work.desks.desks.get(desk)
    if found is None:
        raise NotFound("there is no desk of this name", where="desk")
    with gateway.reading.one():
        body = await read_body(request)
    event = found.receive(request.headers, body, datetime.now(UTC))
    await gateway.rates.take(f"desk:{desk}")
    if event.kind == "ignored":
        answer = WebhookAnswer(status="ignored", reason=event.reason)
    else:
        answer = WebhookAnswer(status="accepted" if await work.accept(event) else "duplicate")
    metrics.count_delivery(desk, answer.status)
    return Response(answer.model_dump_json(exclude_none=True), 202, media_type="application/json")
