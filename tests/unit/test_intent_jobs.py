"""The jobs of the intent recipe: bad logs, the bundle's proof, evaluation, scoring, the champion."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from frontdesk.errors import BadColumns, BundleError, DataCheckFailed, EmptyTable, UnreadableFile, UsageError
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS
from frontdesk.intent.golden import golden_difference, golden_requests, sessions_of
from frontdesk.intent.jobs import IntentJobs
from frontdesk.intent.opening import IntentBundle, cached_steps, load_intents, prove
from frontdesk.intent.redis_store import RedisTable, prefix_of
from frontdesk.redis_connection import connect
from frontdesk.settings import settings
from frontdesk.simulation.sessions import simulate
from frontdesk.storage import Store
from tests.intent_bundles import IntentRun, as_request, run_jobs, shown
from tests.redis_server import RedisServer

JOBS = IntentJobs()


def snapshot(data: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    columns = DEFAULT_INTENT_COLUMNS.model_copy(update=changes)
    return JOBS.etl(data=str(data), test="", columns=columns.model_dump_json(), parameters="{}", store=str(folder))


def log(folder: Path, table: pa.Table, name: str = "log.parquet") -> Path:
    pq.write_table(table, folder / name)
    return folder / name


def published(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("snapshots/*")]


# Snapshots


def test_a_wrong_row_is_refused_and_told(tmp_path: Path) -> None:
    rows = simulate(400, seed=3).to_pylist()
    rows[2]["kind"], rows[4]["timestamp"], rows[6]["name"], rows[8]["session_id"] = "klick", "soon", " ", None
    content = b"\n".join(orjson.dumps(row) for row in rows)
    (tmp_path / "log.jsonl").write_bytes(content + b"\n{broken")
    taken = snapshot(tmp_path / "log.jsonl", tmp_path / "store")
    folder = Path(Store(str(tmp_path / "store")).uri("snapshots", taken["id"]))
    refused = [(one["row"], one["field"]) for one in pq.read_table(folder / "refused.parquet").to_pylist()]
    assert sorted(refused) == [(3, "kind"), (5, "timestamp"), (7, "name"), (9, "session_id"), (len(rows) + 1, "")]
    assert taken["rows"]["refused"] == 5


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda table: table.drop_columns("kind"), BadColumns, "'kind'"),
        (lambda table: table.slice(0, 0), EmptyTable, "no data row"),
        (lambda table: replaced(table, "kind", "klick"), EmptyTable, "neither 'intent' nor 'event'"),
        (lambda table: replaced(table, "kind", "event"), EmptyTable, "no session has an opened intent"),
        (lambda table: replaced(table, "status", "error"), EmptyTable, "no session has an opened intent"),
        (lambda table: replaced(table, "session_id", "the only one"), DataCheckFailed, "0 to test on"),
    ],
)
def test_a_log_that_cannot_be_used_leaves_nothing(spoil: Any, error: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        snapshot(log(tmp_path, spoil(simulate(300, seed=3))), tmp_path / "store")
    assert published(tmp_path / "store") == []


def replaced(table: pa.Table, name: str, value: str) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array([value] * table.num_rows))


def test_the_same_log_gives_the_same_snapshot_and_another_order_of_sessions_another(tmp_path: Path) -> None:
    table = simulate(400, seed=3)
    first = snapshot(log(tmp_path, table), tmp_path / "a")
    assert snapshot(log(tmp_path, table, "again.parquet"), tmp_path / "a")["id"] == first["id"]
    assert snapshot(tmp_path / "log.parquet", tmp_path / "b") == first
    assert len(published(tmp_path / "a")) == 1
    other = snapshot(log(tmp_path, table.slice(0, 300), "less.parquet"), tmp_path / "a")
    assert other["id"] != first["id"]


def test_sessions_are_split_whole_at_one_moment(tmp_path: Path) -> None:
    taken = snapshot(log(tmp_path, simulate(600, seed=3)), tmp_path / "store")
    folder = Path(Store(str(tmp_path / "store")).uri("snapshots", taken["id"]))
    train, test = (pq.read_table(folder / side) for side in ("train", "test"))
    assert not set(train["session"].to_pylist()) & set(test["session"].to_pylist())
    starts = [pc.min(side["timestamp"]).as_py() for side in (train, test)]
    last = max(min(row["timestamp"] for row in rows) for rows in by_session(train))
    assert starts[0] <= last <= starts[1]


def test_training_and_the_bundle_take_the_settings_of_the_lines(spark: object, tmp_path: Path) -> None:
    made = simulate(1_000, seed=3)
    names = made["name"].filter(pc.equal(made["kind"], "event")).unique().to_pylist()
    lines = {"version": 4, "default": {"context_events": names[:2], "trigger_events": names[:3], "model": "markov"}}
    (tmp_path / "lines.yaml").write_bytes(orjson.dumps(lines))
    run = run_jobs(log(tmp_path, made), tmp_path, configuration=str(tmp_path / "lines.yaml"))
    bundle = load_intents(run.bundle)
    assert {key[0] for key in bundle.tokenizer.events} <= set(names[:2])
    assert {row["name"] for row in run.test_rows() if row["kind"] == "event"} == set(names[:2])
    assert bundle.configuration.version == 4
    assert bundle.configuration.default.trigger_events == tuple(names[:3])
    asked = as_request(run.test_rows()[:3])
    [answer] = bundle.predict([asked])
    asked["events"].append({**asked["events"][-1], "kind": "event", "name": names[4]})
    assert shown(bundle.predict([asked])[0]) == shown(answer)
    assert answer.source != "evgen"


def test_settings_that_do_not_fit_the_log_leave_nothing(tmp_path: Path) -> None:
    data, store = log(tmp_path, simulate(300, seed=3)), tmp_path / "store"
    for lines, words in (({"default": {"context_events": ["klick"]}}, "klick"), ({"lines": {"x": {}}}, "'x'")):
        (tmp_path / "lines.yaml").write_bytes(orjson.dumps(lines))
        chosen = orjson.dumps({"configuration": str(tmp_path / "lines.yaml")}).decode()
        with pytest.raises(UsageError, match=words):
            JOBS.etl(data=str(data), test="", columns="", parameters=chosen, store=str(store))
        assert published(store) == []


def by_session(table: pa.Table) -> list[list[dict[str, Any]]]:
    sessions: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        sessions.setdefault(row["session"], []).append(row)
    return list(sessions.values())


# The bundle


def test_running_twice_makes_the_same(intent_run: IntentRun, tmp_path: Path) -> None:
    folder = intent_run.store.parent
    again = run_jobs(intent_run.data, folder)
    assert (again.snapshot, again.fused, again.bundle) == (intent_run.snapshot, intent_run.fused, intent_run.bundle)


def test_an_altered_byte_is_found(intent_run: IntentRun, tmp_path: Path) -> None:
    for path in sorted(intent_run.bundle.iterdir()):
        shutil.copytree(intent_run.bundle, tmp_path / path.name)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / path.name / path.name).write_bytes(content)
        with pytest.raises(BundleError) as caught:
            load_intents(tmp_path / path.name)
        assert path.name in str(caught.value) or path.name == "manifest.json"


def test_both_ways_of_asking_are_proven_against_the_golden_rows(intent_run: IntentRun) -> None:
    bundle = load_intents(intent_run.bundle)
    for scores in (bundle.evgen.scores, cached_steps(bundle.evgen)):
        assert golden_difference(intent_run.bundle, bundle.tokenizer, scores) < 2e-5
    bundle.evgen.network.out.bias[0] += 0.1
    with pytest.raises(BundleError, match="full pass differs"):
        prove(bundle.evgen, intent_run.bundle, bundle.tokenizer, 1e-4)


def test_golden_rows_hold_no_session_of_an_operator(intent_run: IntentRun, intent_bundle: IntentBundle) -> None:
    requests = golden_requests(intent_bundle.tokenizer)
    assert requests == golden_requests(intent_bundle.tokenizer)
    lengths = [len(session.tokens) for session in sessions_of(requests, intent_bundle.tokenizer)]
    assert lengths[0] == 0
    assert max(lengths) > 30
    table = pq.read_table(intent_run.data)
    assert not {request["session"] for request in requests} & set(table["session_id"].to_pylist())


def test_only_the_served_engine_is_offered(intent_run: IntentRun, ticket_bundle: Path) -> None:
    with pytest.raises(UsageError, match="Engines: auto, arrays"):
        IntentBundle.load(intent_run.bundle, engine="graph")
    with pytest.raises(BundleError, match="suggests no intents"):
        load_intents(ticket_bundle)


# Evaluation and scoring


def test_metrics_have_the_stable_form_and_the_report_shows_them(intent_run: IntentRun) -> None:
    folder = intent_run.bundle.parent
    metrics = orjson.loads((folder / "metrics.json").read_bytes())
    for figures in (metrics["test"], metrics["baselines"]["toppop"], metrics["baselines"]["markov"]):
        assert {"hr@1", "hr@6", "hr@10", "mrr@10", "coverage@10", "ild@10", "churn@6", "n"} <= figures.keys()
        assert figures["first"]["n"] + figures["later"]["n"] == figures["n"]
    assert metrics["baselines"]["markov"]["hr@6"] > metrics["baselines"]["toppop"]["hr@6"] > 0.1
    page = (folder / "report.html").read_text("utf-8")
    assert f"{metrics['baselines']['markov']['hr@6']:.3f}" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "")
    for name in ("nan", "None", "{{", "Undefined"):
        assert f">{name}<" not in page


def test_a_log_is_evaluated_by_its_own_protocol(intent_run: IntentRun, tmp_path: Path) -> None:
    rows = pq.read_table(intent_run.data).to_pylist()
    rows[0]["kind"] = "klick"
    data = log(tmp_path, pa.Table.from_pylist(rows))
    metrics = JOBS.evaluate(str(intent_run.bundle), str(data), None, tmp_path / "out")
    assert metrics["rows"]["refused"] == 1
    assert metrics == orjson.loads((tmp_path / "out/metrics.json").read_bytes())
    assert "EvGen" in (tmp_path / "out/report.html").read_text("utf-8")


def test_a_mapping_with_other_fields_than_the_bundle_s_is_refused(intent_run: IntentRun, tmp_path: Path) -> None:
    columns = tmp_path / "columns.yaml"
    names = DEFAULT_INTENT_COLUMNS.model_dump(exclude={"fields", "options_separator", "error_values", "features"})
    columns.write_text("".join(f"{key}: {value}\n" for key, value in names.items()))
    for work in (JOBS.evaluate, JOBS.score):
        with pytest.raises(BadColumns, match="element, text"):
            work(str(intent_run.bundle), str(intent_run.data), str(columns), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_every_session_of_a_log_gets_its_suggestions(intent_run: IntentRun, tmp_path: Path) -> None:
    bundle = load_intents(intent_run.bundle)
    table = simulate(200, seed=11)
    rows = table.to_pylist()
    rows[5]["timestamp"] = None
    data = log(tmp_path, pa.Table.from_pylist(rows, table.schema))
    for ending in ("parquet", "jsonl", "csv"):
        out = tmp_path / f"out.{ending}"
        summary = JOBS.score(str(intent_run.bundle), str(data), None, out)
        assert summary["refused"] == 1
        assert pq.read_table(summary["refusals"])["field"].to_pylist() == ["timestamp"]
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert summary["sessions"] == len(found)
    assert [one["session"] for one in found] == list(dict.fromkeys(row["session_id"] for row in rows))
    # The same session asked over the protocol
    mine = [row for row in rows if row["session_id"] == found[-1]["session"]]
    events = [
        {name: row[name] for name in ("kind", "name", "element", "text")} | {"timestamp": row["timestamp"].isoformat()}
        for row in mine
    ]
    last = max(mine, key=lambda row: row["timestamp"])
    (answer,) = bundle.predict([{"operator": last["operator"], "line": last["line"], "events": events}])
    assert orjson.loads(found[-1]["intents"]) == shown(answer)
    assert found[-1]["model_id"] == bundle.model_id
    with pytest.raises(UsageError, match="unknown ending"):
        JOBS.score(str(intent_run.bundle), str(data), None, tmp_path / "out.xlsx")
    with pytest.raises(UnreadableFile):
        JOBS.score(str(intent_run.bundle), str(tmp_path / "none.csv"), None, tmp_path / "none-out.csv")
    assert sorted(path.name for path in tmp_path.glob("*none*")) == []


# The champion


def test_a_champion_with_another_tokeniser_is_asked_the_same(intent_run: IntentRun, tmp_path: Path) -> None:
    """A champion of another log, with a field that the candidate's log has not, answers the candidate's requests."""
    from frontdesk.intent.measuring import evaluate_champion

    columns = DEFAULT_INTENT_COLUMNS.model_copy(update={"fields": ("element",)})
    table = pq.read_table(intent_run.data).to_pylist()
    for row in table:  # one intent in another name, so that the catalogues differ
        row["name"] = "A renamed one" if row["name"] == table[0]["name"] else row["name"]
    data = log(tmp_path, pa.Table.from_pylist(table))
    other = run_jobs(data, tmp_path / "other", columns)
    ours, theirs = load_intents(intent_run.bundle), load_intents(other.bundle)
    assert ours.tokenizer.fields != theirs.tokenizer.fields
    found = {}
    for name, champion, candidate, run in (("less", theirs, ours, intent_run), ("more", ours, theirs, other)):
        store = Store(str(run.store))
        found[name] = evaluate_champion(champion, candidate.tokenizer, store, run.snapshot, tmp_path / name)
        own = orjson.loads((run.bundle.parent / "metrics.json").read_bytes())
        assert found[name]["test"]["n"] == own["test"]["n"]
        rows = pq.read_table(tmp_path / name / "predictions.parquet")
        assert rows["truth"] == pq.read_table(run.bundle.parent / "predictions.parquet")["truth"]
        verdict = JOBS.gate(
            fused=run.fused, champion=str(champion_folder(champion, intent_run, other)), store=str(run.store)
        )
        assert verdict["decision"] in ("promote", "hold")
        assert verdict["reasons"]


def champion_folder(champion: IntentBundle, *runs: IntentRun) -> Path:
    return next(run.bundle for run in runs if load_intents(run.bundle).model_id == champion.model_id)


def test_the_same_bundle_as_champion_answers_as_the_candidate(intent_run: IntentRun, tmp_path: Path) -> None:
    from frontdesk.intent.measuring import evaluate_champion

    bundle = load_intents(intent_run.bundle)
    measured = evaluate_champion(bundle, bundle.tokenizer, Store(str(intent_run.store)), intent_run.snapshot, tmp_path)
    own = orjson.loads((intent_run.bundle.parent / "metrics.json").read_bytes())
    assert measured["test"]["hr@6"] == own["test"]["hr@6"]
    lists = [pq.read_table(folder / "predictions.parquet")["list"] for folder in (tmp_path, intent_run.bundle.parent)]
    assert np.array_equal(*(column.combine_chunks().flatten().to_numpy() for column in lists))


def test_a_champion_that_cannot_be_loaded_is_told(intent_run: IntentRun, tmp_path: Path) -> None:
    verdict = JOBS.gate(fused=intent_run.fused, champion=str(tmp_path / "none"), store=str(intent_run.store))
    assert any("cannot be loaded" in reason for reason in verdict["reasons"])


def test_a_deployed_table_is_what_servers_find_in_redis(
    intent_run: IntentRun, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTDESK_REDIS", redis_server.url)
    settings.cache_clear()
    try:
        IntentJobs().publish(str(intent_run.bundle))
    finally:
        monkeypatch.delenv("FRONTDESK_REDIS")
        settings.cache_clear()
    bundle = load_intents(intent_run.bundle)
    table = bundle.recommender.tables["all"]
    shared = RedisTable(connect(redis_server.url, timeout_seconds=10), prefix_of(bundle.tokenizer.digest))
    keys = table.keys[:5, None]
    np.testing.assert_array_equal(shared.look_up(keys).intents, table.look_up(keys).intents)
