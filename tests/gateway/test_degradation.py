"""Model servers that are down, slow or wrong: answers degrade, say so, are logged and counted; nothing is a 500."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import orjson
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from frontdesk.database import open_database
from frontdesk.database.exports import export_log
from frontdesk.database.keys import SCOPES, create_key
from frontdesk.database.predictions import count_predictions
from frontdesk.serving.gateway.app import create_app
from frontdesk.serving.gateway.assignment import Arm
from frontdesk.serving.gateway.predicting import is_holdout
from frontdesk.serving.gateway.settings import GatewaySettings
from tests.gateway.desk import EMAILS, INTENTS, TICKETS, Stack, problem


class _Faulty(BaseHTTPRequestHandler):
    """Answers as the path's server is told to."""

    protocol_version = "HTTP/1.1"
    status, content = 500, b"Traceback (most recent call last): secret"
    seen: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def faulty() -> Iterator[tuple[str, type[_Faulty]]]:
    """A server that fails, and the class whose attributes say how."""
    kind = type("Faulty", (_Faulty,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", kind
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class Asked:
    """A gateway in this process in front of one model server.

    Args:
        url: of the server of every recipe.
    """

    def __init__(self, folder: Path, url: str, assignment: object = None, **changes: object) -> None:
        self.database = open_database(f"sqlite:///{folder / 'desk.db'}")
        self.database.upgrade()
        key = create_key(self.database, "test", SCOPES).text
        settings = GatewaySettings(**{"suggest_seconds": 0.5, "batch_seconds": 0.5, **changes})  # type: ignore[arg-type]
        app = create_app(settings, self.database, dict.fromkeys(("email", "ticket", "intent"), url), assignment)  # type: ignore[arg-type]
        self.client = TestClient(app, headers={"authorization": f"Bearer {key}"})

    def __enter__(self) -> Asked:
        self.client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.__exit__(None, None, None)
        self.database.close()


def check_degraded(asked: Asked) -> None:
    for route, heads in ((EMAILS, {"business_line", "queue", "topic"}), (TICKETS, {"contact_type", "reply"})):
        response = asked.client.post(route, json={"instances": [{"id": 1}, {"id": 2}]})
        assert response.status_code == 200, response.text
        for answer in response.json()["predictions"]:
            assert answer["degraded"]
            assert answer["model_id"] is None
            assert answer["labels"].keys() == heads
            assert {(one["label"], one["decision"], one["reason"]) for one in answer["labels"].values()} == {
                (None, "abstain", "model_unavailable")
            }
    (answer,) = asked.client.post(INTENTS, json={"instances": [{"session": "s"}]}).json()["predictions"]
    assert (answer["source"], answer["degraded"]) == ("default", True)
    assert count_predictions(asked.database) == 5
    metrics = asked.client.get("/metrics").text
    assert 'frontdesk_gateway_predictions_total{outcome="degraded",recipe="ticket"}' in metrics


def test_no_server(tmp_path: Path) -> None:
    with Asked(tmp_path, "http://127.0.0.1:9") as asked:
        check_degraded(asked)


def test_a_server_that_never_answers(tmp_path: Path, silent: str) -> None:
    with Asked(tmp_path, silent) as asked:
        check_degraded(asked)


def test_a_server_that_fails(tmp_path: Path, faulty: tuple[str, type[_Faulty]]) -> None:
    with Asked(tmp_path, faulty[0]) as asked:
        check_degraded(asked)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"predictions": []}', b'{"predictions": [3]}', b"<html>"])
def test_a_server_that_talks_nonsense(tmp_path: Path, faulty: tuple[str, type[_Faulty]], content: bytes) -> None:
    url, kind = faulty
    kind.status, kind.content = 200, content
    with Asked(tmp_path, url) as asked:
        (answer,) = asked.client.post(TICKETS, json={"instances": [{}]}).json()["predictions"]
        assert answer["degraded"]


def test_what_goes_on_to_the_model_server(tmp_path: Path, faulty: tuple[str, type[_Faulty]]) -> None:
    """The trace and the request's id; never the caller's credentials."""
    url, kind = faulty
    kind.status, kind.content = 200, b'{"predictions": [{"model_id": "m", "labels": {}}]}'
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "mine"}
    with Asked(tmp_path, url) as asked:
        response = asked.client.post(TICKETS, json={"instances": [{}]}, headers={**trace, "cookie": "secret"})
        assert response.status_code == 200
    (seen,) = kind.seen
    assert {name: seen[name] for name in trace} == trace
    assert not seen.keys() & {"authorization", "x-api-key", "cookie"}


def test_a_request_without_an_id_gets_one_for_both_servers(tmp_path: Path, faulty: tuple[str, type[_Faulty]]) -> None:
    with Asked(tmp_path, faulty[0]) as asked:
        response = asked.client.post(TICKETS, json={"instances": [{}]})
    assert faulty[1].seen[0]["x-request-id"] == response.headers["x-request-id"]


def test_a_busy_server(tmp_path: Path, faulty: tuple[str, type[_Faulty]]) -> None:
    url, kind = faulty
    kind.status, kind.content = 429, b'{"error": "32 requests are waiting", "code": "overloaded"}'
    with Asked(tmp_path, url, suggest_seconds=5.0) as asked:
        assert problem(asked.client.post(TICKETS, json={"instances": [{}]})) == (429, "overloaded")
        assert count_predictions(asked.database) == 0


