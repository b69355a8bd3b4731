"""``POST /v1/tickets:suggest``: a contact type and a reply, one ticket at a time or a few."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from frontdesk.serving.gateway.answers import TicketAnswers
from frontdesk.serving.gateway.asking import Manner
from frontdesk.serving.gateway.bodies import MOST_SUGGESTIONS, TicketRequest, parsed
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.operations import operation
from frontdesk.serving.gateway.predicting import predict
from frontdesk.serving.gateway.replies import Made, reply
from frontdesk.serving.gateway.routes.labels import labels_topic
from frontdesk.serving.gateway.state import gateway_of

router = APIRouter(tags=["predictions"])


@router.post("/v1/tickets:suggest", **operation(TicketAnswers, body=TicketRequest, idempotent=True))
async def suggest_for_tickets(request: Request) -> Response:
    """Suggest labels for tickets; one that is wrong refuses the request."""
    settings = gateway_of(request).settings
    manner = Manner(
        seconds=settings.suggest_seconds,
        part_size=MOST_SUGGESTIONS,
        parts_at_once=1,
        partial=False,
        degrade=settings.without_model == "abstain",
    )

    async def make(caller: Caller, body: bytes, key: str | None) -> Made:
        asked = parsed(body, TicketRequest)
        return await predict(request, labels_topic("ticket", manner), caller, asked.instances, key)

    return await reply(request, "tickets", make)
