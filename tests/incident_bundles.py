"""A small intent bundle that was trained with the features of simulated lines, once per test session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from frontdesk.feature_repo import open_join
from frontdesk.intent.columns import IntentColumns
from frontdesk.records import parse_columns
from frontdesk.simulation import incidents, sessions
from tests.history_bundles import features_at
from tests.intent_bundles import IntentRun, run_jobs

MAPPING: IntentColumns = parse_columns(incidents.MAPPING, recipe="intent")
PLAIN: IntentColumns = MAPPING.model_copy(update={"features": None})


@dataclass(frozen=True)
class IncidentRun:
    """What a training with features left.

    Attributes:
        simulated: sessions and feature tables.
        features: folder of the tables.
        run: the jobs' work.
    """

    simulated: incidents.Incidents
    features: Path
    run: IntentRun


def made(rows: int, seed: int, folder: Path) -> tuple[incidents.Incidents, Path]:
    """Simulate sessions and write them with their feature tables; return them and the log."""
    simulated = incidents.simulate(rows, seed)
    simulated.write_features(folder / "features")
    sessions.write(simulated.table.drop_columns("true_errand"), folder / "sessions.parquet")
    return simulated, folder / "sessions.parquet"


@pytest.fixture(scope="session")
def incident_run(spark: object, tmp_path_factory: pytest.TempPathFactory) -> IncidentRun:
    """Jobs on sessions of lines that have incidents. The network has hardly learnt a thing; its form is any other's."""
    folder = tmp_path_factory.mktemp("incidents")
    simulated, data = made(1_500, 3, folder)
    with features_at(folder / "features"):
        run = run_jobs(data, folder, MAPPING, open_join)
    return IncidentRun(simulated, folder / "features", run)