def test_refusal_where_the_desk_wants_it(tmp_path: Path) -> None:
    with Asked(tmp_path, "http://127.0.0.1:9", without_model="refuse") as asked:
        headers = {"idempotency-key": "again"}
        for _ in range(8):  # more often than the breaker lets through
            response = asked.client.post(TICKETS, json={"instances": [{}]}, headers=headers)
            assert problem(response) == (503, "unavailable")
        assert problem(asked.client.post(EMAILS, json={"instances": [{}]})) == (503, "unavailable")
        assert asked.client.post(INTENTS, json={"instances": [{}]}).status_code == 200
        assert count_predictions(asked.database) == 1


def test_a_lost_database_is_no_answer(tmp_path: Path) -> None:
    """An answer that is not in the log does not leave."""
    with Asked(tmp_path, "http://127.0.0.1:9") as asked:
        assert asked.client.post(TICKETS, json={"instances": [{}]}).status_code == 200
        asked.database.downgrade("base")
        assert problem(asked.client.post(TICKETS, json={"instances": [{}]})) == (503, "storage")
        assert problem(asked.client.get("/readyz")) == (503, "not_ready")
        assert asked.client.get("/healthz").status_code == 200


def test_a_client_that_asks_too_often(tmp_path: Path) -> None:
    with Asked(tmp_path, "http://127.0.0.1:9", requests_per_second=0.2, burst=2) as asked:
        codes = [asked.client.get("/v1/lines/x/config").status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        response = asked.client.get("/v1/lines/x/config")
        assert problem(response) == (429, "rate_limited")
        assert 1 <= int(response.headers["retry-after"]) <= 5


def test_the_gateway_takes_so_many_at_a_time(tmp_path: Path, silent: str) -> None:
    with Asked(tmp_path, silent, concurrent=1, suggest_seconds=2.0) as asked:
        first = threading.Thread(target=lambda: asked.client.post(TICKETS, json={"instances": [{}]}))
        first.start()
        deadline = time.monotonic() + 10
        while asked.client.app.state.gateway.places.taken == 0:  # type: ignore[attr-defined]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert problem(asked.client.post(TICKETS, json={"instances": [{}]})) == (429, "overloaded")
        assert asked.client.get("/healthz").status_code == 200
        first.join()


def test_cases_without_suggestions(desk: Stack, tmp_path: Path) -> None:
    """The same case always, and never shown; the log has what the model said."""
    cases = [f"c{place}" for place in range(60)]
    with Asked(tmp_path, desk.told["models"]["ticket"], holdout_share=0.5, suggest_seconds=30.0) as asked:
        body = {"instances": [{"id": case, "subject": "refund"} for case in cases] + [{"subject": "no case"}]}
        answers = asked.client.post(TICKETS, json=body).json()["predictions"]
        again = asked.client.post(TICKETS, json=body).json()["predictions"]
        held = [answer["holdout"] for answer in answers]
        assert held == [answer["holdout"] for answer in again]
        assert held == [is_holdout("ticket", case, 0.5) for case in cases] + [False]
        assert 10 < sum(held) < 50
        for answer in answers:
            labels = {one["label"] for one in answer["labels"].values()}
            assert (labels == {None}) is answer["holdout"]
            assert answer["model_id"]
        export_log(asked.database, tmp_path / "log.parquet")
        logged = pq.read_table(tmp_path / "log.parquet").to_pylist()
        assert [row["holdout"] for row in logged] == held * 2
        assert all(orjson.loads(row["labels"])["contact_type"]["label"] for row in logged)


class _Halves:
    """Assigns by the last digit of the case."""

    def assign(self, recipe: str, units: Mapping[str, str | None]) -> Arm | None:
        """Return the arm; one of them asks for a model that is not served."""
        if (case := units["case"]) is None:
            return None
        return Arm("trial", "new", "ticket-unknown") if int(case) % 2 else Arm("trial", "old")

    def refresh(self) -> None:
        """Know everything already."""


def test_the_arm_chooses_the_model_and_is_logged(desk: Stack, tmp_path: Path) -> None:
    with Asked(tmp_path, desk.told["models"]["ticket"], _Halves(), suggest_seconds=30.0) as asked:
        body = {"instances": [{"id": place, "subject": "refund"} for place in range(4)] + [{"subject": "no case"}]}
        answers = asked.client.post(TICKETS, json=body).json()["predictions"]
        assert [answer.get("arm") for answer in answers] == ["old", "new", "old", "new", None]
        assert [answer["degraded"] for answer in answers] == [False, True, False, True, False]
        with asked.database.reading() as connection:
            found = connection.execute(sa.text("SELECT experiment, arm FROM predictions ORDER BY place")).all()
        assert [tuple(row) for row in found] == [("trial", "old"), ("trial", "new")] * 2 + [(None, None)]


def test_masked_texts_are_kept_where_the_desk_wants_them(desk: Stack, tmp_path: Path) -> None:
    mail = {"subject": "IBAN DE89 3704 0044 0532 0130 00", "body": "Ruf mich an", "custodian_bank": "Isar"}
    with Asked(tmp_path, desk.told["models"]["email"], log_text="masked", batch_seconds=30.0) as asked:
        assert asked.client.post(EMAILS, json={"instances": [mail]}).status_code == 200
        with asked.database.reading() as connection:
            row = connection.execute(sa.text("SELECT features, inputs, characters FROM predictions")).one()
    assert row.features == '{"custodian_bank": "Isar"}'
    assert "maskediban" in row.inputs
    assert "3704" not in row.inputs
    assert row.characters == len(mail["subject"]) + len(mail["body"])
