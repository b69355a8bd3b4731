"""Does a mail bundle answer raw mails as it was trained on them, in process, on tables and on the command line?"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from frontdesk.bundle import Bundle
from frontdesk.bundle.labels import LabelBundle
from frontdesk.cli.main import app
from frontdesk.decisions import HeadPolicy, Policy
from frontdesk.email.opening import EmailBundle
from frontdesk.email.preparation import MailPreparation
from frontdesk.errors import InvalidRequest, UsageError
from frontdesk.snapshots import read_rows
from tests.bundles import EmailRun

HEADS = ("business_line", "queue", "topic")
IBAN = "DE89 3704 0044 0532 0130 00"


@pytest.fixture(scope="module")
def bundle(email_run: EmailRun) -> EmailBundle:
    loaded = Bundle.load(email_run.bundle)
    assert isinstance(loaded, EmailBundle)
    return loaded


def labels(bundle: LabelBundle, **mail: Any) -> dict[str, tuple[str, float]]:
    """Return ``{head: (label, confidence)}`` of one mail."""
    (answer,) = bundle.predict([mail])
    return {head: (said.label, said.confidence) for head, said in answer.labels.items()}


def test_the_bundle_says_what_it_is(bundle: EmailBundle) -> None:
    assert (bundle.recipe, bundle.manifest["model_kind"]) == ("email", "email-subword")
    assert bundle.inputs == {"subject": "text", "body": "text", "custodian_bank": "category"}
    assert bundle.partial
    assert set(bundle.metrics["test"]) == set(HEADS)
    assert {"majority", "tfidf-svc"} <= set(bundle.metrics["baselines"])
    assert bundle.predict([bundle.example()])


def test_report_and_card_speak_of_mails(email_run: EmailRun) -> None:
    report = (email_run.fused / "report.html").read_text()
    assert "mails that it never saw" in report
    assert "ticket" not in report
    assert 'id="learning"' in report
    assert "subword encoder" in report
    card = (email_run.bundle / "card.md").read_text()
    assert "Model card: email" in card
    assert "email-subword" not in card
    assert "pieces of words" in card


def test_raw_and_prepared_mails_get_the_same_answer(bundle: EmailBundle, email_run: EmailRun) -> None:
    """What a snapshot stores is what a request becomes: no difference between training and serving."""
    raw = pq.read_table(email_run.data).slice(0, 80)
    columns = {name: raw[name].to_pylist() for name in bundle.spec.fields}
    said = bundle.predict_columns(columns, 80)
    prepared = MailPreparation(masking=True).columns(columns, 80)
    expected = bundle.probabilities(prepared, 80)
    stored = {
        row["id"]: (row["subject"], row["body"])
        for split in ("train", "test")
        for batch in read_rows(email_run.store, email_run.snapshot, split, ["id", "subject", "body"])
        for row in batch.to_pylist()
    }
    for row, identity in enumerate(raw["id"].to_pylist()):
        assert stored[identity] == (prepared["subject"][row], prepared["body"][row])
        for head in HEADS:
            assert said[row].labels[head].confidence == pytest.approx(float(expected[head][row].max()), abs=1e-6)


def test_what_cleaning_and_masking_take_out_changes_nothing(bundle: EmailBundle) -> None:
    plain = labels(bundle, subject="Freistellungsauftrag", body="Bitte ändern Sie meinen Freistellungsauftrag.")
    quoted = "\n\nAm 3.4.2024 um 10:12 schrieb Bank <a@b.de>:\n> Depot und Aktien verkaufen"
    for body in (
        "<html><style>p{color:red}</style><p>Bitte ändern Sie meinen Freistellungsauftrag.</p></html>",
        f"Bitte ändern Sie meinen Freistellungsauftrag.{quoted}",
    ):
        assert labels(bundle, subject="Freistellungsauftrag", body=body) == plain
    one, other = (
        labels(bundle, body=f"Meine IBAN {iban} stimmt nicht") for iban in (IBAN, "GB82 WEST 1234 5698 7654 32")
    )
    assert one == other


def test_answers_are_labels_of_the_catalogue_and_empty_mails_abstain(bundle: EmailBundle) -> None:
    answers = bundle.predict(
        [{}, {"subject": "", "body": " \n"}, {"body": "<p></p><style>x</style>"}, {"custodian_bank": "Nordlicht Bank"}]
    )
    for answer in answers:
        for head in HEADS:
            said = answer.labels[head]
            assert said.label in bundle.spec.labels[head]
            assert (said.decision, said.reason) == ("abstain", "no_text")
    (readable,) = bundle.predict([{"subject": "Depot"}])
    assert readable.labels["queue"].reason != "no_text"


def test_bad_fields_are_named(bundle: EmailBundle) -> None:
    for instance, words in (
        ({"body": 5}, r"instances\[0\].body: must be text or null, not a number"),
        ({"received_at": "2024-01-01"}, r"instances\[0\].received_at: there is no such field"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            bundle.predict([instance])


# --- a label that training never saw


@dataclass(frozen=True)
class Newer:
    """A label file that knows the bundle's topics, and later one more that has only texts.

    The texts are mails of one topic, so that mails that the new label is for are at hand.
    """

    file: Path
    columns: dict[str, list[Any]]
    like: np.ndarray


@pytest.fixture(scope="module")
def newer(bundle: EmailBundle, email_run: EmailRun, tmp_path_factory: pytest.TempPathFactory) -> Newer:
    raw = pq.read_table(email_run.data)
    columns = {name: raw[name].to_pylist() for name in bundle.spec.fields}
    topics = np.array(raw["topic"].to_pylist(), object)
    known = [topic for topic in topics if topic]
    rows = np.flatnonzero(topics == max(sorted(set(known)), key=known.count))
    prepared = bundle.preparation.columns(columns, raw.num_rows)
    texts = [prepared["body"][row] for row in rows[:12] if prepared["body"][row]]
    content = {
        "start": "2000-01-01",
        "heads": {"topic": {"labels": list(bundle.spec.labels["topic"])}},
        "changes": [
            {"date": "2040-01-01", "head": "topic", "add": "Nothing known"},
            {"date": "2050-01-01", "head": "topic", "add": {"id": "new", "name": "New one", "examples": texts}},
        ],
    }
    path = tmp_path_factory.mktemp("labels") / "labels.json"
    path.write_text(json.dumps(content))
    like = np.zeros(raw.num_rows, bool)
    like[rows] = True
    like[rows[:12]] = False
    return Newer(path, columns, like)


def test_a_new_label_starts_from_its_texts(email_run: EmailRun, newer: Newer) -> None:
    rows = len(newer.like)
    before = LabelBundle.load(email_run.bundle, taxonomy=str(newer.file), taxonomy_version="2040-01-01")
    after = LabelBundle.load(email_run.bundle, taxonomy=str(newer.file))
    plain, made = before.probabilities(newer.columns, rows), after.probabilities(newer.columns, rows)
    names = after.spec.labels["topic"]
    assert "New one" not in before.spec.labels["topic"]
    new = made["topic"][:, names.index("New one")]
    assert new[newer.like].mean() > 2 * new[~newer.like].mean() > 0
    assert made["topic"][:, names.index("Nothing known")].max() == 0
    kept = [names.index(name) for name in before.spec.labels["topic"]]
    np.testing.assert_allclose(made["topic"][:, kept], plain["topic"] * (1 - new[:, None]), atol=1e-5)
    for head in ("business_line", "queue"):
        np.testing.assert_array_equal(made[head], plain[head])


def test_a_new_label_is_at_most_suggested(email_run: EmailRun, newer: Newer) -> None:
    bundle = LabelBundle.load(email_run.bundle, taxonomy=str(newer.file))
    bundle.policy = Policy(bundle.policy.heads | {"topic": HeadPolicy(auto=0.01, gap=0.0)})
    bundle._new["topic"] = replace(bundle._new["topic"], temperature=0.01)  # a few hundred mails make it unsure
    said = [answer.labels["topic"] for answer in bundle.predict_columns(newer.columns, len(newer.like))]
    found = {(one.decision, one.reason) for one in said if one.label == "New one"}
    assert ("suggest", "prototype") in found
    assert found <= {("suggest", "prototype"), ("abstain", "no_text")}
    assert any(one.decision == "auto" for one in said), "else nothing is shown"


# --- the command line


def invoke(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_predict_reads_raw_mails(bundle: EmailBundle, email_run: EmailRun, tmp_path: Path) -> None:
    table = pq.read_table(email_run.data).slice(0, 30)
    bodies = table["body"].to_pylist()
    bodies[:3] = [None, f"Ruf an: {IBAN}", "Subject: Depot\nMIME-Version: 1.0\n\nBitte schließen"]
    table = table.drop_columns(list(HEADS)).set_column(2, "body", pa.array(bodies))
    pq.write_table(table, tmp_path / "new.parquet")
    summary = invoke(
        "predict", str(email_run.bundle), "--in", str(tmp_path / "new.parquet"), "--out", str(tmp_path / "o.jsonl")
    )
    assert (summary["rows"], summary["refused"], summary["model_id"]) == (30, 0, bundle.model_id)
    written = (tmp_path / "o.jsonl").read_text()
    assert IBAN not in written
    rows = [json.loads(line) for line in written.splitlines()]
    expected = bundle.predict(table.select(bundle.spec.fields).to_pylist())
    for row, said in zip(rows, expected, strict=True):
        for head in HEADS:
            assert row[head] == said.labels[head].label
            assert row[f"{head}_decision"] == said.labels[head].decision
            assert row[f"{head}_confidence"] == pytest.approx(said.labels[head].confidence, abs=1e-6)


def test_evaluate_measures_raw_mails(bundle: EmailBundle, email_run: EmailRun, tmp_path: Path) -> None:
    mapping = "subject: subject\nbody: body\ncustodian_bank: custodian_bank\nlabels:\n  queue: queue\n"
    (tmp_path / "queue.yaml").write_text(mapping)
    data, out = str(email_run.data), tmp_path / "out"
    metrics = invoke(
        *(
            "evaluate",
            str(email_run.bundle),
            "--data",
            data,
            "--columns",
            str(tmp_path / "queue.yaml"),
            "--out",
            str(out),
        )
    )
    raw = pq.read_table(email_run.data)
    columns = {name: raw[name].to_pylist() for name in bundle.spec.fields}
    answers = [said.labels["queue"].label for said in bundle.predict_columns(columns, raw.num_rows)]
    right = [said == label for said, label in zip(answers, raw["queue"].to_pylist(), strict=True) if label]
    assert metrics["test"]["queue"]["n"] == len(right)
    assert metrics["test"]["queue"]["accuracy"] == pytest.approx(np.mean(right), abs=1e-4)
    assert "mails that it never saw" in (out / "report.html").read_text()


def test_simulate_and_readiness_know_mails(tmp_path: Path) -> None:
    path = tmp_path / "mails.csv"
    made = invoke("simulate", "email", "--rows", "300", "--seed", "3", "--out", str(path))
    assert (made["recipe"], made["rows"]) == ("email", 300)
    report = invoke("readiness", "email", "--data", str(path))
    assert report["verdict"] in ("ready", "usable")
    assert (report["rows"], report["refused"]) == (300, 0)
    assert set(report["heads"]) == set(HEADS)
    assert all(head["expectation"] for head in report["heads"].values())
    failed = CliRunner().invoke(app, ["simulate", "email", "--rows", "9", "--drift", "no", "--out", str(path)])
    assert isinstance(failed.exception, UsageError)
