"""The commands on keys, the prediction log and feedback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.database import open_database
from frontdesk.database.keys import verify_key
from frontdesk.database.predictions import insert_predictions
from frontdesk.errors import FrontdeskError, StorageError, UsageError
from frontdesk.settings import settings
from frontdesk.simulation.emails import simulate, write
from tests.gateway.test_feedback import prediction
from tests.serving.process import free_port


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    address = f"sqlite:///{tmp_path / 'desk.db'}"
    monkeypatch.setenv("FRONTDESK_DATABASE", address)
    settings.cache_clear()
    yield address
    settings.cache_clear()


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=True)
    if isinstance(result.exception, FrontdeskError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


def test_the_life_of_a_key(url: str) -> None:
    made = run("keys", "create", "--client", "crm", "--scopes", "emails,feedback", "--days", "30")
    assert made["scopes"] == ["emails", "feedback"]
    assert made["expires_at"]
    database = open_database(url)
    assert verify_key(database, made["key"])
    turned = run("keys", "rotate", made["prefix"], "--overlap-hours", "0")
    assert verify_key(database, made["key"]) is None
    assert verify_key(database, turned["key"])
    assert turned["replaces"] == made["prefix"]
    assert run("keys", "revoke", turned["prefix"])["good"] is False
    listed = run("keys", "list")["keys"]
    assert [key["good"] for key in listed] == [False, False]
    assert made["key"] not in str(listed)
    assert run("keys", "create", "--client", "all", "--scopes", "all")["scopes"][0] == "admin"
    with pytest.raises(UsageError, match="no scope"):
        run("keys", "create", "--client", "crm", "--scopes", "email")
    database.close()


def test_history_in_and_training_rows_out(url: str, tmp_path: Path) -> None:
    mails = simulate(40, seed=5)
    write(mails, tmp_path / "history.csv")
    database = open_database(url)
    database.upgrade()
    cases = mails["id"].to_pylist()[:10]
    with database.writing() as connection:
        insert_predictions(connection, [prediction(f"p{place}", case) for place, case in enumerate(cases)])
    database.close()
    said = run("feedback", "import", str(tmp_path / "history.csv"), "--recipe", "email")
    assert said["events"] == said["applied"] > 30
    assert run("feedback", "import", str(tmp_path / "history.csv"), "--recipe", "email")["applied"] == 0
    out = run("feedback", "export", "--recipe", "email", "--out", str(tmp_path / "labelled.parquet"))
    assert out["rows"] == out["without_text"] <= 10
    labelled = {row["id"]: row for row in pq.read_table(tmp_path / "labelled.parquet").to_pylist()}
    for row in mails.to_pylist():
        if row["id"] in labelled:
            assert labelled[row["id"]]["topic"] == (row["topic"] or None)
    log = run("predictions", "export", "--out", str(tmp_path / "log.parquet"), "--recipe", "email")
    assert log["rows"] == 10
    assert run("predictions", "export", "--out", str(tmp_path / "new.parquet"), "--since", "2026-01-01")["rows"] == 0


def test_migrating_waits_for_the_database_and_changes_nothing_twice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        assert run("database", "migrate", "--wait", "5") == {"current": True}
    assert open_database(url).is_new_enough()
    monkeypatch.setenv("FRONTDESK_DATABASE", f"postgresql://desk@127.0.0.1:{free_port()}/desk")
    settings.cache_clear()
    with pytest.raises(StorageError, match="did not answer"):
        run("database", "migrate", "--wait", "1.1")
