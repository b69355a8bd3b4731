"""Does an evaluation of raw rows give the promised figures, and a page that is safe to open?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file
from sklearn.metrics import f1_score

from frontdesk.bundle import Bundle
from frontdesk.decisions import HeadPolicy, Policy
from frontdesk.evaluation import METRICS, PICTURES, PREDICTIONS, REPORT
from frontdesk.evaluation.evaluate import evaluate, evaluate_rows, snapshot_rows
from frontdesk.evaluation.gate import gate
from frontdesk.evaluation.plots import shorten
from frontdesk.evaluation.report import write_report
from frontdesk.preprocessing.spec import Number, Spec
from frontdesk.records import TicketColumns
from frontdesk.storage import Store, canonical_json
from frontdesk.taxonomy import Projected
from frontdesk.ticket.recipe import TicketParameters
from tests.snapshot_folder import put_snapshot

COLUMNS = TicketColumns(
    id="id", created_at="created_at", text=("body",), categorical=("channel",), contact_type="kind", reply="answer"
)
LEAVES = tuple(
    sorted(f"{top} > {leaf}" for top in ("<script>alert(1)</script>", "Karten & $x$", "貸付") for leaf in "abcd")
)
REPLIES = ("closed", "explained", "refunded")
WORDS = tuple(f"word{index}" for index in range(40))
SECRET = "opensesame"
"""Stands in every customer's text and in no vocabulary."""


