"""The three prediction routes in common: instances in, answers out, one row of the log for each answered instance."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from frontdesk.database.identity import new_id
from frontdesk.database.tables import NAME
from frontdesk.errors import InvalidRequest
from frontdesk.preprocessing.encoding import level
from frontdesk.requests import kind_of
from frontdesk.rollout import FALLBACK
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.answers import told
from frontdesk.serving.gateway.asking import Answered, Asked, Manner, ask
from frontdesk.serving.gateway.boundary import REQUEST_ID
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.logged import logged_fields
from frontdesk.serving.gateway.replies import Made
from frontdesk.serving.gateway.state import Gateway, gateway_of, request_id_of


@dataclass(frozen=True)
class Topic:
    """What one recipe's route does in its own way.

    Attributes:
        recipe: its name.
        case: field that names the case; the model sees it only where ``keeps_case``.
        units: ``{customer or operator: its field}``: what experiments may assign by, beside the case.
        manner: how its instances are asked.
        complete: makes the part of an answer that the model gave, or would have given: gateway, instance, the model's
            answer or None -> plain values with ``model_id``.
        withhold: makes the part of an answer that is kept back, from a complete one.
    """

    recipe: str
    case: str
    keeps_case: bool
    units: Mapping[str, str]
    manner: Manner
    complete: Callable[[Gateway, Asked, dict[str, Any] | None], dict[str, Any]]
    withhold: Callable[[dict[str, Any]], dict[str, Any]]


async def predict(
    request: Request, topic: Topic, caller: Caller, instances: Sequence[dict[str, Any]], key: str | None
) -> Made:
    """Answer the instances of a request.

    Raises:
        InvalidRequest: an instance is wrong; where each may have its own error, then every one is.
        Overloaded, Unavailable: see `asking.ask`.
    """
    began = time.perf_counter()
    gateway = gateway_of(request)
    found: dict[int, Answered] = {}
    asked: list[Asked] = []
    for place, instance in enumerate(instances):
        try:
            asked.append(_asked(gateway, topic, place, instance))
        except InvalidRequest as error:
            if not topic.manner.partial:
                raise
            found[place] = error
    if asked:
        headers = {**request.headers, REQUEST_ID: request_id_of(request)}
        found |= await ask(gateway.models, topic.recipe, asked, topic.manner, headers, gateway.traffic)
    if all(isinstance(answer, InvalidRequest) for answer in found.values()):
        raise next(answer for _, answer in sorted(found.items()) if isinstance(answer, InvalidRequest))
    by_place = {one.place: one for one in asked}
    rows, predictions = [], []
    for place in range(len(instances)):
        answer = found[place]
        if isinstance(answer, InvalidRequest):
            metrics.count_prediction(topic.recipe, "refused")
            predictions.append({"error": _failure(answer)})
            continue
        one = by_place[place]
        complete = topic.complete(gateway, one, answer)
        row = _row(gateway, topic, one, complete)
        about = {"request_id": request_id_of(request), "client": caller.client, "idempotency_key": key}
        rows.append(row | about | {"milliseconds": round(1e3 * (time.perf_counter() - began), 3)})
        shown = topic.withhold(complete) if one.holdout else complete
        beside = {"prediction_id": row["id"], "degraded": row["degraded"], "holdout": one.holdout}
        if one.arm is not None:
            beside["arm"] = one.arm.name
        predictions.append(shown | beside)
        metrics.count_prediction(
            topic.recipe, "holdout" if one.holdout else "degraded" if row["degraded"] else "answered"
        )
    return Made({"predictions": predictions}, rows)


def _asked(gateway: Gateway, topic: Topic, place: int, instance: dict[str, Any]) -> Asked:
    case = _name(instance.get(topic.case), f"instances[{place}].{topic.case}")
    fields = instance if topic.keeps_case else {name: instance[name] for name in instance if name != topic.case}
    units = {unit: _name(instance.get(name), f"instances[{place}].{name}") for unit, name in topic.units.items()}
    arm = gateway.assignment.assign(topic.recipe, {"case": case, **units})
    holdout = case is not None and is_holdout(topic.recipe, case, gateway.settings.holdout_share)
    side = None if arm is not None else gateway.traffic.side(topic.recipe, units.get("operator") or case, fields)
    return Asked(place, case, fields, arm, holdout, side)


def is_holdout(recipe: str, case: str, share: float) -> bool:
    """Return whether a case goes without suggestions: the same one always, on every gateway."""
    number = int.from_bytes(hashlib.sha256(f"holdout\0{recipe}\0{case}".encode()).digest()[:8], "big")
    return number < share * 2**64


def _name(value: Any, where: str) -> str | None:
    """Return a name that a caller gives to something, None for none."""
    if value is None:
        return None
    if not isinstance(value, str | int | float):
        raise InvalidRequest(f"must be text, a number or null, not {kind_of(value)}", where=where)
    if (name := level(value)) is None:
        return None
    if len(name) > NAME or not name.isprintable():
        raise InvalidRequest(f"must be at most {NAME} printable characters", where=where)
    return name


def _failure(error: InvalidRequest) -> dict[str, str]:
    words = f"{error.message}. {error.remedy}" if error.remedy else error.message
    return {"code": error.code, "message": words} | ({"where": error.where} if error.where else {})


def _row(gateway: Gateway, topic: Topic, one: Asked, complete: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the log, but for what is of the whole request."""
    prediction_id, labels = new_id(), told(complete.get("labels", {}))
    for head, answer in labels.items():
        metrics.count_decision(topic.recipe, head, answer["decision"], answer["reason"])
    intents = complete.get("intents")
    line = level(one.fields.get("line")) if topic.recipe == "intent" else None
    experiment, arm = (one.arm.experiment, one.arm.name) if one.arm else (None, None)
    if one.side is not None:
        experiment, arm = f"rollout {one.side.rollout}", FALLBACK if FALLBACK in complete else one.side.name
    return {
        "id": prediction_id,
        "at": gateway.now(),
        "place": one.place,
        "recipe": topic.recipe,
        "case_id": one.case_id or prediction_id,
        "model_id": complete["model_id"],
        "labels": labels,
        "intents": None if intents is None else [{"id": i["id"], "score": i["score"]} for i in intents],
        "source": complete.get("source"),
        "degraded": complete["model_id"] is None or bool(complete.get("degraded")),
        "holdout": one.holdout,
        "experiment": experiment,
        "arm": arm,
        "unit": one.arm.unit if one.arm else None,
        "line": None if line is None else line.replace("\0", "")[:NAME],
        **logged_fields(gateway.settings, topic.recipe, one.fields),
    }
