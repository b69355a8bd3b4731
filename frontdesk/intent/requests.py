"""What an operator's screen sends and gets: the check of requests, and the answer.

Requests are checked by hand, row by row: a screen sends the whole session every few seconds, and the caller is told the
row and the field in the words of the other recipes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from frontdesk.cells import WrongCell, stamp
from frontdesk.errors import InvalidRequest
from frontdesk.intent.columns import EVENT, INTENT, REQUEST_FIELDS
from frontdesk.intent.levels import FeatureLevels
from frontdesk.intent.sessions import NO_FEATURES, LiveRow
from frontdesk.intent.tokens import Tokenizer
from frontdesk.preprocessing.encoding import level
from frontdesk.requests import MAX_INSTANCES, kind_of

MAX_ROWS = 4_000
"""Rows of one session."""
MAX_NAME = 200
"""Characters of a session's name: it is a key of the server's memory."""
Source = Literal["evgen", "markov", "toppop", "default"]
_SCALARS = (str, int, float)
_ROW = frozenset(("timestamp", "kind", "name", "fields"))


class SuggestionRequest(NamedTuple):
    """One request.

    Attributes:
        session: its name; the model remembers what it has read of it. None: nothing is remembered.
        operator, line: who asks; unknown ones are answered as newcomers.
        events: the session so far, in any order; rows delivered twice count once.
        rights: intents that the operator may open; None for all.
        previous: what the screen shows now, best first.
        now: the time of the request.
        features: what is known of who asks, by feature; what is left out is missing.
    """

    session: str | None
    operator: str | None
    line: str | None
    events: list[LiveRow]
    rights: frozenset[str] | None
    previous: list[str]
    now: datetime
    features: Mapping[str, Any] = NO_FEATURES


@dataclass(slots=True)
class Suggestion:
    """A suggested intent.

    Attributes:
        score: of its source; comparable within one answer only.
        reason: ``sequence`` (follows what was done), ``popular``, ``line_default``.
    """

    id: str
    score: float
    reason: Literal["sequence", "popular", "line_default"]


@dataclass(slots=True)
class IntentAnswer:
    """The answer to one request.

    Attributes:
        source: the model that made the list; ``default`` where only the line's own suggestions were left.
        degraded: a simpler model, or an older table, answered in place of the one that the line asks for.
        intents: at most six, best first; empty where the operator may open nothing.
    """

    model_id: str
    source: Source
    degraded: bool
    intents: list[Suggestion]


@dataclass(slots=True)
class IncompleteAnswer(IntentAnswer):
    """An answer that lacked some of the features that the model was trained with.

    Attributes:
        missing_features: their names; they took what training used for missing ones.
    """

    missing_features: list[str]


def parse_requests(instances: Any, tokenizer: Tokenizer) -> list[SuggestionRequest]:
    """Check the instances of a request.

    Names (session, operator, line, intents, events, values of fields) are text, numbers or booleans and are written as
    in tables (`encoding.level`); times are ISO 8601 text or Unix times (`cells.stamp`). Null, an absent field and a
    blank text are a missing value.

    Raises:
        InvalidRequest: names the instance and the field: ``instances[3].events[0].kind: must be ...``.
    """
    if not isinstance(instances, list):
        raise InvalidRequest(f"must be a list of objects, not {kind_of(instances)}", where="instances")
    if len(instances) > MAX_INSTANCES:
        words = f"{len(instances)} instances are more than {MAX_INSTANCES}"
        raise InvalidRequest(words, where="instances", remedy="Send them in parts")
    known = frozenset(tokenizer.fields)
    return [
        _request(instance, f"instances[{place}]", known, tokenizer.features) for place, instance in enumerate(instances)
    ]


def _request(instance: Any, where: str, known: Set[str], features: tuple[FeatureLevels, ...] = ()) -> SuggestionRequest:
    _require_object(instance, where)
    fields = (*REQUEST_FIELDS, *(feature.name for feature in features))
    if unknown := instance.keys() - fields:
        raise _no_such_field(where, unknown, fields)
    get = instance.get
    session = _name(get("session"), where, "session")
    if session is not None and len(session) > MAX_NAME:
        raise InvalidRequest(f"is longer than {MAX_NAME} characters", where=f"{where}.session")
    rows = get("events")
    if rows is not None and not isinstance(rows, list):
        raise InvalidRequest(f"must be a list of objects or null, not {kind_of(rows)}", where=f"{where}.events")
    if rows and len(rows) > MAX_ROWS:
        raise InvalidRequest(f"{len(rows)} rows are more than {MAX_ROWS}", where=f"{where}.events")
    return SuggestionRequest(
        session,
        _name(get("operator"), where, "operator"),
        _name(get("line"), where, "line"),
        [_row(row, where, place, known) for place, row in enumerate(rows or ())],
        None if (rights := _names(get("rights"), where, "rights")) is None else frozenset(rights),
        _names(get("previous"), where, "previous") or [],
        _moment(get("now"), where, "now") or datetime.now(UTC),
        {
            feature.name: (_name if feature.cuts is None else _number)(value, where, feature.name)
            for feature in features
            if (value := get(feature.name)) is not None
        },
    )


def _row(row: Any, where: str, place: int, known: Set[str]) -> LiveRow:
    try:
        _require_object(row, "")
        kind, name, fields = row.get("kind"), row.get("name"), row.get("fields")
        if kind != INTENT and kind != EVENT:
            raise InvalidRequest(f"must be {INTENT!r} or {EVENT!r}", where=".kind")
        moment = _moment(row.get("timestamp"), "", "timestamp")
        if moment is None or (name := _name(name, "", "name")) is None:
            raise InvalidRequest("is missing", where=".timestamp" if moment is None else ".name")
        if fields is None:
            fields = {}
        elif not isinstance(fields, dict):
            raise InvalidRequest(f"must be an object or null, not {kind_of(fields)}", where=".fields")
        if beside := row.keys() - _ROW:
            fields = {**fields, **{key: row[key] for key in beside}}
        if not fields.keys() <= known:
            raise _no_such_field("", fields.keys() - known, (*sorted(_ROW), *sorted(known)))
        for key, value in fields.items():
            if value is not None and not isinstance(value, _SCALARS):
                _name(value, "", key)  # raises
        return LiveRow(moment, kind, name, fields)
    except InvalidRequest as error:  # the place is put together for those that need it only
        place_of = f"{where}.events[{place}]{error.where}"
        raise InvalidRequest(error.message, where=place_of, remedy=error.remedy) from None


def _require_object(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise InvalidRequest(f"must be an object, not {kind_of(value)}", where=where)


def _name(value: Any, where: str, field: str) -> str | None:
    if value is None or isinstance(value, _SCALARS):
        return level(value)
    raise InvalidRequest(f"must be text, a number or null, not {kind_of(value)}", where=f"{where}.{field[:80]}")


def _number(value: Any, where: str, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"must be a number or null, not {kind_of(value)}", where=f"{where}.{field[:80]}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _names(value: Any, where: str, field: str) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidRequest(f"must be a list of intents or null, not {kind_of(value)}", where=f"{where}.{field}")
    names = [_name(each, where, f"{field}[{place}]") for place, each in enumerate(value)]
    return [name for name in names if name is not None]


def _moment(value: Any, where: str, field: str) -> datetime | None:
    try:
        return stamp(value)
    except WrongCell:
        words = "must be a time such as 2024-02-29T12:00:00+00:00"
        raise InvalidRequest(words, where=f"{where}.{field}") from None


def _no_such_field(where: str, unknown: Set[str], fields: tuple[str, ...]) -> InvalidRequest:
    remedy = f"Fields: {', '.join(fields)}"
    return InvalidRequest("there is no such field", where=f"{where}.{min(unknown)[:80]}", remedy=remedy)
