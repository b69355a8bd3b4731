"""Does one call train, compare, fuse and serve a pretrained encoder given as a folder, and answer as torch does?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from frontdesk.bundle.labels import LabelBundle
from frontdesk.email.engines import open_email_engine
from frontdesk.email.preparation import MailPreparation
from frontdesk.email.recipe import EmailParameters
from frontdesk.pipelines.local import RunResult, run_lifecycle
from frontdesk.records import DEFAULT_EMAIL_COLUMNS
from frontdesk.simulation.emails import simulate, write
from tests.hub_encoder import made_distilbert
from tests.serving.process import ServerProcess

pytestmark = pytest.mark.slow

HEADS = ("business_line", "queue", "topic")


@dataclass(frozen=True)
class HubRun:
    data: Path
    encoder: Path
    out: Path
    result: RunResult


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> HubRun:
    folder = tmp_path_factory.mktemp("hub-run")
    table = simulate(240, 7)
    write(table, folder / "mails.parquet")
    encoder = made_distilbert(folder / "encoder", [text for text in table["body"].to_pylist() if text])
    parameters = EmailParameters.of(
        {"encoder": "hub", "encoder.name": str(encoder), "compare": True, "epochs": 2, "rate": 1e-3, "max_tokens": 48}
        | {"split": "random"}
    )
    result = run_lifecycle(
        "email",
        data=str(folder / "mails.parquet"),
        columns=DEFAULT_EMAIL_COLUMNS,
        parameters=parameters,
        out=folder / "out",
    )
    return HubRun(folder / "mails.parquet", encoder, folder / "out", result)


def test_both_modes_are_measured_on_the_same_rows(run: HubRun) -> None:
    metrics = run.result.metrics
    assert {"majority", "tfidf-svc", "single"} == set(metrics["baselines"])
    for head in HEADS:
        assert metrics["baselines"]["single"][head]["n"] == metrics["test"][head]["n"] > 0
    assert LabelBundle.load(run.out / "bundle").manifest["model_kind"] == "email-hub"
    single = LabelBundle.load(run.out / "bundle-single")
    assert single.model_id != run.result.model_id
    report = (run.out / "report.html").read_text()
    assert "pretrained encoder" in report
    assert "One encoder per label set" in report


def test_no_result_names_a_folder_of_this_machine(run: HubRun) -> None:
    for path in [*run.out.glob("*.*"), *run.out.glob("bundle*/*.json"), *run.out.glob("bundle*/*.md")]:
        if path.suffix in (".json", ".html", ".md"):
            assert str(run.encoder.parent) not in path.read_text(), path.name


def test_the_server_answers_as_torch_does(run: HubRun, tmp_path: Path) -> None:
    bundle = LabelBundle.load(run.out / "bundle", engine="onnxruntime")
    table = pq.read_table(run.data).slice(0, 60)
    mails = [{name: row[name] for name in bundle.spec.fields} for row in table.to_pylist()]
    columns = {name: [mail[name] for mail in mails] for name in bundle.spec.fields}
    torch = open_email_engine(run.out / "bundle", bundle.spec, "eager")
    expected = torch.probabilities(MailPreparation(masking=True).columns(columns, len(mails)), len(mails))
    log = tmp_path / "log.jsonl"
    with ServerProcess.of_bundles(log, run.out / "bundle", arguments=("--engine", "onnxruntime")) as server:
        response = server.client.post("/v1/models/email:predict", json={"instances": mails})
    answers = response.json()["predictions"]
    for head in HEADS:
        places = {label: place for place, label in enumerate(bundle.spec.labels[head])}
        for row, answer in enumerate(answers):
            said = answer["labels"][head]
            for one in (said, *said["alternatives"]):
                assert abs(one["confidence"] - expected[head][row][places[one["label"]]]) < 1e-4
    assert len(answers) == len(mails)
    assert np.isfinite(expected["queue"]).all()
    assert json.loads((run.out / "metrics.json").read_text())["model_id"] == answers[0]["model_id"]
