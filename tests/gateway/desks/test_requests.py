"""What a desk's request means, and which requests are refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.errors import BadSignature, FrontdeskError, InvalidRequest
from tests.gateway.desks.signing import NAMES, NOW, SECRET, TIMED, as_bytes, desk, fixture, requests, signed


@pytest.mark.parametrize(("name", "request_"), requests(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_golden_requests_are_understood(name: str, request_: dict[str, Any]) -> None:
    body = as_bytes(request_["body"])
    event = desk(name).receive(signed(name, request_["headers"], body), body, NOW)
    expected = request_["expect"]
    assert {key: getattr(event, key) for key in expected} == expected
    assert event.instance == expected.get("instance", {})
    assert event.labels == expected.get("labels", {})
    assert event.desk == name
    assert event.delivery


@pytest.mark.parametrize("name", NAMES)
def test_a_request_without_the_right_signature_is_refused(name: str) -> None:
    request_ = fixture(name)["requests"][0]
    body = as_bytes(request_["body"])
    good = signed(name, request_["headers"], body)
    plain = {key.lower(): value for key, value in request_["headers"].items()}
    mark = next(key for key in good if key.endswith("signature"))
    refused = [
        (plain, body),
        (good, body + b" "),
        (signed(name, request_["headers"], body, b"another secret"), body),
        ({**good, mark: good[mark][:-2] + "é"}, body),
        ({**good, mark: ""}, body),
    ]
    for headers, sent in refused:
        with pytest.raises(BadSignature):
            desk(name).receive(headers, sent, NOW)
    assert desk(name).receive(good, body, NOW).kind == "opened"


@pytest.mark.parametrize("name", NAMES)
def test_both_secrets_hold_while_one_replaces_the_other(name: str) -> None:
    request_ = fixture(name)["requests"][0]
    body = as_bytes(request_["body"])
    both = desk(name, b"the new one", SECRET)
    for secret in (b"the new one", SECRET):
        assert both.receive(signed(name, request_["headers"], body, secret), body, NOW).kind == "opened"
    with pytest.raises(BadSignature):
        desk(name, b"the new one").receive(signed(name, request_["headers"], body), body, NOW)


@pytest.mark.parametrize("name", TIMED)
def test_a_signature_is_good_for_minutes_only(name: str) -> None:
    request_ = fixture(name)["requests"][0]
    body = as_bytes(request_["body"])
    for seconds, fits in ((299, True), (301, False), (-299, True), (-301, False), (86_400 * 365, False)):
        headers = signed(name, request_["headers"], body, at=NOW - timedelta(seconds=seconds))
        if fits:
            assert desk(name).receive(headers, body, NOW).kind == "opened"
        else:
            with pytest.raises(BadSignature):
                desk(name).receive(headers, body, NOW)


@pytest.mark.parametrize("name", TIMED)
def test_the_time_is_part_of_what_is_signed(name: str) -> None:
    request_ = fixture(name)["requests"][0]
    body = as_bytes(request_["body"])
    old = signed(name, request_["headers"], body, at=NOW - timedelta(hours=1))
    fresh = signed(name, request_["headers"], body)
    stamp = next(key for key in old if "stamp" in key)
    with pytest.raises(BadSignature):
        desk(name).receive({**old, stamp: fresh[stamp]}, body, NOW)
    for odd in ("", "x", "9" * 12, "²", "2026-11-22", "-1", "1e9"):
        with pytest.raises(BadSignature):
            desk(name).receive({**fresh, stamp: odd}, body, NOW)


@pytest.mark.parametrize("name", NAMES)
def test_one_thing_delivered_twice_has_one_content(name: str) -> None:
    first = fixture(name)["requests"][0]
    body = as_bytes(first["body"])
    later = as_bytes({**first["body"], "another": "member"})
    events = [desk(name).receive(signed(name, first["headers"], sent), sent, NOW) for sent in (body, later)]
    assert events[0].content == events[1].content
    second = fixture(name)["requests"][1]
    body = as_bytes(second["body"])
    assert desk(name).receive(signed(name, second["headers"], body), body, NOW).content != events[0].content


def test_a_delivery_without_an_identifier_is_known_by_its_bytes() -> None:
    request_ = fixture("freescout")["requests"][0]
    body = as_bytes(request_["body"])
    event = desk("freescout").receive(signed("freescout", request_["headers"], body), body, NOW)
    assert len(event.delivery) == 64


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def _damaged(draw: Any, value: Any) -> Any:
    """Replace a random part of a value."""
    if draw(st.integers(0, 4)) == 0:
        return draw(ODD)
    if isinstance(value, dict) and value:
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: _damaged(draw, value[name])}
    if isinstance(value, list) and value:
        return [_damaged(draw, value[0]), *value[1:]]
    return draw(ODD)


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_an_odd_body_is_read_or_refused(name: str, data: st.DataObject) -> None:
    request_ = data.draw(st.sampled_from(fixture(name)["requests"]))
    body = as_bytes(_damaged(data.draw, request_["body"]))
    try:
        event = desk(name).receive(signed(name, request_["headers"], body), body, NOW)
    except InvalidRequest:
        return
    assert event.kind in ("opened", "closed", "ignored")
    assert all(isinstance(value, str | int | float | bool) for value in event.instance.values())
    assert event.content


@settings(max_examples=60)
@given(body=st.binary(max_size=60), values=st.text(max_size=20))
@pytest.mark.parametrize("name", NAMES)
def test_no_bytes_and_no_headers_break_it(name: str, body: bytes, values: str) -> None:
    good = signed(name, {}, body)
    for headers in (good, dict.fromkeys(good, values)):
        with pytest.raises(FrontdeskError):
            desk(name).receive(headers, body, NOW)


def test_deep_json_and_odd_cases_are_refused() -> None:
    cases = ['"../x"', "1e999", '"a b"', "null", '""']
    bodies = [b'{"event": "opened", "case": %s}' % case.encode() for case in cases]
    for body in (b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"", b"null", b"[]", b"{}", *bodies):
        with pytest.raises(InvalidRequest):
            desk("generic").receive(signed("generic", {}, body), body, NOW)
    body = b'{"event": "opened", "case": "1", "fields": {"body": "x"}}'
    for delivery in ("x" * 129, "a\x00b", "a\nb"):
        with pytest.raises(InvalidRequest):
            desk("generic").receive(signed("generic", {"X-Frontdesk-Delivery": delivery}, body), body, NOW)
