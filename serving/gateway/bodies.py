"""Bodies of requests: read, parsed, checked, with errors that name the field."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from frontdesk.errors import InvalidRequest
from frontdesk.serving.gateway.problems import invalid
from frontdesk.serving.protocol import parse_json, require_json

MOST_EMAILS = 500
MOST_SUGGESTIONS = 100
M = TypeVar("M", bound=BaseModel)


class Parameters(BaseModel):
    """What a request wants.

    Attributes:
        on_error: whether one bad instance gets an error beside the other answers, or refuses the whole request.
    """

    model_config = ConfigDict(extra="forbid")

    on_error: Literal["answer", "refuse"] = "answer"


class EmailBatch(BaseModel):
    """Mails of a CRM.

    Attributes:
        instances: a mail each: ``subject``, ``body``, ``custodian_bank`` or whatever fields the model has, and ``id``,
            the caller's name of the case, which the model does not see.
    """

    model_config = ConfigDict(extra="forbid")

    instances: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_EMAILS)
    parameters: Parameters = Parameters()


class TicketRequest(BaseModel):
    """Tickets to suggest a contact type and a reply for.

    Attributes:
        instances: a ticket each, with the fields of the model, and ``id``, the caller's name of the case.
    """

    model_config = ConfigDict(extra="forbid")

    instances: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_SUGGESTIONS)


class IntentRequest(BaseModel):
    """Operators' sessions to suggest the next intents for.

    Attributes:
        instances: a session each: ``session``, ``operator``, ``line``, ``events``, ``rights``, ``previous``, ``now``.
    """

    model_config = ConfigDict(extra="forbid")

    instances: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_SUGGESTIONS)


async def read_body(request: Request) -> bytes:
    """Return the body of a request that says it is JSON. Raises `UnsupportedMediaType`, `TooLarge`."""
    require_json(request.headers.get("content-type"))
    return await request.body()


def parsed(body: bytes, model: type[M]) -> M:
    """Return a body as a model. Raises `InvalidRequest` that names the field."""
    content = parse_json(body)
    if not isinstance(content, dict):
        raise InvalidRequest("the body must be an object")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(error) from None
