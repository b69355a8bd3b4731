"""The nightly run of the intent recipe: the deployed network stays, what the log counts is counted anew, and proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.deployment import current
from frontdesk.errors import UsageError
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS
from frontdesk.intent.jobs import IntentJobs
from frontdesk.intent.opening import EVGEN, MARKOV, TOPPOP, load_intents
from frontdesk.intent.recipe import IntentParameters
from frontdesk.pipelines.local import RunResult, run_lifecycle
from frontdesk.simulation import sessions
from frontdesk.storage import Store, canonical_json
from tests.intent_bundles import SMALL


def write_log(path: Path, days: int) -> Path:
    """Write the first days of one desk's log; on the second day an operator is new."""
    log = sessions.simulate(2_400, seed=7)
    if days == 1:
        log = log.slice(0, 1_900)
    else:
        operators = log["operator"].to_pylist()
        sessions_of_the_end = set(log["session_id"].to_pylist()[1_950:2_000])
        named = [
            "newcomer" if row in sessions_of_the_end else name
            for row, name in zip(log["session_id"].to_pylist(), operators, strict=True)
        ]
        log = log.set_column(log.column_names.index("operator"), "operator", pa.array(named))
    pq.write_table(log, path)
    return path


def run(data: Path, out: Path, **parameters: Any) -> RunResult:
    chosen = IntentParameters.of(SMALL | parameters)
    return run_lifecycle("intent", data=str(data), columns=DEFAULT_INTENT_COLUMNS, parameters=chosen, out=out)


@pytest.mark.slow
def test_the_tables_of_the_night_go_into_a_bundle_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(write_log(tmp_path / "monday.parquet", 1), out)
    assert first.decision == "promote"
    store = Store(str(out / "work" / "store"))
    trained = {name: store.read_bytes("models", "intent", first.model_id, name) for name in (*EVGEN, MARKOV, TOPPOP)}
    before = load_intents(store.uri("models", "intent", first.model_id))
    second = run(write_log(tmp_path / "tuesday.parquet", 2), out, network="keep")
    assert second.decision == "promote", second.reasons
    assert second.model_id != first.model_id
    assert (current(store, "intent") or {})["model_id"] == second.model_id
    weights, config, counts = EVGEN
    for name in (weights, config):
        assert (second.bundle / name).read_bytes() == trained[name], "the network is the deployed one"
    for name in (counts, MARKOV, TOPPOP):
        assert (second.bundle / name).read_bytes() != trained[name], "what is counted is of the new log"
    after = load_intents(str(second.bundle))  # opens only where its golden rows come out
    assert after.tokenizer.digest == before.tokenizer.digest, "one table of Redis serves both"
    assert after.recommender.tables["all"].totals.sum() > before.recommender.tables["all"].totals.sum()
    assert "newcomer" not in after.tokenizer.operators
    answers = after.predict([{"operator": "newcomer", "events": []}])
    assert answers[0].source == "evgen"
    assert np.isfinite([one.score for one in answers[0].intents]).all()
    assert second.metrics["history"] == []
    again = run(tmp_path / "tuesday.parquet", out, network="keep")
    assert (again.decision, again.model_id) == ("promote", second.model_id), "the same network and log, the same model"


def test_without_a_deployed_network_there_is_none_to_keep(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    asked = {
        "data": str(write_log(tmp_path / "log.parquet", 1)),
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
