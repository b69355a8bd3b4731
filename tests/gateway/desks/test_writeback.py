"""What an answer writes to a desk, on a real HTTP server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from frontdesk.errors import FrontdeskError, UsageError, WriteBackFailed
from frontdesk.serving.gateway.desks import Change, Desk
from frontdesk.serving.gateway.desks.configuration import load_desks, read_secret
from frontdesk.serving.gateway.desks.outgoing import require_allowed
from frontdesk.serving.gateway.desks.writeback import plan_change, write_back
from tests.gateway.desks.fake_api import Api, fake_api
from tests.gateway.desks.signing import desk

HOSTS = ("127.0.0.1",)


def said(label: str, confidence: float, decision: str, level: str | None = None) -> dict[str, Any]:
    """Return one head's answer."""
    alternatives = [{"label": f"other {place}", "confidence": 0.1 / place} for place in (1, 2, 3)]
    answer = {
        "label": label,
        "confidence": confidence,
        "alternatives": alternatives,
        "decision": decision,
        "reason": "x",
    }
    return answer | ({} if level is None else {"level": level})


@pytest.fixture
def api() -> Iterator[Api]:
    """A desk's API."""
    with fake_api() as made:
        yield made


def writer(name: str, api: Api, **more: Any) -> Desk:
    """Return a desk that writes to the API."""
    target = {"address": api.address, "token_file": "unused", "account": "7", "seconds": 10, **more}
    return desk(name, token="the token", write_back=target)


def write(name: str, api: Api, change: Change, **more: Any) -> None:
    """Write a change."""
    assert asyncio.run(write_back(writer(name, api, **more), change, HOSTS))


CHANGE = Change("17", {"37": "Billing > Refund"}, ("frontdesk", "frontdesk-automatic"), "Frontdesk suggests\nreply: r1")


def test_levels_decide_what_is_set_and_what_is_only_named() -> None:
    zendesk = desk("zendesk", labels={"contact_type": {"field": "1", "separator": "::"}, "reply": {"field": "2"}})
    answer = {"labels": {"contact_type": said("A > B", 0.99, "auto"), "reply": said("r1", 0.6, "suggest", "preselect")}}
    change = plan_change(zendesk, "17", answer)
    assert change.fields == {"1": "A::B"}
    assert change.note == "Frontdesk suggests\nreply: r1 (60 %), other 1 (10 %), other 2 (5 %)"
    assert change.tags == ("frontdesk", "frontdesk-preselect")
    lower = {"write_back": {"address": "http://x", "token_file": "x", "level": "preselect"}}
    eager = desk("zendesk", labels={"contact_type": {"field": "1"}, "reply": {"field": "2"}}, **lower)
    assert plan_change(eager, "17", answer).fields == {"1": "A > B", "2": "r1"}
    silent = plan_change(zendesk, "17", {"labels": {"contact_type": said("A > B", 0.2, "abstain")}})
    assert silent == Change("17", {}, ("frontdesk", "frontdesk-none"), None)


def test_zendesk(api: Api) -> None:
    write("zendesk", api, CHANGE, account="robot@acme.example")
    ticket = {
        "custom_fields": [{"id": 37, "value": "Billing > Refund"}],
        "comment": {"body": CHANGE.note, "public": False},
    }
    assert api.said() == [
        ("PUT", "/api/v2/tickets/17.json", {"ticket": ticket}),
        ("PUT", "/api/v2/tickets/17/tags.json", {"tags": ["frontdesk", "frontdesk-automatic"]}),
    ]
    known = "Basic " + base64.b64encode(b"robot@acme.example/token:the token").decode()
    assert {call.headers["authorization"] for call in api.calls} == {known}


def test_zammad(api: Api) -> None:
    write("zammad", api, Change("17", {"category": "A::B"}, ("frontdesk",), "words"))
    article = {
        "subject": "Frontdesk",
        "body": "words",
        "content_type": "text/plain",
        "type": "note",
        "internal": True,
    }
    assert api.said() == [
        ("PUT", "/api/v1/tickets/17", {"category": "A::B", "article": article}),
        ("POST", "/api/v1/tags/add", {"item": "frontdesk", "object": "Ticket", "o_id": 17}),
    ]
    assert api.calls[0].headers["authorization"] == "Token token=the token"


def test_chatwoot_keeps_what_is_there(api: Api) -> None:
    place = "/api/v1/accounts/7/conversations/17"
    api.answers[("GET", place)] = {"custom_attributes": {"plan": "gold", "37": "old"}}
    api.answers[("GET", f"{place}/labels")] = {"payload": ["vip", "frontdesk"]}
    write("chatwoot", api, CHANGE)
    sent = [call for call in api.said() if call[0] == "POST"]
    assert sent == [
        ("POST", f"{place}/custom_attributes", {"custom_attributes": {"plan": "gold", "37": "Billing > Refund"}}),
        ("POST", f"{place}/messages", {"content": CHANGE.note, "message_type": "outgoing", "private": True}),
        ("POST", f"{place}/labels", {"labels": ["vip", "frontdesk", "frontdesk-automatic"]}),
    ]
    assert api.calls[0].headers["api_access_token"] == "the token"


def test_freescout_keeps_the_tags_that_are_there(api: Api) -> None:
    api.answers[("GET", "/api/conversations/17")] = {"_embedded": {"tags": [{"id": 1, "name": "vip"}]}}
    write("freescout", api, CHANGE)
    assert [call for call in api.said() if call[0] != "GET"] == [
        ("PUT", "/api/conversations/17/custom_fields", {"customFields": [{"id": 37, "value": "Billing > Refund"}]}),
        ("POST", "/api/conversations/17/threads", {"type": "note", "text": CHANGE.note, "user": 7}),
        ("PUT", "/api/conversations/17/tags", {"tags": ["vip", "frontdesk", "frontdesk-automatic"]}),
    ]
    assert api.calls[0].headers["x-freescout-api-key"] == "the token"


