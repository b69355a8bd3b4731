"""The nightly run of the intent recipe: the deployed network stays, what the log counts is counted anew, and proven."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.deployment import current, enter, switch
from frontdesk.errors import UsageError
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS
from frontdesk.intent.jobs import IntentJobs
from frontdesk.intent.opening import EVGEN, MARKOV, MARKOV_INTENTS, TOPPOP, load_intents
from frontdesk.intent.recipe import IntentParameters
from frontdesk.pipelines.local import RunResult, run_lifecycle
from frontdesk.registry import Registry
from frontdesk.simulation import sessions
from frontdesk.storage import Store, canonical_json
from tests.intent_bundles import SMALL, IntentRun


def write_log(path: Path) -> Path:
    """Write the log of the next day, whose last sessions are of a new operator."""
    log = sessions.simulate(2_400, seed=7)
    late = set(log["session_id"].to_pylist()[-200:])
    named = zip(log["session_id"].to_pylist(), log["operator"].to_pylist(), strict=True)
    operators = ["newcomer" if session in late else operator for session, operator in named]
    log = log.set_column(log.column_names.index("operator"), "operator", pa.array(operators))
    pq.write_table(log, path)
    return path


def keep(data: Path, out: Path) -> RunResult:
    chosen = IntentParameters.of(SMALL | {"network": "keep"})
    return run_lifecycle("intent", data=str(data), columns=DEFAULT_INTENT_COLUMNS, parameters=chosen, out=out)


@pytest.mark.slow
def test_the_tables_of_the_night_go_into_a_bundle_of_their_own(
    intent_run: IntentRun, empty_registry: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    store = Store(str(shutil.copytree(intent_run.store, out / "work" / "store")))
    registry = Registry(f"sqlite:///{shutil.copyfile(empty_registry, out / 'work' / 'mlflow.db')}")
    first = enter(store, registry, recipe="intent", fused=intent_run.fused)
    switch(store, registry, "intent", first)
    before = load_intents(first.bundle)
    made = keep(write_log(tmp_path / "tuesday.parquet"), out)
    assert made.decision == "promote", made.reasons
    assert made.model_id != first.model_id
    assert (current(store, "intent") or {})["model_id"] == made.model_id
    weights, config, counts = EVGEN
    for name in (weights, config):
        assert (made.bundle / name).read_bytes() == (Path(first.bundle) / name).read_bytes(), "the deployed network"
    for name in (counts, MARKOV, MARKOV_INTENTS, TOPPOP):
        assert (made.bundle / name).read_bytes() != (Path(first.bundle) / name).read_bytes(), "of the new log"
    after = load_intents(str(made.bundle))  # opens only where its golden rows come out
    assert after.tokenizer.digest == before.tokenizer.digest, "one prefix of Redis serves both"
    assert after.recommender.tables["all"].totals.sum() > before.recommender.tables["all"].totals.sum()
    assert "newcomer" not in after.tokenizer.operators
    answer = after.predict([{"operator": "newcomer", "events": []}])[0]
    assert answer.source == "evgen"
    assert np.isfinite([one.score for one in answer.intents]).all()
    assert made.metrics["history"] == []
    again = keep(tmp_path / "tuesday.parquet", out)
    assert (again.decision, again.model_id) == ("promote", made.model_id), "the same network and log, the same model"


def test_without_a_deployed_network_there_is_none_to_keep(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    asked = {
        "data": str(write_log(tmp_path / "log.parquet")),
        "test": "",
        "columns": DEFAULT_INTENT_COLUMNS.model_dump_json(),
        "parameters": '{"network": "keep"}',
        "store": store.root,
    }
    with pytest.raises(UsageError, match="no model is deployed"):
        IntentJobs().etl(**asked)
    store.put(canonical_json({"model_id": "m1", "uri": "x", "version": 1}), "models", "intent", "current.json")
    spec = {"columns": DEFAULT_INTENT_COLUMNS.model_dump(mode="json") | {"fields": ["colour"]}, "tokenizer": {}}
    store.put(canonical_json(spec), "models", "intent", "m1", "spec.json")
    with pytest.raises(UsageError, match="other fields"):
        IntentJobs().etl(**asked)
