"""A desk changes its labels after a model is trained: does everything old go on, in the new labels and no others?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from frontdesk.bundle import Bundle, verify_bundle
from frontdesk.bundle.labels import LabelBundle
from frontdesk.errors import BadTaxonomy, BundleError, UsageError
from frontdesk.evaluation.evaluate import evaluate_rows, snapshot_rows
from frontdesk.intent.jobs import IntentJobs
from frontdesk.readiness import readiness
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.simulation.tickets import simulate
from frontdesk.snapshots import read_rows
from frontdesk.storage import MANIFEST, Store, canonical_json
from frontdesk.taxonomy import History, RowMapper, load_taxonomy, parse_taxonomy
from frontdesk.ticket.jobs import TicketJobs
from frontdesk.ticket.recipe import TicketParameters
from tests.bundles import TicketBundles, train_ticket_bundles
from tests.serving.process import ServerProcess

HEADS = ("contact_type", "reply")
SMALL = {"epochs": 10, "embedding": 16, "filters": 16, "hidden": 32, "max_tokens": 48}
SMALL |= {"max_words": 300, "max_phrases": 300}
TRAINED, NEW = "2024-01-01", "2025-02-01"
NONSENSE = "no such reply"
LATER = [
    {"rename": {"label": "Reset link", "name": "Sign-in link"}},
    {"merge": {"labels": ["Pickup at your door", "Repair at your cost"], "into": {"id": "work", "name": "Paid work"}}},
    {
        "split": {
            "label": "Free repair",
            "into": [{"id": "router", "name": "Router repair"}, {"id": "other", "name": "Other repair"}],
            "rules": [{"when": {"product": "Router"}, "to": "router"}],
            "otherwise": "other",
        }
    },
    {"split": {"label": "Loyalty offer", "into": [{"id": "call", "name": "Call"}, {"id": "mail", "name": "Mail"}]}},
    {"retire": {"label": "Search with the carrier"}},
]


def _file(table: pa.Table, later: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the label file of the simulated desk, which renamed two branches, and the changes that came later."""
    old = {
        name.replace("Mobile app >", "App >").replace("Account > Sign-in", "Account > Login")
        for name in set(table["contact_type"].to_pylist()) - {None}
    }
    replies = set(table["reply"].to_pylist()) - {None, NONSENSE}
    renamed = [("App", "Mobile app"), ("Account > Login", "Account > Sign-in")]
    return {
        "start": "2023-01-01",
        "heads": {
            "contact_type": {"labels": sorted(old), "separator": " > "},
            "reply": {"labels": sorted(replies)},
        },
        "changes": [
            {"date": TRAINED, "head": "contact_type", "rename": {"branch": branch, "name": name}}
            for branch, name in renamed
        ]
        + [{"date": NEW, "head": "reply"} | change for change in later],
    }


@dataclass(frozen=True)
class Desk:
    """A table, the label file before and after the changes, and a model trained before."""

    folder: Path
    data: Path
    file: Path
    history: History
    bundles: TicketBundles
    snapshot: str
    table: pa.Table

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    def columns(self, bundle: LabelBundle, rows: int) -> dict[str, list[Any]]:
        return {name: self.table.column(name).to_pylist()[:rows] for name in bundle.spec.fields}

    def valid(self, head: str) -> set[str]:
        return set(self.history.at(NEW).labels(head))


