"""Is a network that knows the lines' state better than one that does not, where the state is what decides?"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.feature_repo import open_join
from frontdesk.intent.columns import IntentColumns
from frontdesk.intent.evaluation import evgen_ranking
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.jobs import IntentJobs
from frontdesk.intent.metrics import Requests, ranks
from frontdesk.intent.recipe import IntentParameters
from frontdesk.intent.sessions import session_set
from frontdesk.intent.snapshots import snapshot_table
from frontdesk.intent.tokens import Tokenizer
from frontdesk.intent.training import train_evgen
from frontdesk.records import load_columns
from frontdesk.simulation import incidents
from frontdesk.storage import Store
from tests.history_bundles import features_at
from tests.incident_bundles import MAPPING, PLAIN, IncidentRun, made

ROWS, SEED = 8_000, 3


def first_hits(columns: IntentColumns, data: Path, folder: Path) -> np.ndarray:
    """Train and return, for the first opened intent of every test session, whether it stood first: bool [N]."""
    store = Store(str(folder / "store"))
    parameters = IntentParameters.of({"epochs": 3, "width": 32, "layers": 1, "heads": 2, "memory": 32})
    snapshot = IntentJobs(open_join).etl(
        data=str(data),
        test="",
        columns=columns.model_dump_json(),
        parameters=parameters.model_dump_json(),
        store=store.root,
    )["id"]
    train, test = (snapshot_table(store, snapshot, name, columns) for name in ("train", "test"))
    tokenizer = Tokenizer.fit(train)
    work = folder / "work"
    work.mkdir(parents=True)
    evgen = EvGen.load(train_evgen(session_set(train, tokenizer, columns), tokenizer, parameters, work))
    sessions = session_set(test, tokenizer, columns)
    asked = Requests.of(sessions)
    found: np.ndarray = ranks(evgen_ranking(evgen, sessions, asked).intents, asked.truth) == 1
    return found[asked.first]


@pytest.mark.slow
def test_training_with_features_beats_training_without_on_the_same_split(tmp_path: Path) -> None:
    """The screen sends no clicks: those before the first opening tell what the call is about, as the state does."""
    simulated, data = made(ROWS, SEED, tmp_path)
    table = simulated.table
    pq.write_table(table.filter(pc.equal(table["kind"], "intent")), data)
    with features_at(tmp_path / "features"):
        known = first_hits(MAPPING, data, tmp_path / "known")
        without = first_hits(PLAIN, data, tmp_path / "without")
    gain = known.astype(float) - without
    noise = gain.std() / len(gain) ** 0.5
    print(f"first intents, HR@1: {known.mean():.3f} with the lines' state, {without.mean():.3f} without, {noise:.3f}")
    assert gain.mean() > max(0.05, 2 * noise)


def test_a_log_is_evaluated_and_scored_with_its_features(incident_run: IncidentRun, tmp_path: Path) -> None:
    jobs, bundle, data = IntentJobs(open_join), str(incident_run.run.bundle), str(incident_run.run.data)
    with features_at(incident_run.features):
        metrics = jobs.evaluate(bundle, data, None, tmp_path / "out")
        scored = jobs.score(bundle, data, None, tmp_path / "next.parquet")
    assert metrics["model_id"] == scored["model_id"]
    assert scored["rows"] == incident_run.simulated.table.num_rows


def test_the_example_and_the_command_are_the_simulators(tmp_path: Path) -> None:
    assert load_columns("examples/intent-features.yaml", "intent") == MAPPING
    arguments = ["simulate", "intent", "--rows", "60", "--out", str(tmp_path / "s.csv")]
    assert CliRunner().invoke(app, [*arguments, "--features", str(tmp_path / "f")]).exit_code == 0
    assert {path.name for path in (tmp_path / "f").iterdir()} == {"line_state", "operator_profile"}
    assert (tmp_path / "s.csv").read_text().splitlines()[0].startswith('"session_id","operator","line"')


def test_incidents_decide_the_errand_and_are_written_down() -> None:
    simulated = incidents.simulate(2_500, 5)
    assert incidents.simulate(2_500, 5).table.equals(simulated.table)
    states = simulated.features["line_state"].to_pylist()
    assert all(row["event_timestamp"] < row["created"] for row in states)
    sessions = {row["session_id"]: row for row in reversed(simulated.table.to_pylist())}
    by_line = {line: [one for one in states if one["line"] == line] for line in incidents.LINES}
    caused = []
    for row in sessions.values():
        own = by_line[row["line"]]
        kind = own[bisect_right(own, row["timestamp"], key=lambda one: one["event_timestamp"]) - 1]["open_incident"]
        if kind != incidents.QUIET:
            line = incidents.sessions.world()[row["line"]]
            caused.append(list(line.errands)[incidents.KINDS[kind]] == row["true_errand"])
    assert len(caused) > 30
    assert sum(caused) / len(caused) > 0.7
