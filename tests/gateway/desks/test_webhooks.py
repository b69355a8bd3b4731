"""Webhooks through a running gateway: kept once, answered at once, worked on whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontdesk.database.deliveries import count_deliveries
from frontdesk.database.keys import create_key
from frontdesk.database.tables import Delivery, FeedbackEvent, Outcome, Prediction
from frontdesk.errors import UsageError
from tests.gateway.desks.fake_api import Api, fake_api
from tests.gateway.desks.running import ModelServer, Running, model_server, running_gateway, wait_for
from tests.gateway.desks.signing import NAMES, SECRET, as_bytes, fixture, requests, signed


@pytest.fixture
def models() -> Iterator[ModelServer]:
    """A model server."""
    with model_server() as server:
        yield server


@pytest.fixture
def api() -> Iterator[Api]:
    """The API of every desk."""
    with fake_api() as made:
        yield made


def write_desks(folder: Path, api: Api | None) -> str:
    """Write the file of desks with one secret and token for all; return its path."""
    (folder / "secret").write_bytes(SECRET + b"\n")
    (folder / "token").write_text("the token\n")
    desks: dict[str, Any] = {}
    for name in NAMES:
        desks[name] = fixture(name)["configuration"] | {"secret_files": ["secret"], "recipe": "ticket"}
        if api is not None:
            desks[name]["write_back"] = {"address": api.address, "token_file": "token", "account": "7"}
    content = {"version": "1", "allowed_hosts": ["127.0.0.1"], "desks": desks}
    (folder / "desks.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "desks.yaml")


def send(gateway: Running, name: str, request: dict[str, Any], **more: Any) -> httpx.Response:
    """Send a golden request, signed now."""
    body = more.pop("body", None) or as_bytes(request["body"])
    headers = signed(name, request["headers"] | more.pop("headers", {}), body, at=more.pop("at", datetime.now(UTC)))
    headers |= {"content-type": "application/json"}
    return gateway.client.post(f"/v1/webhooks/{name}", content=body, headers=headers | more)


def rows(gateway: Running, table: Any) -> list[Any]:
    """Return the rows of a table."""
    with gateway.database.reading() as connection:
        return list(connection.execute(sa.select(table)))


def settled(gateway: Running) -> dict[tuple[str, str], int]:
    """Wait until nothing waits; return how many deliveries ended how."""
    return wait_for(
        lambda: (found := count_deliveries(gateway.database)) and all(s != "waiting" for _, s in found) and found
    )


def test_a_case_is_answered_and_closed_by_every_desk(tmp_path: Path, models: ModelServer, api: Api) -> None:
    with running_gateway(tmp_path, {"ticket": models.address}, desks=write_desks(tmp_path, api)) as gateway:
        for name, request in requests():
            answer = send(gateway, name, request)
            kind = request["expect"]["kind"]
            assert answer.status_code == 202, answer.text
            assert answer.json()["status"] == ("ignored" if kind == "ignored" else "accepted"), request["name"]
            assert answer.json().get("reason") == request["expect"].get("reason")
        done = settled(gateway)
        opened = [name for name, request in requests() if request["expect"]["kind"] == "opened"]
        assert {state for _, state in done} == {"done"}
        assert len(models.asked) == len(opened)
        assert all("id" not in instance for instance in models.asked)
        predictions = rows(gateway, Prediction)
        assert {row.client for row in predictions} == {f"desk:{name}" for name in NAMES}
        outcomes = {row.case_id: row for row in rows(gateway, Outcome)}
        assert outcomes["zammad:81"].labels["contact_type"]["label"] == "Machines > Coffee"
        assert outcomes["zammad:81"].shown_at is not None
        assert outcomes["generic:A-1"].labels["queue"]["label"] == "Depot Nord"
        assert {row.case_id for row in predictions} >= {"zammad:81", "chatwoot:207", "freescout:17"}
        assert ("PUT", "/api/v1/tickets/81", {"category": "Billing::Refund"}) in api.said()
        assert all(row.event is None for row in rows(gateway, Delivery))


def test_a_delivery_counts_once_also_after_a_restart(tmp_path: Path, models: ModelServer, api: Api) -> None:
    file = write_desks(tmp_path, api)
    first = fixture("zammad")["requests"][0]
    again = {"X-Zammad-Delivery": "another id, the same thing"}
    with running_gateway(tmp_path, {"ticket": models.address}, desks=file) as gateway:
        assert send(gateway, "zammad", first).json() == {"status": "accepted"}
        assert send(gateway, "zammad", first).json() == {"status": "duplicate"}
        assert send(gateway, "zammad", first, headers=again).json() == {"status": "duplicate"}
        settled(gateway)
    with running_gateway(tmp_path, {"ticket": models.address}, desks=file) as gateway:
        assert send(gateway, "zammad", first).json() == {"status": "duplicate"}
        assert send(gateway, "zammad", first, headers=again).json() == {"status": "duplicate"}
        assert len(rows(gateway, Prediction)) == 1
    assert len(models.asked) == 1


def test_what_was_accepted_is_done_after_a_restart(tmp_path: Path, models: ModelServer, api: Api) -> None:
    file = write_desks(tmp_path, api)
    models.down = True
    with running_gateway(tmp_path, {"ticket": models.address}, desks=file) as gateway:
        assert send(gateway, "zammad", fixture("zammad")["requests"][0]).status_code == 202
        wait_for(lambda: [row for row in rows(gateway, Delivery) if row.reason == "unavailable"])
    models.down = False
    with running_gateway(tmp_path, {"ticket": models.address}, desks=file) as gateway:
        assert settled(gateway) == {("zammad", "done"): 1}
        assert len(rows(gateway, Prediction)) == 1
    assert api.said()[0][1] == "/api/v1/tickets/81"


def test_a_write_back_that_fails_is_tried_again_without_another_prediction(
    tmp_path: Path, models: ModelServer, api: Api
) -> None:
    api.first = [(500, {})]
    with running_gateway(tmp_path, {"ticket": models.address}, desks=write_desks(tmp_path, api)) as gateway:
        send(gateway, "zendesk", fixture("zendesk")["requests"][0])
        assert settled(gateway) == {("zendesk", "done"): 1}
        (delivery,) = rows(gateway, Delivery)
        assert delivery.attempts == 2
        assert len(rows(gateway, Prediction)) == 1
    assert len(models.asked) == 1
    assert [call.path for call in api.calls] == [
        "/api/v2/tickets/35436.json",
        "/api/v2/tickets/35436.json",
        "/api/v2/tickets/35436/tags.json",
    ]


def test_our_own_writes_come_back_and_end_there(tmp_path: Path, models: ModelServer, api: Api) -> None:
    with running_gateway(tmp_path, {"ticket": models.address}, desks=write_desks(tmp_path, api)) as gateway:
        first = fixture("zammad")["requests"][0]
        send(gateway, "zammad", first)
        settled(gateway)
        written = next(body for method, path, body in api.said() if path == "/api/v1/tickets/81")
        echo = {**first["body"], "ticket": {**first["body"]["ticket"], **written}}
        by_us = {**echo, "ticket": {**echo["ticket"], "updated_by_id": 42}}
        marked = {**echo, "ticket": {**echo["ticket"], "tags": ["frontdesk"]}}
        told = [
            send(gateway, "zammad", first, body=as_bytes(body), headers={"X-Zammad-Delivery": name}).json()
            for name, body in (("e1", echo), ("e2", by_us), ("e3", marked))
        ]
        assert told == [
            {"status": "duplicate"},
            {"status": "ignored", "reason": "own_write"},
            {"status": "ignored", "reason": "handled"},
        ]
    assert len(models.asked) == 1


def test_refusals_are_problem_documents(tmp_path: Path, models: ModelServer) -> None:
    with running_gateway(tmp_path, {"ticket": models.address}, desks=write_desks(tmp_path, None)) as gateway:
        good = fixture("zendesk")["requests"][0]
        answers = {
            "bad_signature": gateway.client.post("/v1/webhooks/zendesk", json=good["body"]),
            "not_found": gateway.client.post("/v1/webhooks/jira", json={}),
            "method_not_allowed": gateway.client.get("/v1/webhooks/zendesk"),
            "invalid_request": send(gateway, "zendesk", good, body=b"[]"),
            "unsupported_media_type": send(gateway, "zendesk", good, **{"content-type": "text/plain"}),
            "too_large": gateway.client.post("/v1/webhooks/zendesk", json={"x": "y" * 9_000_000}),
        }
        statuses = {code: answer.status_code for code, answer in answers.items()}
        assert statuses == {
            "bad_signature": 401,
            "not_found": 404,
            "method_not_allowed": 405,
            "invalid_request": 400,
            "unsupported_media_type": 415,
            "too_large": 413,
        }
        assert {answer.json()["code"] for answer in answers.values()} == set(answers)
        old = send(gateway, "zendesk", good, at=datetime.now(UTC) - timedelta(hours=1))
        assert (old.status_code, old.json()["code"]) == (401, "bad_signature")
        assert not rows(gateway, Delivery)
        assert not rows(gateway, FeedbackEvent)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose model is gone."""
    folder = tmp_path_factory.mktemp("gateway")
    file = write_desks(folder, None)
    with running_gateway(folder, {"ticket": "http://127.0.0.1:1"}, desks=file) as running:
        yield running


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_no_signed_body_is_a_fault_of_ours(gateway: Running, data: st.DataObject, name: str) -> None:
    request = data.draw(st.sampled_from(fixture(name)["requests"]))
    part = data.draw(st.sampled_from(sorted(request["body"])))
    body = as_bytes(request["body"] | {part: data.draw(JSON)}) if data.draw(st.booleans()) else data.draw(st.binary())
    answer = send(gateway, name, request, body=body or b" ")
    assert answer.status_code in (202, 400)


def test_a_gateway_does_not_start_with_desks_that_are_wrong(tmp_path: Path) -> None:
    file = Path(write_desks(tmp_path, None))
    (tmp_path / "secret").write_text("")
    with pytest.raises(UsageError, match="empty"), running_gateway(tmp_path, {}, desks=str(file)):
        pass


def test_tickets_are_answered_with_who_should_take_them(tmp_path: Path, models: ModelServer) -> None:
    agents = tmp_path / "agents.yaml"
    agents.write_text('version: "1"\nagents: {anna: {nodes: [Billing]}, ben: {nodes: [Hardware]}}')
    with running_gateway(tmp_path, {"ticket": models.address}, agents=str(agents)) as gateway:
        key = create_key(gateway.database, "crm", ("tickets",))
        headers = {"authorization": f"Bearer {key.text}"}
        body = {"instances": [{"id": "1", "subject": "refund"}]}
        (answer,) = gateway.client.post("/v1/tickets:suggest", json=body, headers=headers).json()["predictions"]
        assert answer["agents"] == [{"agent": "anna", "skill": pytest.approx(0.985), "node": "Billing"}]
