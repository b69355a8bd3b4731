"""A small intent bundle, made once per test session by the library's own jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from frontdesk.features import OpenJoin
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS, IntentColumns
from frontdesk.intent.configuration import Configuration
from frontdesk.intent.files import TEST, open_sessions
from frontdesk.intent.jobs import IntentJobs
from frontdesk.intent.opening import EVGEN, MARKOV, MARKOV_INTENTS, TOPPOP, IntentBundle, save_intent_bundle
from frontdesk.intent.requests import IntentAnswer
from frontdesk.intent.sessions import SessionSet
from frontdesk.simulation import sessions

ROWS = 2_000
SMALL = {"epochs": 1, "width": 16, "layers": 1, "heads": 2, "memory": 32, "precision": "float32"}
FIELDS = ("element", "text")


@dataclass(frozen=True)
class IntentRun:
    """The six jobs' work on simulated sessions.

    Attributes:
        data: the log.
        store: where everything lies.
        snapshot, fused: ids.
        tensors, bundle: folders.
    """

    data: Path
    store: Path
    snapshot: str
    fused: str
    tensors: Path
    bundle: Path

    @property
    def test(self) -> SessionSet:
        """The test sessions as the evaluation reads them."""
        return open_sessions(self.tensors / TEST)

    def test_rows(self) -> list[dict[str, Any]]:
        """Return the test sessions' rows as the snapshot holds them."""
        from frontdesk.intent.snapshots import snapshot_table
        from frontdesk.storage import Store

        return snapshot_table(Store(str(self.store)), self.snapshot, "test", DEFAULT_INTENT_COLUMNS).to_pylist()


def run_jobs(
    data: Path,
    folder: Path,
    columns: IntentColumns = DEFAULT_INTENT_COLUMNS,
    open_join: OpenJoin | None = None,
    **parameters: Any,
) -> IntentRun:
    """Run the jobs up to the fused bundle; with the same folder a second time, nothing is made again."""
    jobs, store = IntentJobs(open_join), str(folder / "store")
    chosen = orjson.dumps(SMALL | parameters).decode()
    mapping = columns.model_dump_json()
    snapshot = jobs.etl(data=str(data), test="", columns=mapping, parameters=chosen, store=store)["id"]
    made = jobs.spark_preprocess(snapshot=snapshot, parameters=chosen, store=store)["id"]
    tensors = jobs.data_transfer(tensors=made, store=store, node=folder / "node")
    common = {"snapshot": snapshot, "tensors": tensors, "parameters": chosen, "store": store, "work": folder / "work"}
    trained = jobs.train(**common)["id"]
    fused = jobs.fuse(trained=trained, **common)["id"]
    return IntentRun(data, folder / "store", snapshot, fused, tensors, folder / "store/fused" / fused / "bundle")


@pytest.fixture(scope="session")
def intent_run(spark: object, tmp_path_factory: pytest.TempPathFactory) -> IntentRun:
    """Jobs on simulated sessions. The network has hardly learnt anything; its form is that of any other."""
    folder = tmp_path_factory.mktemp("intent")
    pq.write_table(sessions.simulate(ROWS, seed=7), folder / "sessions.parquet")
    return run_jobs(folder / "sessions.parquet", folder)


@pytest.fixture(scope="session")
def intent_bundle(intent_run: IntentRun) -> IntentBundle:
    """The run's bundle, opened."""
    from frontdesk.intent.opening import load_intents

    return load_intents(intent_run.bundle)


def with_configuration(bundle: Path, configuration: Configuration, target: Path) -> Path:
    """Write the bundle again with other settings of the desk."""
    from frontdesk.bundle.folder import parsed
    from frontdesk.golden import GOLDEN
    from frontdesk.intent.tokens import Tokenizer

    spec = parsed(bundle, "spec.json")
    save_intent_bundle(
        target,
        files={name: bundle / name for name in (*EVGEN, MARKOV, MARKOV_INTENTS, TOPPOP)},
        tokenizer=Tokenizer.from_json(spec["tokenizer"]),
        columns=spec["columns"],
        configuration=configuration,
        golden=pq.read_table(bundle / GOLDEN),
        snapshot="made-for-a-test",
        metrics={},
        card="",
    )
    return target


def as_request(rows: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Return what a screen sends after some rows of a snapshot (`IntentRun.test_rows`), at least one."""
    events = [
        {
            "timestamp": row["timestamp"].isoformat(),
            "kind": row["kind"],
            "name": row["name"],
            "fields": {name: row[f"field:{name}"] for name in FIELDS},
        }
        for row in rows
    ]
    last = rows[-1]
    request = {
        "session": last["session"],
        "operator": last["operator"],
        "line": last["line"],
        "events": events,
        "now": last["timestamp"].isoformat(),
    }
    return request | changes


def shown(answer: IntentAnswer) -> list[str]:
    """Return the names on the screen."""
    return [one.id for one in answer.intents]