@pytest.fixture(scope="module")
def desk(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    table = simulate(600, seed=7)
    replies = table["reply"].to_pylist()
    replies[3:6] = [NONSENSE] * 3
    table = table.set_column(table.column_names.index("reply"), "reply", pa.array(replies))
    data, before, after = folder / "tickets.parquet", folder / "before.yaml", folder / "after.yaml"
    pq.write_table(table, data)
    before.write_text(yaml.safe_dump(_file(table, [])), "utf-8")
    after.write_text(yaml.safe_dump(_file(table, LATER)), "utf-8")
    bundles, snapshot = train_ticket_bundles(folder, data, taxonomy=str(before), **SMALL)
    return Desk(folder, data, after, load_taxonomy(after), bundles, snapshot, table)


@pytest.fixture(scope="module")
def projected(desk: Desk) -> LabelBundle:
    """The old model in the new labels."""
    return LabelBundle.load(desk.bundles.network, taxonomy=str(desk.file))


def _labels(store: Store, snapshot: str, head: str) -> set[str]:
    batches = [batch for split in ("train", "test") for batch in read_rows(store, snapshot, split)]
    return {label for batch in batches for label in batch.column(head).to_pylist()} - {None}


def test_rows_of_every_age_are_trained_on_in_one_version(desk: Desk) -> None:
    manifest = desk.store.manifest("snapshots", desk.snapshot) or {}
    told = manifest["taxonomy"]
    assert told["version"] == TRAINED
    assert parse_taxonomy(told["file"]).digest == told["digest"]
    assert told["heads"]["contact_type"]["reasons"]["renamed"] > 10
    assert told["heads"]["reply"]["unknown"] == {NONSENSE: 3}
    checks = {check["name"]: check for check in manifest["checks"]}
    assert checks["label_versions.contact_type"]["status"] == "pass"
    assert checks["label_versions.reply"]["status"] == "warn"
    assert f"no version knows {NONSENSE}" in checks["label_versions.reply"]["words"]
    for head in HEADS:
        assert _labels(desk.store, desk.snapshot, head) <= set(desk.history.at(TRAINED).labels(head))


def test_a_bundle_tells_the_version_of_its_labels_and_opens_in_it(desk: Desk) -> None:
    for folder in (desk.bundles.network, desk.bundles.classical):
        bundle = LabelBundle.load(folder)
        assert bundle.label_version == TRAINED
        content = orjson.loads((folder / "taxonomy.json").read_bytes())
        assert content["trained"] == TRAINED
        assert content["version"] == verify_bundle(folder)["taxonomy"]
        columns = desk.columns(bundle, 20)
        probabilities = bundle.model.probabilities(columns, 20)
        for head, values in bundle.probabilities(columns, 20).items():
            assert (values == probabilities[head]).all()
            assert set(bundle.spec.labels[head]) <= set(desk.history.at(TRAINED).labels(head))


@pytest.mark.parametrize("kind", ["network", "classical"])
def test_a_trained_model_answers_in_the_new_labels_only(desk: Desk, kind: str) -> None:
    folder = getattr(desk.bundles, kind)
    # Two engines may be equally fast: both bundles get the same one.
    old, new = (LabelBundle.load(folder, engine="portable", taxonomy=one) for one in (None, str(desk.file)))
    assert (new.model_id, new.label_version) == (old.model_id, NEW)
    rows = 200 if kind == "network" else 40
    before, after = (one.probabilities(desk.columns(one, rows), rows) for one in (old, new))
    place = [{label: place for place, label in enumerate(one.spec.labels["reply"])} for one in (old, new)]

    def was(label: str) -> np.ndarray:
        return before["reply"][:, place[0][label]]

    def now(label: str) -> np.ndarray:
        return after["reply"][:, place[1][label]]

    assert (after["contact_type"] == before["contact_type"]).all()
    kept = 1 - was("Search with the carrier")
    assert np.allclose(now("Sign-in link") * kept, was("Reset link"), atol=1e-5)
    assert np.allclose(now("Paid work") * kept, was("Pickup at your door") + was("Repair at your cost"), atol=1e-5)
    assert np.allclose(now("Call"), now("Mail"))
    routers = np.array(desk.table["product"].to_pylist()[:rows]) == "Router"
    assert np.allclose(now("Router repair") * kept, np.where(routers, was("Free repair"), 0), atol=1e-5)
    answers = new.predict_columns(desk.columns(new, rows), rows)
    for head in HEADS:
        for answer in answers:
            said = answer.labels[head]
            assert {said.label, *(one.label for one in said.alternatives)} <= desk.valid(head)
    held = [(one.labels["reply"].decision, one.labels["reply"].reason) == ("abstain", "retired") for one in answers]
    assert held == [lost >= 0.5 for lost in (1 - kept).tolist()]
    assert any(held)


def test_old_predictions_and_counts_go_on(desk: Desk, projected: LabelBundle) -> None:
    old = LabelBundle.load(desk.bundles.network)
    said = [answer.labels["reply"].label for answer in old.predict_columns(desk.columns(old, 200), 200)]
    trained, newest = desk.history.at(old.lineage.trained), desk.history.at()
    mapped = [desk.history.map_label("reply", label, trained, newest) for label in said]
    gone = {"Search with the carrier": "retired", "Loyalty offer": "ask", "Free repair": "ask"}
    for label, one in zip(said, mapped, strict=True):
        assert (one.label is None) == (label in gone), label
        assert one.reason == gone[label] if one.label is None else one.label in desk.valid("reply")
    before, after = (dict(zip(one.spec.labels["reply"], one.spec.label_counts["reply"], strict=True))
                     for one in (old, projected))  # fmt: skip
    assert after["Sign-in link"] == before["Reset link"]
    assert after["Paid work"] == before["Pickup at your door"] + before["Repair at your cost"]


def test_tables_are_predicted_and_evaluated_in_the_new_labels(desk: Desk, tmp_path: Path) -> None:
    jobs, bundle, table = TicketJobs(), str(desk.bundles.network), str(tmp_path / "in.parquet")
    pq.write_table(desk.table.slice(0, 200), table)
    asked = {"taxonomy": str(desk.file), "taxonomy_version": NEW}
    jobs.score(bundle, table, None, tmp_path / "out.parquet", **asked)
    scored = pq.read_table(tmp_path / "out.parquet")
    for head in HEADS:
        assert set(scored[head].to_pylist()) <= desk.valid(head)
    metrics = jobs.evaluate(bundle, table, None, tmp_path / "evaluation", **asked)
    assert metrics["data"]["taxonomy"]["version"] == NEW
    for head in HEADS:
        assert metrics["test"][head]["accuracy"] > metrics["test"][head]["majority"]
        assert all(row["label"] in desk.valid(head) for row in metrics["labels"][head])
    assert NEW in (tmp_path / "evaluation" / "report.html").read_text("utf-8")


def test_the_server_answers_in_the_new_labels(desk: Desk, projected: LabelBundle, tmp_path: Path) -> None:
    rows = [row for row in desk.table.to_pylist() if row["reply"] == "Search with the carrier"][:20]
    instances = [{name: row[name] for name in ("subject", "body", "product")} for row in rows]
    arguments = ("--taxonomy", str(desk.file), "--taxonomy-version", NEW)
    with ServerProcess.of_bundles(tmp_path / "log", desk.bundles.network, arguments=arguments) as server:
        answers = server.client.post("/v1/models/ticket:predict", json={"instances": instances}).json()["predictions"]
        metadata = server.client.get("/v2/models/ticket").json()
        ready = next(event for event in server.events() if event["event"] == "model_ready")
    assert ready["label_version"] == NEW
    assert {one["name"] for one in metadata["outputs"]} == set(LabelBundle.load(desk.bundles.network).outputs)
    assert metadata["versions"] == [projected.model_id]
    for answer, expected in zip(answers, projected.predict(instances), strict=True):
        said = answer["labels"]["reply"]
        assert (said["label"], said["reason"]) == (expected.labels["reply"].label, expected.labels["reply"].reason)
        assert said["confidence"] == pytest.approx(expected.labels["reply"].confidence, abs=1e-5)
    assert "retired" in {answer["labels"]["reply"]["reason"] for answer in answers}
    for answer in answers:
        assert {one["label"] for one in answer["labels"]["reply"]["alternatives"]} <= desk.valid("reply")


def test_job_1_again_needs_nothing_but_the_newer_file(desk: Desk) -> None:
    parameters = TicketParameters(split="random", taxonomy=str(desk.file), **SMALL).model_dump_json()
    made = TicketJobs().etl(data=str(desk.data), test="", columns="", parameters=parameters, store=desk.store.root)
    assert made["id"] != desk.snapshot
    told = made["taxonomy"]["heads"]["reply"]
    assert {"split", "merged", "renamed", "retired", "ask", "unknown"} <= set(told["reasons"])
    assert told["without_examples"] == ["Call", "Mail"]
    for head in HEADS:
        assert _labels(desk.store, made["id"], head) <= desk.valid(head)


@pytest.mark.slow
def test_a_model_trained_again_meets_the_old_one_in_the_new_labels(desk: Desk, tmp_path: Path) -> None:
    bundles, snapshot = train_ticket_bundles(desk.folder / "again", desk.data, taxonomy=str(desk.file), **SMALL)
    bundle = LabelBundle.load(bundles.network)
    assert bundle.label_version == NEW
    assert {"Router repair", "Other repair", "Paid work"} <= set(bundle.spec.labels["reply"])
    back = LabelBundle.load(bundles.network, taxonomy_version=TRAINED)
    assert set(back.spec.labels["reply"]) <= set(desk.history.at(TRAINED).labels("reply"))
    store = Store(str(desk.folder / "again" / "store"))
    with store.writing("fused", "candidate") as folder:
        evaluate_rows(LabelBundle.load(bundles.network), snapshot_rows(store, snapshot), folder, with_report=False)
        (folder / MANIFEST).write_bytes(canonical_json({"id": "candidate"}))
    TicketJobs().compare(store, "candidate", str(desk.bundles.network), tmp_path)
    champion = pq.read_table(tmp_path / "champion" / "predictions.parquet").to_pylist()
    asked = [row for row in champion if row["head"] == "reply"]
    assert {row["predicted"] for row in asked} <= desk.valid("reply")
    new = desk.valid("reply") - set(desk.history.at(TRAINED).labels("reply"))
    assert any(row["label"] == row["predicted"] in new for row in asked)


def test_readiness_tells_what_a_label_file_makes_of_a_table(desk: Desk) -> None:
    report = readiness("ticket", str(desk.data), DEFAULT_TICKET_COLUMNS, relabel=RowMapper(desk.history))
    assert set(dict(report.heads["reply"].top)) <= desk.valid("reply")
    assert any(NONSENSE in words for words in report.words)


def test_a_label_file_that_does_not_fit_is_refused(desk: Desk, ticket_bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("start: 2024-01-01\nheads: {queue: {labels: [A, B]}}", "utf-8")
    slashes = tmp_path / "slashes.yaml"
    slashes.write_text("start: 2024-01-01\nheads: {contact_type: {labels: [A / B], separator: ' / '}}", "utf-8")
    with pytest.raises(BadTaxonomy, match=r"other.yaml.*about queue, not about contact_type, reply"):
        Bundle.load(ticket_bundle, taxonomy=str(other))
    with pytest.raises(BadTaxonomy, match=r"separator ' / '"):
        Bundle.load(ticket_bundle, taxonomy=str(slashes))
    with pytest.raises(UsageError, match="without a label file"):
        Bundle.load(ticket_bundle, taxonomy_version=NEW)
    for wrong, error in (({"taxonomy": str(other)}, BadTaxonomy), ({"taxonomy_version": NEW}, UsageError)):
        parameters = TicketParameters(**wrong).model_dump_json()
        with pytest.raises(error):
            TicketJobs().etl(
                data=str(desk.data), test="", columns="", parameters=parameters, store=str(tmp_path / "store")
            )
    assert not (tmp_path / "store").exists()


def test_a_model_trained_without_a_label_file_answers_by_one(desk: Desk, ticket_bundle: Path) -> None:
    plain = LabelBundle.load(ticket_bundle)
    assert plain.label_version is None
    assert plain.lineage.trained == "2024-12-30"
    loaded = LabelBundle.load(ticket_bundle, taxonomy=str(desk.file))
    assert set(loaded.spec.labels["contact_type"]) <= desk.valid("contact_type")
    assert set(loaded.spec.labels["reply"]) == desk.valid("reply")


def test_a_bundle_whose_labels_are_not_in_its_version_is_refused(desk: Desk) -> None:
    bundle = LabelBundle.load(desk.bundles.network)
    content = orjson.loads((desk.bundles.network / "taxonomy.json").read_bytes())
    lineage = type(bundle.lineage)
    assert lineage.from_json(content, bundle.taxonomy).history is not None
    with pytest.raises(BundleError, match="contact_type has a label"):
        lineage.from_json(content | {"trained": "2023-06-01"}, bundle.taxonomy)
    content["history"]["changes"].append({"date": NEW, "head": "reply", "retire": {"label": "?"}})
    with pytest.raises(BundleError, match="changes"):
        lineage.from_json(content, bundle.taxonomy)


def test_only_job_1_knows_where_the_label_file_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    parameters = TicketParameters.parse(["taxonomy=labels.yaml", "taxonomy_version=2024-02-01", "epochs=3"])
    assert parameters.taxonomy == str(tmp_path / "labels.yaml")
    later = TicketJobs().parameters(parameters.model_dump_json())
    assert (later.taxonomy, later.taxonomy_version, later.epochs) == (None, None, 3)


def test_intents_have_no_label_file(tmp_path: Path) -> None:
    for ask in (IntentJobs().score, IntentJobs().evaluate):
        with pytest.raises(UsageError, match="no label file"):
            ask("bundle", "log.csv", None, tmp_path / "out.csv", taxonomy="labels.yaml")