def test_the_generic_desk_gets_one_signed_request(api: Api) -> None:
    address = api.address
    api.address = f"{address}/hooks/in"
    write("generic", api, CHANGE)
    (call,) = api.calls
    stamp = call.headers["x-frontdesk-timestamp"]
    made = hmac.new(b"the token", stamp.encode() + b"." + call.raw, hashlib.sha256).hexdigest()
    assert call.headers["x-frontdesk-signature"] == f"sha256={made}"
    assert call.path == "/hooks/in"
    assert call.body == {"case": "17", "fields": CHANGE.fields, "tags": list(CHANGE.tags), "note": CHANGE.note}


def test_a_passing_failure_is_tried_again_and_a_note_only_where_it_was_not_taken(api: Api) -> None:
    api.first = [(503, {}), (429, {"Retry-After": "0"}), (502, {})]
    write("zendesk", api, CHANGE)
    assert [call.method for call in api.calls] == ["PUT"] * 5
    api.calls.clear()
    api.first = [(503, {})]
    write("generic", api, CHANGE)
    assert len(api.calls) == 2
    api.calls.clear()
    api.first = [(502, {})]
    with pytest.raises(WriteBackFailed, match="502"):
        write("generic", api, CHANGE)
    assert len(api.calls) == 1


def test_what_is_refused_for_good_is_not_tried_again(api: Api) -> None:
    for status in (400, 401, 404, 422, 500):
        api.calls.clear()
        api.first = [(status, {})]
        with pytest.raises(WriteBackFailed, match=str(status)):
            write("zammad", api, CHANGE)
        assert len(api.calls) == 1
    api.calls.clear()
    api.first = [(503, {})] * 9
    with pytest.raises(WriteBackFailed):
        write("zendesk", api, CHANGE)
    assert len(api.calls) == 4


def test_a_redirect_is_never_followed(api: Api) -> None:
    with fake_api() as elsewhere:
        for status in (301, 302, 307, 308):
            api.first = [(status, {"Location": f"{elsewhere.address}/steal"})]
            with pytest.raises(WriteBackFailed, match="redirects are never followed"):
                write("zendesk", api, CHANGE)
        assert not elsewhere.calls


def test_a_desk_that_hangs_costs_no_more_than_its_time(api: Api) -> None:
    api.hang = threading.Event()
    with pytest.raises(WriteBackFailed, match="time for writing"):
        write("zendesk", api, CHANGE, seconds=0.3)
    assert len(api.calls) == 1


def test_a_desk_that_is_down_fails_with_its_host_and_no_text(api: Api) -> None:
    down = writer("zendesk", api)
    target = down.configuration.write_back
    assert target is not None
    closed = desk(
        "zendesk", token="t", write_back={**target.model_dump(), "address": "http://127.0.0.1:1", "seconds": 2}
    )
    with pytest.raises(WriteBackFailed) as failure:
        asyncio.run(write_back(closed, CHANGE, HOSTS))
    assert failure.value.where == "127.0.0.1"
    assert "Refund" not in str(failure.value)


def test_the_environment_names_no_proxy(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    write("zammad", api, Change("17", {"a": "b"}, (), None))
    assert len(api.calls) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://desk.example",
        "https://other.example",
        "https://desk.example.evil.example",
        "https://user:word@desk.example",
        "https://desk.example?x=1",
        "https://evil.example#@desk.example",
        "ftp://desk.example",
        "file:///etc/passwd",
        "//desk.example",
        "http://169.254.169.254",
        "http://127.0.0.1",
        "https://",
        "https://[::1",
        "",
    ],
)
def test_only_listed_hosts_are_called(address: str) -> None:
    with pytest.raises(UsageError):
        require_allowed(address, ["desk.example"])


def test_listed_hosts_are_called() -> None:
    assert require_allowed("https://desk.example", ["desk.example"]).host == "desk.example"
    assert require_allowed("http://127.0.0.1:8080", ["127.0.0.1"]).port == 8080


GOOD = """
version: "1"
allowed_hosts: [acme.zendesk.com]
desks:
  zendesk:
    secret_files: [one, two]
    labels: {contact_type: {field: "1"}}
    write_back: {address: "https://acme.zendesk.com", token_file: token}
  old-crm: {kind: generic, recipe: email, secret_files: [three]}
"""


def test_the_file_of_desks(tmp_path: Path) -> None:
    path = tmp_path / "desks.yaml"
    path.write_text(GOOD)
    desks = load_desks(path)
    assert {name: found.kind for name, found in desks.desks.items()} == {"zendesk": "zendesk", "old-crm": "generic"}
    for old, new, words in [
        ("acme.zendesk.com]", "other.example]", "allowed_hosts"),
        ("kind: generic", "kind: jira", "desks.old-crm.kind"),
        ("kind: generic", "knid: generic", "desks.old-crm"),
        ("recipe: email", "recipe: intent", "desks.old-crm.recipe"),
        ("[one, two]", "[]", "secret_files"),
        ('version: "1"', "version: [", "YAML"),
        ("old-crm:", "Old CRM:", "desks"),
        (GOOD, "- a", ""),
    ]:
        path.write_text(GOOD.replace(old, new))
        with pytest.raises(FrontdeskError) as failure:
            load_desks(path)
        assert words in str(failure.value)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"s3cret\n")
    assert read_secret(path) == b"s3cret"
    path.write_bytes(b" \n")
    for bad in (path, tmp_path / "absent"):
        with pytest.raises(UsageError):
            read_secret(bad)
