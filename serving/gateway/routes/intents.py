"""``POST /v1/intents:suggest``: the next intents of operators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from frontdesk.serving.gateway.answers import HOLDOUT, IntentsAnswers
from frontdesk.serving.gateway.asking import Asked, Manner
from frontdesk.serving.gateway.bodies import MOST_SUGGESTIONS, IntentRequest, parsed
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.operations import operation
from frontdesk.serving.gateway.predicting import Topic, predict
from frontdesk.serving.gateway.replies import Made, reply
from frontdesk.serving.gateway.state import Gateway, gateway_of

router = APIRouter(tags=["predictions"])


@router.post("/v1/intents:suggest", **operation(IntentsAnswers, body=IntentRequest, idempotent=True))
async def suggest_intents(request: Request) -> Response:
    """Suggest at most six next intents for each session. Without a model, the line's own suggestions come, marked."""
    settings = gateway_of(request).settings
    manner = Manner(settings.suggest_seconds, MOST_SUGGESTIONS, 1, partial=False, degrade=True)
    topic = Topic("intent", "session", True, {"operator": "operator"}, manner, _complete, _withhold)

    async def make(caller: Caller, body: bytes, key: str | None) -> Made:
        return await predict(request, topic, caller, parsed(body, IntentRequest).instances, key)

    return await reply(request, "intents", make)


def _complete(gateway: Gateway, asked: Asked, answer: dict[str, Any] | None) -> dict[str, Any]:
    if answer is not None:
        return answer
    line, rights = asked.fields.get("line"), asked.fields.get("rights")
    lists = gateway.lines.current().of(None if line is None else str(line)).lists
    allowed = None if not isinstance(rights, list) else {str(right) for right in rights}
    names = [name for name in lists.defaults if allowed is None or name in allowed][: lists.shown]
    intents = [{"id": name, "score": 0.0, "reason": "line_default"} for name in names]
    return {"model_id": None, "source": "default", "intents": intents}


def _withhold(complete: dict[str, Any]) -> dict[str, Any]:
    return {"model_id": complete["model_id"], "source": complete["source"], "intents": [], "reason": HOLDOUT}
