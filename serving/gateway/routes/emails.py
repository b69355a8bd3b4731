"""``POST /v1/emails:classify``: batches of a CRM."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from frontdesk.serving.gateway.answers import LabelsAnswers
from frontdesk.serving.gateway.asking import Manner
from frontdesk.serving.gateway.bodies import EmailBatch, parsed
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.operations import operation
from frontdesk.serving.gateway.predicting import predict
from frontdesk.serving.gateway.replies import Made, reply
from frontdesk.serving.gateway.routes.labels import labels_topic
from frontdesk.serving.gateway.state import gateway_of

router = APIRouter(tags=["predictions"])


@router.post("/v1/emails:classify", **operation(LabelsAnswers, body=EmailBatch, idempotent=True))
async def classify_emails(request: Request) -> Response:
    """Classify up to 500 mails; the answers come in their order.

    A mail that is wrong gets an error in its place, unless `parameters.on_error` is `refuse`.
    """
    settings = gateway_of(request).settings

    async def make(caller: Caller, body: bytes, key: str | None) -> Made:
        batch = parsed(body, EmailBatch)
        manner = Manner(
            seconds=settings.batch_seconds,
            part_size=settings.part_size,
            parts_at_once=settings.parts_at_once,
            partial=batch.parameters.on_error == "answer",
            degrade=settings.without_model == "abstain",
        )
        return await predict(request, labels_topic("email", manner), caller, batch.instances, key)

    return await reply(request, "emails", make)
