"""Which requests of a screen are refused, in which words, and what is made of the others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from frontdesk.errors import InvalidRequest
from frontdesk.intent.requests import MAX_NAME, MAX_ROWS, parse_requests
from frontdesk.intent.tokens import Tokenizer

TOKENIZER = Tokenizer(("element", "text"), ("A", "B"), (("click",),), ("o",), ("l",))
ROW = {"timestamp": "2025-05-05T09:00:00Z", "kind": "event", "name": "click"}


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        (None, "instances: must be a list of objects, not null"),
        ({}, "instances: must be a list of objects, not an object"),
        ([{}] * 1_001, "1001 instances are more than 1000"),
        ([{}, "x"], "instances[1]: must be an object, not text"),
        ([{"sesion": "s"}], "instances[0].sesion: there is no such field"),
        ([{"session": "x" * (MAX_NAME + 1)}], "instances[0].session: is longer than 200 characters"),
        ([{"session": []}], "instances[0].session: must be text, a number or null, not a list"),
        ([{"operator": {}}], "instances[0].operator: must be text, a number or null, not an object"),
        ([{}, {"line": ["l"]}], "instances[1].line: must be text, a number or null, not a list"),
        ([{"events": "x"}], "instances[0].events: must be a list of objects or null, not text"),
        ([{"events": [ROW] * (MAX_ROWS + 1)}], "instances[0].events: 4001 rows are more than 4000"),
        ([{"events": [ROW, 3]}], "instances[0].events[1]: must be an object, not a number"),
        ([{"events": [ROW | {"kind": "klick"}]}], "instances[0].events[0].kind: must be 'intent' or 'event'"),
        ([{"events": [ROW | {"kind": ["event"]}]}], "instances[0].events[0].kind: must be 'intent' or 'event'"),
        ([{"events": [{"name": "a", "timestamp": 0}]}], "instances[0].events[0].kind"),
        ([{"events": [ROW | {"timestamp": "soon"}]}], "instances[0].events[0].timestamp: must be a time such as"),
        ([{"events": [ROW | {"timestamp": True}]}], "instances[0].events[0].timestamp: must be a time such as"),
        ([{"events": [ROW | {"timestamp": 3}]}], "instances[0].events[0].timestamp: must be a time such as"),
        ([{"events": [ROW | {"timestamp": "0001-01-01T00:00:00+14:00"}]}], "instances[0].events[0].timestamp"),
        ([{"events": [ROW | {"timestamp": None}]}], "instances[0].events[0].timestamp: is missing"),
        ([{"events": [ROW | {"name": " "}]}], "instances[0].events[0].name: is missing"),
        ([{"events": [ROW | {"name": {}}]}], "instances[0].events[0].name: must be text, a number or null"),
        ([{"events": [ROW | {"fields": []}]}], "instances[0].events[0].fields: must be an object or null, not a list"),
        ([{"events": [ROW | {"fields": {"txt": "x"}}]}], "instances[0].events[0].txt: there is no such field"),
        ([{"events": [ROW | {"txt": "x"}]}], "Fields: fields, kind, name, timestamp, element, text"),
        ([{"events": [ROW | {"fields": {"text": []}}]}], "instances[0].events[0].text: must be text, a number or null"),
        ([{"events": [ROW, ROW | {"text": {}}]}], "instances[0].events[1].text: must be text, a number or null"),
        ([{"rights": "A"}], "instances[0].rights: must be a list of intents or null, not text"),
        ([{"rights": ["A", []]}], "instances[0].rights[1]: must be text, a number or null, not a list"),
        ([{"previous": {"A": 1}}], "instances[0].previous: must be a list of intents or null, not an object"),
        ([{"now": "today"}], "instances[0].now: must be a time such as 2024-02-29T12:00:00+00:00"),
        ([{"now": []}], "instances[0].now"),
    ],
)
def test_what_is_wrong_is_named(instances: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_requests(instances, TOKENIZER)
    assert words in str(caught.value)


def test_an_empty_request_is_a_newcomer_now() -> None:
    before = datetime.now(UTC)
    for instance in ({}, dict.fromkeys(["session", "operator", "line", "events", "rights", "previous", "now"])):
        (request,) = parse_requests([instance], TOKENIZER)
        assert request[:6] == (None, None, None, [], None, [])
        assert before <= request.now <= datetime.now(UTC)


def test_names_may_be_numbers_and_blank_ones_are_missing() -> None:
    instance = {"session": 7, "operator": 12.0, "line": True, "rights": [3, "A ", ""], "previous": [4], "now": ""}
    (request,) = parse_requests([instance], TOKENIZER)
    assert request[:3] == ("7", "12", "true")
    assert request.rights == {"3", "A"}
    assert request.previous == ["4"]
    (request,) = parse_requests([{"session": " ", "rights": []}], TOKENIZER)
    assert request.session is None
    assert request.rights == frozenset(), "no right is another thing than no list of rights"


def test_times_without_a_zone_are_utc_and_unix_times_are_told_by_their_size() -> None:
    expected = datetime(2025, 5, 5, 9, tzinfo=UTC)
    for now in ("2025-05-05T09:00:00", "2025-05-05T11:00+02:00", 1746435600, 1746435600_000, 1746435600_000_000):
        (request,) = parse_requests([{"now": now}], TOKENIZER)
        assert request.now == expected


def test_fields_stand_in_an_object_or_beside() -> None:
    rows = [ROW | {"fields": {"text": "Pay"}}, ROW | {"text": "Pay"}, ROW | {"fields": None}]
    (request,) = parse_requests([{"events": rows}], TOKENIZER)
    assert [row.fields for row in request.events] == [{"text": "Pay"}, {"text": "Pay"}, {}]
