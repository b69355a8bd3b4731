"""A scripted operator's screen: configuration, events, suggestions every few moments, rights, feedback."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.desk import FEEDBACK, INTENTS, GatewayProcess, Stack, client_of, problem
from tests.intent_bundles import IntentRun, as_request


@pytest.fixture(scope="module")
def rows(intent_run: IntentRun) -> list[dict[str, Any]]:
    """The rows of one session."""
    found = intent_run.test_rows()
    return [row for row in found if row["session"] == found[0]["session"]][:8]


def test_a_session(desk: Stack, rows: list[dict[str, Any]]) -> None:
    line = rows[0]["line"]
    configuration = desk.client.get(f"/v1/lines/{line}/config")
    assert configuration.status_code == 200
    settings = configuration.json()
    assert settings["line"] == line
    assert settings["trigger_events"]
    assert settings["shown"] == 6
    assert settings["shortest_interval_seconds"] >= 1
    before, previous = desk.log_rows(), []
    for size in range(1, len(rows) + 1):
        request = as_request(rows[:size], previous=previous)
        response = desk.client.post(INTENTS, json={"instances": [request]})
        assert response.status_code == 200, response.text
        (answer,) = response.json()["predictions"]
        assert answer["source"] in ("evgen", "markov", "toppop")
        assert 0 < len(answer["intents"]) <= 6
        previous = [one["id"] for one in answer["intents"]]
        unchanged = desk.client.get(
            f"/v1/lines/{line}/config", headers={"if-none-match": configuration.headers["etag"]}
        )
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        event = {
            "id": f"{answer['prediction_id']}-{size}",
            "kind": "accepted" if size % 2 else "ignored",
            "at": datetime.now(UTC).isoformat(),
            "prediction_id": answer["prediction_id"],
            "labels": {"intent": previous[0]} if size % 2 else {},
        }
        for expected in ({"applied": 1, "duplicates": 0}, {"applied": 0, "duplicates": 1}):
            said = desk.client.post(FEEDBACK, json={"source": "screen", "events": [event]})
            assert (said.status_code, said.json()) == (200, expected), said.text
        time.sleep(0.02)
    assert desk.log_rows() == before + len(rows)


def test_only_what_the_operator_may_open(desk: Stack, rows: list[dict[str, Any]]) -> None:
    (every,) = desk.client.post(INTENTS, json={"instances": [as_request(rows)]}).json()["predictions"]
    allowed = [one["id"] for one in every["intents"]][1:3]
    request = as_request(rows, rights=allowed)
    (some,) = desk.client.post(INTENTS, json={"instances": [request]}).json()["predictions"]
    assert {one["id"] for one in some["intents"]} == set(allowed)
    (none,) = desk.client.post(INTENTS, json={"instances": [request | {"rights": []}]}).json()["predictions"]
    assert none["intents"] == []


@pytest.mark.parametrize(
    ("instance", "where"),
    [
        ({"evnts": []}, "instances[1].evnts"),
        ({"events": {}}, "instances[1].events"),
        ({"events": [{"kind": "click"}]}, "instances[1].events[0].kind"),
        ({"rights": 3}, "instances[1].rights"),
        ({"session": ["x"]}, "instances[1].session"),
        ({"operator": {}}, "instances[1].operator"),
    ],
)
def test_wrong_sessions_name_the_field(desk: Stack, instance: dict[str, Any], where: str) -> None:
    before = desk.log_rows()
    response = desk.client.post(INTENTS, json={"instances": [{}, instance]})
    assert problem(response) == (400, "invalid_request")
    assert response.json()["where"] == where
    assert desk.log_rows() == before


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"kind": "liked"}, "events[0].kind"),
        ({"at": "soon"}, "events[0].at"),
        ({"at": "2025-05-05T09:00:00"}, "events[0].at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "events[0].at"),
        ({"id": ""}, "events[0].id"),
        ({"id": "a\u0000"}, "events[0].id"),
        ({"case_id": None}, "events[0]"),
        ({"prediction_id": "x"}, "events[0]"),
        ({"recipe": "fax"}, "events[0].recipe"),
        ({"recipe": None, "case_id": None, "prediction_id": "0" * 32}, "events[0].prediction_id"),
        ({"labels": {}}, "events[0]"),
        ({"labels": {"topic": ""}}, "events[0].labels.topic"),
        ({"labels": {"topic": "x" * 501}}, "events[0].labels.topic"),
        ({"labels": {"topic": 3}}, "events[0].labels.topic"),
        ({"text": "dear"}, "events[0].text"),
    ],
)
def test_wrong_feedback_names_the_field(desk: Stack, changes: dict[str, Any], where: str) -> None:
    good = {
        "id": "1", "kind": "closed", "at": "2025-05-05T09:00:00Z", "recipe": "email", "case_id": "c",
        "labels": {"topic": "Fees"},
    }  # fmt: skip
    response = desk.client.post(FEEDBACK, json={"events": [good | changes]})
    assert problem(response) == (400, "invalid_request")
    assert response.json()["where"] == where


def test_feedback_is_kept_wholly_or_not_at_all(desk: Stack) -> None:
    good = {"kind": "shown", "at": "2025-05-05T09:00:00Z", "recipe": "email", "case_id": "whole"}
    events = [good | {"id": f"w{place}"} for place in range(3)]
    response = desk.client.post(FEEDBACK, json={"events": [*events, good | {"id": "w3", "kind": "x"}]})
    assert problem(response)[0] == 400
    assert desk.client.post(FEEDBACK, json={"events": events}).json() == {"applied": 3, "duplicates": 0}


def test_the_configuration_follows_its_file(tmp_path: Path) -> None:
    """Versions, digests, a wrong file that changes nothing; and a line's own list where no model answers."""
    file = tmp_path / "lines.json"
    lines = {"cards": {"trigger_events": ["open"], "lists": {"shown": 2, "defaults": ["a", "b", "c"]}}}
    file.write_text(json.dumps({"version": 4, "lines": lines}))
    chosen = {"FRONTDESK_GATEWAY_LINES": str(file)}
    with GatewayProcess(tmp_path, {"intent": "http://127.0.0.1:9"}, chosen) as gateway:
        assert isinstance(gateway, GatewayProcess)
        first = gateway.client.get("/v1/lines/cards/config")
        assert first.json() == {
            "version": 4, "line": "cards", "trigger_events": ["open"], "context_events": None,
            "shortest_interval_seconds": 3.0, "shown": 2,
        }  # fmt: skip
        assert gateway.client.get("/v1/lines/loans/config").json()["trigger_events"] == []
        for given in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
            assert gateway.client.get("/v1/lines/cards/config", headers={"if-none-match": given}).status_code == 304
        (answer,) = gateway.client.post(INTENTS, json={"instances": [{"line": "cards", "rights": ["b", "c"]}]}).json()[
            "predictions"
        ]
        assert (answer["source"], answer["degraded"], answer["model_id"]) == ("default", True, None)
        assert [one["id"] for one in answer["intents"]] == ["b", "c"]
        file.write_text(json.dumps({"version": 0}))
        time.sleep(1.2)
        assert gateway.client.get("/v1/lines/cards/config").json()["version"] == 4
        file.write_text(json.dumps({"version": 5, "lines": lines}))
        deadline = time.monotonic() + 15
        while gateway.client.get("/v1/lines/cards/config").json()["version"] != 5:
            assert time.monotonic() < deadline, "the new file is not read"
            time.sleep(0.1)
        changed = gateway.client.get("/v1/lines/cards/config", headers={"if-none-match": first.headers["etag"]})
        assert changed.status_code == 200
        with client_of(gateway.url, gateway.key) as other:
            assert problem(other.get(f"/v1/lines/{'x' * 201}/config")) == (400, "invalid_request")
