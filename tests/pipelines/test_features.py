"""Does the feature pipeline fill the online store, and say what is wrong when it cannot?"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.errors import StorageError, UsageError
from frontdesk.feature_repo.online import OnlineFeatures
from frontdesk.feature_repo.repository import open_repository
from frontdesk.pipelines.local import run_features
from tests.feature_tables import NOON, TICKET, write_history


def test_the_embedded_pipeline_fills_the_store(tmp_path: Path) -> None:
    features = write_history(tmp_path / "features")
    assert run_features(features=str(features), until=NOON.isoformat(), out=tmp_path / "out") == 1
    reader = OnlineFeatures(open_repository(str(features)), TICKET)
    assert reader.read({"customer": ["ada"]}, [NOON.timestamp()])[0].values["last_contact_type"] == "late"


@pytest.mark.slow
def test_a_table_that_cannot_be_read_ends_the_pipeline_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "customer_history").mkdir()
    (tmp_path / "customer_history" / "part.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(StorageError, match="customer_history"):
        run_features(features=str(tmp_path), out=tmp_path / "out")


def test_a_moment_that_is_none_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="until"):
        run_features(features=str(tmp_path), until="yesterday", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_features_are_simulated_beside_tickets(tmp_path: Path) -> None:
    arguments = [
        "simulate",
        "ticket",
        "--rows",
        "50",
        "--out",
        str(tmp_path / "t.csv"),
        "--features",
        str(tmp_path / "f"),
    ]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "customer_id" in (tmp_path / "t.csv").read_text().splitlines()[0]
    assert {path.name for path in (tmp_path / "f").iterdir()} == {"customer_history", "ticket_progress"}
    refused = CliRunner().invoke(app, ["simulate", "email", *arguments[2:]])
    assert isinstance(refused.exception, UsageError)
