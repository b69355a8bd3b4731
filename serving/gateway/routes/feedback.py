"""``POST /v1/feedback``: what became of cases and suggestions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from frontdesk.database.feedback import apply_events, cases_of
from frontdesk.database.tables import NAME
from frontdesk.errors import InvalidRequest
from frontdesk.feedback import Event, Kind
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.bodies import parsed
from frontdesk.serving.gateway.callers import Caller
from frontdesk.serving.gateway.operations import operation
from frontdesk.serving.gateway.replies import Made, reply
from frontdesk.serving.gateway.state import gateway_of

router = APIRouter(tags=["feedback"])
MOST_EVENTS = 500
_LABEL = 500
_HEAD = 100


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable")
    return value


def _of_our_time(value: datetime) -> datetime:
    if not 1970 <= value.year < 2200:
        raise ValueError("must be a time between 1970 and 2200")
    return value


Moment = Annotated[AwareDatetime, AfterValidator(_of_our_time)]
Name = Annotated[str, Field(min_length=1, max_length=NAME), AfterValidator(_printable)]
Head = Annotated[str, Field(min_length=1, max_length=_HEAD), AfterValidator(_printable)]
Label = Annotated[str, Field(min_length=1, max_length=_LABEL), AfterValidator(_printable)]
Metric = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
Measure = Annotated[float, Field(strict=True, ge=-1e12, le=1e12)]


class FeedbackItem(BaseModel):
    """One event.

    Attributes:
        id: the sender's name of the event: delivered again, it has no second effect.
        at: when it happened, with its zone.
        prediction_id: of the answer that it speaks of; or
        recipe, case_id: the case that it speaks of, by the name that the prediction was asked with.
        labels: ``{head: label}``; needed for ``accepted`` and ``changed``, and for ``closed`` without measures. An
            opened intent has the head ``intent``.
        measures: ``{metric: number}`` that a ``closed`` event may tell, for experiments: ``handle_time`` (in one unit
            throughout), ``satisfaction``, ``searches_avoided``, or others of your own.
    """

    model_config = ConfigDict(extra="forbid")

    id: Name
    kind: Kind
    at: Moment
    prediction_id: Name | None = None
    recipe: Literal["email", "ticket", "intent"] | None = None
    case_id: Name | None = None
    labels: dict[Head, Label] = Field(default_factory=dict, max_length=50)
    measures: dict[Metric, Measure] = Field(default_factory=dict, max_length=20)

    @model_validator(mode="after")
    def _complete(self) -> FeedbackItem:
        if self.prediction_id is None and (self.recipe is None or self.case_id is None):
            raise ValueError("needs prediction_id, or recipe and case_id")
        if self.prediction_id is not None and (self.recipe is not None or self.case_id is not None):
            raise ValueError("needs either prediction_id, or recipe and case_id")
        if self.kind in ("accepted", "changed") and not self.labels:
            raise ValueError(f"{self.kind} needs labels")
        if self.kind == "closed" and not (self.labels or self.measures):
            raise ValueError("closed needs labels or measures")
        if self.measures and self.kind != "closed":
            raise ValueError("only closed takes measures")
        return self


class FeedbackBatch(BaseModel):
    """Events, all of which are kept or none.

    Attributes:
        source: which of the sender's systems they come from; events are told apart by client, source and id.
    """

    model_config = ConfigDict(extra="forbid")

    source: Name | None = None
    events: list[FeedbackItem] = Field(min_length=1, max_length=MOST_EVENTS)


class FeedbackAnswer(BaseModel):
    """What was done with the events.

    Attributes:
        applied: new ones.
        duplicates: those that were delivered before.
    """

    applied: int
    duplicates: int


@router.post("/v1/feedback", **operation(FeedbackAnswer, body=FeedbackBatch, idempotent=True))
async def take_feedback(request: Request) -> Response:
    """Keep events. Deliver them until this answers 200: in any order, late, and as often as you like."""

    async def make(caller: Caller, body: bytes, _: str | None) -> Made:
        gateway, batch = gateway_of(request), parsed(body, FeedbackBatch)
        wanted = [one.prediction_id for one in batch.events if one.prediction_id is not None]
        known = await gateway.run(cases_of, gateway.database, wanted)
        source = caller.client if batch.source is None else f"{caller.client}\n{batch.source}"
        events = [_event(place, one, source, known) for place, one in enumerate(batch.events)]
        new = await gateway.run(apply_events, gateway.database, events)
        for event, fresh in zip(events, new, strict=True):
            metrics.count_feedback(event.recipe, event.kind, "applied" if fresh else "duplicate")
        return Made(FeedbackAnswer(applied=sum(new), duplicates=len(new) - sum(new)).model_dump())

    return await reply(request, "feedback", make)


def _event(place: int, item: FeedbackItem, source: str, known: dict[str, tuple[str, str]]) -> Event:
    if item.prediction_id is None:
        recipe, case_id = item.recipe or "", item.case_id or ""
    elif item.prediction_id in known:
        recipe, case_id = known[item.prediction_id]
    else:
        raise InvalidRequest("there is no such prediction", where=f"events[{place}].prediction_id")
    named, at = (source, item.id, recipe, case_id), item.at.astimezone(UTC)
    return Event(*named, item.kind, at, item.labels, item.prediction_id, item.measures)
