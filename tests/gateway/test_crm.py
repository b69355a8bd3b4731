"""A scripted CRM: batches, wrong bodies, wrong keys, repetitions, hang-ups. Rows in the log = answered mails."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from frontdesk.simulation.emails import simulate
from tests.gateway.desk import EMAILS, FEEDBACK, INTENTS, TICKETS, Stack, client_of, problem

CANARY = "zxqcanaryqxz"


@pytest.fixture(scope="module")
def mails() -> list[dict[str, Any]]:
    """200 mails as a CRM sends them."""
    rows = simulate(200, seed=11).select(["id", "subject", "body", "custodian_bank"]).to_pylist()
    return [row | {"body": f"{row['body']} {CANARY}"} for row in rows]


def test_a_batch_is_answered_in_order_and_logged(desk: Stack, mails: list[dict[str, Any]]) -> None:
    before = desk.log_rows()
    response = desk.client.post(EMAILS, json={"instances": mails})
    assert response.status_code == 200, response.text
    answers = response.json()["predictions"]
    assert len(answers) == 200
    assert desk.log_rows() == before + 200
    assert len({answer["prediction_id"] for answer in answers}) == 200
    for place in (0, 49, 50, 77, 199):
        (alone,) = desk.client.post(EMAILS, json={"instances": [mails[place]]}).json()["predictions"]
        assert alone["labels"].keys() == answers[place]["labels"].keys()
        for head, said in alone["labels"].items():
            assert said["label"] == answers[place]["labels"][head]["label"]
            assert said["confidence"] == pytest.approx(answers[place]["labels"][head]["confidence"], abs=1e-4)
    assert {answer["degraded"] for answer in answers} == {answer["holdout"] for answer in answers} == {False}


def test_wrong_mails_get_errors_of_their_own(desk: Stack, mails: list[dict[str, Any]]) -> None:
    wrong = {3: {"subject": 3}, 60: {"sender": "x"}, 61: {"id": []}, 119: {"body": ["x"]}}
    batch = [wrong.get(place, mail) for place, mail in enumerate(mails[:120])]
    before = desk.log_rows()
    answers = desk.client.post(EMAILS, json={"instances": batch}).json()["predictions"]
    assert {place for place, answer in enumerate(answers) if "error" in answer} == set(wrong)
    assert [answers[place]["error"]["where"] for place in wrong] == [
        "instances[3].subject",
        "instances[60].sender",
        "instances[61].id",
        "instances[119].body",
    ]
    assert {answers[place]["error"]["code"] for place in wrong} == {"invalid_request"}
    assert desk.log_rows() == before + 116


def test_a_part_of_wrong_mails_only(desk: Stack, mails: list[dict[str, Any]]) -> None:
    """The model server refuses a part as a whole where nothing of it is right."""
    batch = mails[:50] + [{"subject": place} for place in range(50)] + mails[50:60]
    answers = desk.client.post(EMAILS, json={"instances": batch}).json()["predictions"]
    assert ["error" in answer for answer in answers] == [False] * 50 + [True] * 50 + [False] * 10
    assert answers[99]["error"]["where"] == "instances[99].subject"


def test_all_or_nothing_where_asked(desk: Stack, mails: list[dict[str, Any]]) -> None:
    before = desk.log_rows()
    batch = {"instances": [*mails[:70], {"subject": 3}], "parameters": {"on_error": "refuse"}}
    response = desk.client.post(EMAILS, json=batch)
    assert problem(response) == (400, "invalid_request")
    assert response.json()["where"] == "instances[70].subject"
    response = desk.client.post(EMAILS, json={"instances": [{"subject": 1}, {"subject": 2}]})
    assert problem(response) == (400, "invalid_request")
    assert response.json()["where"] == "instances[0].subject"
    assert desk.log_rows() == before


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([], ""),
        ({}, "instances"),
        ({"instances": {}}, "instances"),
        ({"instances": []}, "instances"),
        ({"instances": ["x"]}, "instances[0]"),
        ({"instances": [{}] * 501}, "instances"),
        ({"instances": [{}], "parameters": {"on_error": "maybe"}}, "parameters.on_error"),
        ({"instances": [{}], "emails": []}, "emails"),
        ({"instances": [{"id": "a\u0000b"}]}, "instances[0].id"),
        ({"instances": [{"id": "x" * 201}]}, "instances[0].id"),
    ],
)
def test_wrong_bodies_name_the_field(desk: Stack, body: Any, where: str) -> None:
    before = desk.log_rows()
    response = desk.client.post(EMAILS, json=body)
    assert problem(response) == (400, "invalid_request")
    assert response.json().get("where", "") == where
    assert desk.log_rows() == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b'{"instances": [NaN]}', b'"\\ud800"'])
def test_what_is_not_json(desk: Stack, content: bytes) -> None:
    response = desk.client.post(EMAILS, content=content, headers={"content-type": "application/json"})
    assert problem(response) == (400, "invalid_request")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize("route", [EMAILS, TICKETS, INTENTS, FEEDBACK])
def test_other_content_types(desk: Stack, route: str, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    assert problem(desk.client.post(route, content=b"{}", headers=headers)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("route", [EMAILS, TICKETS, INTENTS, FEEDBACK])
def test_keys(desk: Stack, route: str) -> None:
    body = {"instances": [{}]}
    with httpx.Client(base_url=desk.told["gateway"], trust_env=False) as nobody:
        response = nobody.post(route, json=body)
        assert problem(response) == (401, "unauthorised")
        assert response.headers["www-authenticate"] == "Bearer"
        for headers in (
            {"authorization": "Bearer fd_000000000000_wrong"},
            {"authorization": "Bearer " + desk.told["key"][:-1]},
            {"authorization": "Basic " + desk.told["key"]},
            {"x-api-key": "x" * 10_000},
            {"authorization": "Bearer a.b.c"},
        ):
            assert problem(nobody.post(route, json=body, headers=headers)) == (401, "unauthorised")
    with client_of(desk.told["gateway"], desk.key("lines")) as little:
        assert problem(little.post(route, json=body)) == (403, "forbidden")
        assert little.get("/v1/lines/cards/config").status_code == 200


def test_both_headers_take_a_key(desk: Stack, mails: list[dict[str, Any]]) -> None:
    with httpx.Client(base_url=desk.told["gateway"], trust_env=False) as client:
        response = client.post(EMAILS, json={"instances": mails[:1]}, headers={"x-api-key": desk.told["key"]})
    assert response.status_code == 200


def test_a_revoked_key_ends(desk: Stack) -> None:
    from frontdesk.database.keys import prefix_of, revoke_key

    key = desk.key("lines")
    with client_of(desk.told["gateway"], key) as client:
        assert client.get("/v1/lines/cards/config").status_code == 200
        revoke_key(desk.database, prefix_of(key) or "")
        deadline = time.monotonic() + 15
        while client.get("/v1/lines/cards/config").status_code == 200:
            assert time.monotonic() < deadline, "a revoked key goes on"
            time.sleep(0.1)
        assert problem(client.get("/v1/lines/cards/config")) == (401, "unauthorised")


def test_a_repeated_request_has_one_effect(desk: Stack, mails: list[dict[str, Any]]) -> None:
    before, headers = desk.log_rows(), {"idempotency-key": "batch-1"}
    first = desk.client.post(EMAILS, json={"instances": mails[:20]}, headers=headers)
    again = desk.client.post(EMAILS, json={"instances": mails[:20]}, headers=headers)
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert desk.log_rows() == before + 20
    other = desk.client.post(EMAILS, json={"instances": mails[:21]}, headers=headers)
    assert problem(other) == (409, "idempotency_conflict")
    wrong = {"idempotency-key": "batch-2"}
    assert problem(desk.client.post(EMAILS, json={"instances": [{"x": 1}]}, headers=wrong))[0] == 400
    assert desk.client.post(EMAILS, json={"instances": mails[:1]}, headers=wrong).status_code == 200
    with client_of(desk.told["gateway"], desk.key("emails")) as another:  # keys are each client's own
        assert another.post(EMAILS, json={"instances": mails[:3]}, headers=headers).status_code == 200
    for bad in ("", "x" * 256, "a b"):
        response = desk.client.post(EMAILS, json={"instances": mails[:1]}, headers={"idempotency-key": bad})
        assert problem(response) == (400, "invalid_request")


def test_repetitions_at_once_have_one_effect(desk: Stack, mails: list[dict[str, Any]]) -> None:
    before, found = desk.log_rows(), []

    def post() -> None:
        with client_of(desk.told["gateway"], desk.told["key"]) as client:
            headers = {"idempotency-key": "at-once"}
            found.append(client.post(EMAILS, json={"instances": mails[:40]}, headers=headers))

    threads = [threading.Thread(target=post) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = {response.content for response in found if response.status_code == 200}
    assert len(good) == 1
    assert {problem(one) for one in found if one.status_code != 200} <= {(409, "in_flight")}
    assert desk.log_rows() == before + 40


def test_a_body_of_ten_megabytes(desk: Stack) -> None:
    content = orjson.dumps({"instances": [{"body": "x" * 10_000_000}]})
    headers = {"content-type": "application/json"}
    assert problem(desk.client.post(EMAILS, content=content, headers=headers)) == (413, "too_large")

    def unannounced() -> Any:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    assert problem(desk.client.post(EMAILS, content=unannounced(), headers=headers)) == (413, "too_large")
    assert desk.client.get("/healthz").status_code == 200


def test_a_mail_larger_than_the_model_server_reads(desk: Stack, mails: list[dict[str, Any]]) -> None:
    batch = [mails[0], {"body": "x" * 5_000_000}, mails[1]]
    answers = desk.client.post(EMAILS, json={"instances": batch}).json()["predictions"]
    assert ["error" in answer for answer in answers] == [False, True, False]
    assert answers[1]["error"]["code"] == "too_large"
    assert answers[1]["error"]["where"] == "instances[1]"


def test_a_caller_that_hangs_up_half_way(desk: Stack, mails: list[dict[str, Any]]) -> None:
    before = desk.log_rows()
    content = orjson.dumps({"instances": mails})
    address = urlsplit(desk.told["gateway"])
    head = (
        f"POST {EMAILS} HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {desk.told['key']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port), 5) as raw:
            raw.sendall(head.encode() + content[: len(content) // 2])
    assert desk.client.post(EMAILS, json={"instances": mails[:1]}).status_code == 200
    assert desk.log_rows() == before + 1
    assert "request_failed" not in desk.log.read_text()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/nothing", (404, "not_found")),
        ("GET", "/v1/models/email", (404, "not_found")),
        ("GET", EMAILS, (405, "method_not_allowed")),
        ("DELETE", "/v1/feedback", (405, "method_not_allowed")),
        ("POST", "/healthz", (405, "method_not_allowed")),
        ("GET", "/v1/lines/%00/../config", (404, "not_found")),
    ],
)
def test_other_addresses_and_methods(desk: Stack, method: str, path: str, expected: tuple[int, str]) -> None:
    response = desk.client.request(method, path)
    assert problem(response) == expected
    if expected[0] == 405:
        assert response.headers["allow"]


def test_no_customer_text_is_kept(desk: Stack, mails: list[dict[str, Any]]) -> None:
    assert desk.client.post(EMAILS, json={"instances": mails[:2]}).status_code == 200
    desk.client.post(EMAILS, json={"instances": [{"subject": CANARY, "sender": CANARY}]})
    kept = [path for path in desk.out.iterdir() if path.is_file()]
    assert len(kept) > 3
    assert [path.name for path in kept if CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in desk.client.get("/metrics").text


def test_request_ids_are_kept_or_made(desk: Stack) -> None:
    assert desk.client.get("/healthz", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"
    made = desk.client.get("/healthz", headers={"x-request-id": "not mine"}).headers["x-request-id"]
    assert made != "not mine"
    assert made.isalnum()