def _rows(count: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        kind = int(rng.integers(0, len(LEAVES)) ** 2 // len(LEAVES))
        said = " ".join(rng.choice(WORDS, rng.integers(0, 12)))
        rows.append(
            {
                "id": str(index),
                "created_at": f"2025-{1 + index * 6 // count:02d}-05T00:00:00+00:00",
                "body": f"{said} {SECRET} key{kind if rng.random() < 0.8 else rng.integers(0, len(LEAVES))}",
                "channel": ("web", "phone", None)[index % 3],
                "contact_type": None if index % 25 == 0 else LEAVES[kind],
                "reply": REPLIES[kind % 3] if index % 4 else None,
            }
        )
    return rows


TRAIN = _rows(400, seed=0)
TEST = _rows(300, seed=1)
for row in TEST[1:13]:
    row["contact_type"] = "New branch > new leaf" if row["id"] != "5" else f"{LEAVES[0][:-1]}z"
TEST[20] |= {"body": "", "channel": "fax"}
TEST[30:40] = [dict(row) for row in TRAIN[30:40]]


def _spec() -> Spec:
    counts = {
        head: tuple(sum(row[head] == label for row in TRAIN) for label in labels)
        for head, labels in (("contact_type", LEAVES), ("reply", REPLIES))
    }
    return Spec(
        recipe="ticket",
        text=("body",),
        categorical={"channel": ("web", "phone")},
        numeric={"created_at": Number(0, 0, 1)},
        vocabulary=WORDS,
        word_documents=tuple(range(100, 60, -1)),
        phrases=(),
        phrase_documents=(),
        documents=400,
        labels={"contact_type": LEAVES, "reply": REPLIES},
        label_counts=counts,
        separator=" > ",
        max_tokens=32,
    )


HISTORY = [{"epoch": epoch, "loss": 1 / epoch, "validation_accuracy.reply": 0.5} for epoch in (1, 2, 3)]


@dataclass
class KeyReader:
    """A bundle's interface over a rule: the last word of the text names the label."""

    model_id: str
    certainty: float
    recipe: str = "ticket"

    def __post_init__(self) -> None:
        self.spec = _spec()
        self.manifest = {"model_kind": "ticket-network", "snapshot": "snap"}
        learnt: list[dict[str, float | None]] = [
            {"precision": 0.9, "threshold": 0.8, "share": 0.5},
            {"precision": 0.99, "threshold": None, "share": 0.0},
        ]
        self.policy = Policy(
            {"contact_type": HeadPolicy(auto=0.8, backoff=0.6, coverage=learnt), "reply": HeadPolicy()}
        )

    def project(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, Projected]:
        answers = {}
        for head, labels in self.spec.labels.items():
            logits = np.zeros((rows, len(labels)))
            for row, body in enumerate(columns["body"]):
                key = (body or "").rpartition("key")[2]
                if key.isdigit():
                    logits[row, int(key) % len(labels)] = self.certainty
            weights = np.exp(logits)
            probabilities = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
            answers[head] = Projected(probabilities, np.zeros(rows, np.float32))
        return answers


def _bundle(model_id: str, certainty: float) -> Bundle:
    return cast(Bundle, KeyReader(model_id, certainty))


@dataclass(frozen=True)
class Evaluated:
    store: Store
    network: Path
    out: Path
    metrics: dict[str, Any]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    folder = tmp_path_factory.mktemp("evaluation")
    store = Store(str(folder / "store"))
    put_snapshot(store, "snap", COLUMNS, TRAIN, TEST)
    network = folder / "network"
    network.mkdir()
    rng = np.random.default_rng(0)
    weights = {
        "words.weight": rng.normal(size=(42, 8)).astype(np.float32),
        "outputs.contact_type.weight": rng.normal(size=(len(LEAVES), 8)).astype(np.float32),
        "wide_tables.contact_type.weight": rng.normal(size=(42, len(LEAVES))).astype(np.float32),
    }
    save_file(weights, network / "weights.safetensors")
    temperature = {"contact_type": 2.0, "reply": 1.0}
    (network / "config.json").write_bytes(canonical_json({"network": {"temperature": temperature}}))
    metrics = evaluate(
        _bundle("candidate", 4.0),
        store,
        "snap",
        others={"v1": _bundle("old", 0.1)},
        parameters=TicketParameters(),
        out=folder / "out",
        network=network,
        history=HISTORY,
    )
    return Evaluated(store, network, folder / "out", metrics)


def test_the_figures_have_the_promised_shape(evaluated: Evaluated) -> None:
    metrics = orjson.loads((evaluated.out / METRICS).read_bytes())
    assert metrics == orjson.loads(canonical_json(evaluated.metrics))
    assert metrics["recipe"] == "ticket"
    assert metrics["model_id"] == "candidate"
    assert metrics["rows"] == {"train": 400, "test": 300, "refused": 0}
    assert set(metrics["test"]) == {"contact_type", "reply"}
    assert set(metrics["baselines"]) == {"majority", "tfidf-svc", "v1"}
    promised = {"accuracy", "macro_f1", "top3", "n", "majority"}
    for heads in (metrics["test"], *metrics["baselines"].values()):
        for head in ("contact_type", "reply"):
            assert promised <= set(heads[head])
            assert heads[head]["n"] == metrics["test"][head]["n"]
    assert {"ece", "ece_before", "temperature"} <= set(metrics["calibration"]["reply"])
    assert metrics["test"]["reply"]["majority"] == metrics["baselines"]["majority"]["reply"]["accuracy"]


def test_the_figures_are_right(evaluated: Evaluated) -> None:
    labelled = [row for row in TEST if row["contact_type"] is not None]
    truth = [row["contact_type"] for row in labelled]
    keys = [row["body"].rpartition("key")[2] for row in labelled]
    predicted = [LEAVES[int(key)] if key else LEAVES[0] for key in keys]
    figures = evaluated.metrics["test"]["contact_type"]
    assert figures["n"] == len(labelled)
    assert figures["unseen"] == sum(label not in LEAVES for label in truth) > 5
    accuracy = np.mean(np.array(truth) == np.array(predicted))
    assert figures["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert figures["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0), abs=1e-6)
    most = max(range(len(LEAVES)), key=lambda index: evaluated_counts()[index])
    assert figures["majority"] == pytest.approx(np.mean(np.array(truth) == LEAVES[most]), abs=1e-6)
    top_level = [one.split(" > ")[0] == other.split(" > ")[0] for one, other in zip(truth, predicted, strict=True)]
    levels = evaluated.metrics["tree"]["contact_type"]["levels"]
    assert levels[0]["accuracy"] == pytest.approx(np.mean(top_level), abs=1e-6)
    assert levels[1]["accuracy"] == figures["accuracy"]


def evaluated_counts() -> tuple[int, ...]:
    """Return the training rows of each leaf."""
    return _spec().label_counts["contact_type"]


def test_a_model_is_compared_with_each_baseline_on_the_same_rows(evaluated: Evaluated) -> None:
    metrics = evaluated.metrics
    for name in metrics["baselines"]:
        difference = metrics["comparison"][name]["reply"]
        accuracies = (metrics["test"]["reply"]["accuracy"], metrics["baselines"][name]["reply"]["accuracy"])
        assert difference["difference"] == pytest.approx(accuracies[0] - accuracies[1], abs=2e-6)
        assert difference["low"] <= difference["difference"] <= difference["high"]
    # The same rule, only less certain: the same labels, so no difference at all.
    assert metrics["comparison"]["v1"]["reply"] == {"difference": 0, "low": 0, "high": 0}


def test_slices_name_the_weak_places(evaluated: Evaluated) -> None:
    slices = evaluated.metrics["slices"]["contact_type"]
    by_name = {name: {row["value"]: row for row in rows} for name, rows in slices.items()}
    labelled = [row for row in TEST if row["contact_type"] is not None]
    assert by_name["channel"]["(missing)"]["n"] == sum(row["channel"] is None for row in labelled)
    assert by_name["channel"]["(other)"]["n"] == 1
    assert by_name["text length"]["no text"]["n"] == 1
    assert by_name["text repeated from training"]["repeated"]["n"] >= 9
    assert by_name["label in training"]["never seen"]["accuracy"] == 0
    assert by_name["branch"]["New branch"]["n"] == by_name["label in training"]["never seen"]["n"] - 1
    assert sum(row["n"] for row in slices["label depth"]) == len(labelled)
    assert [row["value"] for row in slices["month of creation"]] == [f"2025-0{month}" for month in range(1, 7)]
    assert "branch" not in evaluated.metrics["slices"]["reply"]
    for rows in slices.values():
        assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)


