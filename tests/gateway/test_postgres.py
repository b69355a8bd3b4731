"""The gateway on a real PostgreSQL: the same answers and rows, and a server that goes away and comes back."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pyarrow.parquet as pq

from frontdesk.database.exports import export_log
from tests.gateway.desk import EMAILS, FEEDBACK, GatewayProcess, problem
from tests.postgres_server import PostgresServer


def test_a_desk_on_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.create(f"t{uuid.uuid4().hex}")
    mails = [{"id": f"c{place}", "subject": "a\u0000b", "body": "é 🙂 \u202e"} for place in range(200)]
    with GatewayProcess(tmp_path, {"email": "http://127.0.0.1:9"}, {"FRONTDESK_DATABASE": url}) as gateway:
        assert isinstance(gateway, GatewayProcess)
        headers = {"idempotency-key": "one"}
        first = gateway.client.post(EMAILS, json={"instances": mails}, headers=headers)
        assert first.status_code == 200, first.text[:500]
        assert gateway.client.post(EMAILS, json={"instances": mails}, headers=headers).content == first.content
        assert gateway.log_rows() == 200
        events = [
            {"id": str(place), "kind": "closed", "at": "2025-05-05T09:00:00+02:00", "labels": {"topic": "Fees"},
             "prediction_id": answer["prediction_id"]}
            for place, answer in enumerate(first.json()["predictions"][:50])
        ]  # fmt: skip
        assert gateway.client.post(FEEDBACK, json={"events": events}).json() == {"applied": 50, "duplicates": 0}
        assert gateway.client.post(FEEDBACK, json={"events": events}).json() == {"applied": 0, "duplicates": 50}
        assert export_log(gateway.database, tmp_path / "log.parquet") == 200
        rows = pq.read_table(tmp_path / "log.parquet").to_pylist()
        assert [row["case_id"] for row in rows] == [mail["id"] for mail in mails]
        assert sum(row["closed_at"] is not None for row in rows) == 50
        postgres.stop()
        try:
            assert problem(gateway.client.post(EMAILS, json={"instances": mails[:2]})) == (503, "storage")
            assert gateway.client.get("/healthz").status_code == 200
            assert problem(gateway.client.get("/readyz"))[0] == 503
        finally:
            postgres.start()
        deadline = time.monotonic() + 20
        while gateway.client.post(EMAILS, json={"instances": mails[:2]}).status_code != 200:
            assert time.monotonic() < deadline, "the gateway never came back to its database"
            time.sleep(0.1)
        assert gateway.log_rows() == 202
