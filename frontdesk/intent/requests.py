"""What an operator's screen sends and gets: the check of requests, and the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from frontdesk.errors import InvalidRequest
from frontdesk.intent.sessions import LiveRow
from frontdesk.intent.tokens import Tokenizer
from frontdesk.requests import MAX_INSTANCES

MAX_ROWS = 4_000
"""Rows of one session."""
Source = Literal["evgen", "markov", "toppop", "default"]
Name = str | int | float | bool


class SessionRow(BaseModel):
    """An opened intent or an event of the session so far; the tokeniser's fields stand in ``fields`` or beside it."""

    model_config = ConfigDict(extra="allow")

    timestamp: datetime
    kind: Literal["intent", "event"]
    name: Name
    fields: dict[str, Any] = Field(default_factory=dict)


class SuggestionRequest(BaseModel):
    """One request.

    Attributes:
        session: its id; the model remembers what it has read of it. None: nothing is remembered.
        operator, line: who asks; unknown ones are answered as newcomers.
        events: the session so far, in any order; rows delivered twice count once.
        rights: intents that the operator may open; None for all.
        previous: what the screen shows now, best first.
        now: the time of the request; None for the server's clock.
    """

    model_config = ConfigDict(extra="forbid")

    session: str | None = Field(default=None, max_length=200)
    operator: Name | None = None
    line: Name | None = None
    events: list[SessionRow] = Field(default_factory=list, max_length=MAX_ROWS)
    rights: list[str] | None = None
    previous: list[str] = Field(default_factory=list)
    now: datetime | None = None

    def live_rows(self, tokenizer: Tokenizer) -> list[LiveRow]:
        """Return the rows as the tokeniser reads them."""
        return [LiveRow(row.timestamp, row.kind, row.name, row.fields | (row.model_extra or {})) for row in self.events]

    @property
    def moment(self) -> datetime:
        """The time of the request; one without a zone is UTC."""
        now = self.now or datetime.now(UTC)
        return now if now.tzinfo else now.replace(tzinfo=UTC)


class Suggestion(BaseModel):
    """A suggested intent.

    Attributes:
        score: of its source; comparable within one answer only.
        reason: ``sequence`` (follows what was done), ``popular``, ``line_default``.
    """

    id: str
    score: float
    reason: Literal["sequence", "popular", "line_default"]


class IntentAnswer(BaseModel):
    """The answer to one request.

    Attributes:
        source: the model that made the list; ``default`` where only the line's own suggestions were left.
        degraded: a simpler model, or an older table, answered in place of the one that the line asks for.
    """

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    source: Source
    degraded: bool = False
    intents: list[Suggestion]


_requests = TypeAdapter(list[SuggestionRequest])


def parse_requests(instances: Any, tokenizer: Tokenizer) -> list[SuggestionRequest]:
    """Check the instances of a request.

    Raises:
        InvalidRequest: names the instance and the field: ``instances[3].events[0].kind: ...``.
    """
    if not isinstance(instances, list):
        raise InvalidRequest("must be a list of objects", where="instances")
    if len(instances) > MAX_INSTANCES:
        raise InvalidRequest(f"{len(instances)} instances are more than {MAX_INSTANCES}", where="instances")
    try:
        requests = _requests.validate_python(instances)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        words = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
        raise InvalidRequest(words, where="instances" + _path(first["loc"])) from None
    known = set(tokenizer.fields)
    for place, request in enumerate(requests):
        for number, row in enumerate(request.events):
            if unknown := (row.fields.keys() | (row.model_extra or {}).keys()) - known:
                where = f"instances[{place}].events[{number}].{min(unknown)[:80]}"
                has = ", ".join(["timestamp", "kind", "name", *tokenizer.fields])
                raise InvalidRequest("there is no such field", where=where, remedy=f"Fields: {has}")
    return requests


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in location)
