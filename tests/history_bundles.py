"""A small bundle that was trained with the features of simulated customers, once per test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from frontdesk.feature_repo import open_join
from frontdesk.records import TicketColumns, parse_columns
from frontdesk.settings import settings
from frontdesk.simulation import histories
from frontdesk.storage import Store
from tests.bundles import train_ticket_bundles

MAPPING: TicketColumns = parse_columns(histories.MAPPING)
PLAIN: TicketColumns = parse_columns({name: value for name, value in histories.MAPPING.items() if name != "features"})
SMALL = {"epochs": 2, "embedding": 8, "filters": 8, "hidden": 16, "max_tokens": 32, "max_words": 300}


@dataclass(frozen=True)
class HistoryRun:
    """What a training with features left.

    Attributes:
        simulated: tickets and feature tables.
        features: folder of the tables.
        data: the tickets' table.
        store, snapshot: job 1's.
        bundle: folder of the network's bundle.
    """

    simulated: histories.Histories
    features: Path
    data: Path
    store: Store
    snapshot: str
    bundle: Path


def train_with(columns: TicketColumns, run_folder: Path, data: Path) -> tuple[Path, str]:
    """Train on tickets by a mapping; return the bundle's folder and the snapshot's id."""
    bundles, snapshot = train_ticket_bundles(run_folder, data, columns.model_dump_json(), open_join, **SMALL)
    return bundles.network, snapshot


@pytest.fixture(scope="session")
def history_run(spark: object, tmp_path_factory: pytest.TempPathFactory) -> HistoryRun:
    """Train on tickets of which every fifth asks for news of the customer's last matter."""
    from frontdesk.simulation.tickets import write

    folder = tmp_path_factory.mktemp("histories")
    simulated = histories.simulate(700, seed=3)
    simulated.write_features(folder / "features")
    write(simulated.tickets.drop_columns("is_follow_up"), folder / "tickets.parquet")
    with features_at(folder / "features"):
        bundle, snapshot = train_with(MAPPING, folder, folder / "tickets.parquet")
    return HistoryRun(
        simulated, folder / "features", folder / "tickets.parquet", Store(str(folder / "store")), snapshot, bundle
    )


@contextmanager
def features_at(folder: Path, **more: Any) -> Iterator[None]:
    """Let the settings name a folder of feature tables, and what else is given, within the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"features": folder, **more}.items():
            patch.setenv(f"FRONTDESK_{name.upper()}", str(value))
        settings.cache_clear()
        yield
    settings.cache_clear()


def request_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return a simulated ticket as a request that carries its customer and no feature."""
    fields = [*PLAIN.inputs, "customer_id"]
    return {name: row[name] for name in fields} | {"created_at": row["created_at"].isoformat()}


def requests_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return tickets as requests."""
    return [request_of(row) for row in table.to_pylist()]