def test_the_policy_of_the_bundle_is_what_is_measured(evaluated: Evaluated) -> None:
    policy = evaluated.metrics["automation"]["contact_type"]["policy"]
    assert sum(part["share"] for part in policy.values()) == pytest.approx(1, abs=1e-5)
    assert policy["auto"]["share"] > 0.9
    assert evaluated.metrics["automation"]["reply"]["policy"]["auto"]["share"] == 0
    for row in evaluated.metrics["automation"]["contact_type"]["simulated"]:
        assert 0 <= row["share"] <= 1
    high, highest = evaluated.metrics["automation"]["contact_type"]["learnt"]
    assert (high["share"], high["reached"]) == (policy["auto"]["share"], policy["auto"]["accuracy"])
    assert highest == {"precision": 0.99, "threshold": None, "share": 0, "reached": None}
    assert evaluated.metrics["automation"]["reply"]["learnt"] == []
    backoff = evaluated.metrics["tree"]["contact_type"]["backoff"]
    assert backoff["leaf"] + backoff["ancestor"] + backoff["none"] == pytest.approx(1, abs=1e-5)


def test_the_same_evaluation_gives_the_same_bytes(evaluated: Evaluated, tmp_path: Path) -> None:
    again = evaluate(
        _bundle("candidate", 4.0),
        evaluated.store,
        "snap",
        others={"v1": _bundle("old", 0.1)},
        parameters=TicketParameters(),
        out=tmp_path,
        network=evaluated.network,
        history=HISTORY,
    )
    assert again == evaluated.metrics
    for name in (METRICS, PREDICTIONS, PICTURES, REPORT):
        assert (tmp_path / name).read_bytes() == (evaluated.out / name).read_bytes(), name


class Page(HTMLParser):
    """Collects what a browser would follow or run, and whether the tags match."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [str(values[name]) for name in ("src", "href", "xlink:href", "srcset") if name in values]
        if "id" in values:
            self.ids.append(str(values["id"]))
        self.pictures += tag == "svg" and bool(values.get("aria-label"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _page(path: Path) -> tuple[str, Page]:
    text = path.read_text("utf-8")
    page = Page()
    page.feed(text)
    return text, page


def test_the_page_asks_nobody_for_anything_and_runs_nothing(evaluated: Evaluated) -> None:
    text, page = _page(evaluated.out / REPORT)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("#") for address in page.addresses)
    assert not page.tags & {"script", "iframe", "img", "link", "object", "embed"}
    assert "@import" not in text
    assert all(part.startswith("#") for part in text.split("url(")[1:])
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses} <= set(page.ids)
    assert page.pictures == 16
    assert "drift" in page.ids


def test_the_page_tells_the_story_and_no_customers_words(evaluated: Evaluated) -> None:
    text, _ = _page(evaluated.out / REPORT)
    accuracy = evaluated.metrics["test"]["contact_type"]["accuracy"]
    assert f"right contact type in {100 * accuracy:.1f}" in text
    assert "TF-IDF + linear SVC" in text
    assert "candidate" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text
    for name in (METRICS, PREDICTIONS, PICTURES, REPORT):
        assert SECRET.encode() not in (evaluated.out / name).read_bytes()


def test_predictions_hold_no_text_and_feed_the_gate(evaluated: Evaluated, tmp_path: Path) -> None:
    table = pq.read_table(evaluated.out / PREDICTIONS)
    assert {"row", "head", "label", "predicted", "confidence"} <= set(table.column_names)
    assert "body" not in table.column_names
    champion = evaluate_rows(
        _bundle("champion", 4.0), snapshot_rows(evaluated.store, "snap"), tmp_path, with_report=False
    )
    assert not (tmp_path / REPORT).exists()
    assert set(champion["baselines"]) == {"majority"}
    verdict = gate(evaluated.metrics, evaluated.out / PREDICTIONS, champion, tmp_path / PREDICTIONS)
    assert verdict.decision == "promote"
    held = {"decision": "hold", "reasons": ["reply: accuracy -3.0 points <b>"], "details": {}}
    shown = write_report(evaluated.out, held).read_text("utf-8")
    write_report(evaluated.out)
    assert "The champion stays" in shown
    assert "reply: accuracy -3.0 points &lt;b&gt;" in shown


def test_a_table_without_labels_is_told_not_crashed_on(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    bare = [{key: value for key, value in row.items() if key not in ("contact_type", "reply")} for row in TEST[:20]]
    put_snapshot(store, "bare", COLUMNS, TRAIN[:5], bare)
    metrics = evaluate_rows(_bundle("m", 1.0), snapshot_rows(store, "bare"), tmp_path / "out")
    assert metrics["test"]["reply"]["n"] == 0
    assert metrics["test"]["reply"]["accuracy"] is None
    assert metrics["calibration"]["reply"]["ece"] is None
    text, page = _page(tmp_path / "out" / REPORT)
    assert "nothing could be measured" in text
    assert page.open == []


def test_shorten_keeps_both_ends() -> None:
    assert shorten("abc") == "abc"
    assert shorten("a" * 50 + "\n" + "b" * 50, 11) == "aaaaa…bbbbb"
