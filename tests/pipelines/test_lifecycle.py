"""Does one call run the six jobs, take the right branch, and leave whole results?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from frontdesk.bundle import Bundle
from frontdesk.bundle.signature import checked_bundle
from frontdesk.deployment import current
from frontdesk.errors import BadColumns, FrontdeskError, UnreadableFile, UntrustedBundle, UsageError
from frontdesk.pipelines.local import _alone, run_lifecycle
from frontdesk.recipes import jobs
from frontdesk.records import DEFAULT_TICKET_COLUMNS, TicketColumns
from frontdesk.registry import Registry
from frontdesk.storage import Store
from frontdesk.ticket.recipe import TicketParameters
from tests.lifecycle_run import ROWS, FinishedRun, run_small, write_tickets
from tests.signing_keys import KeyPair, Trust

pytestmark = pytest.mark.slow


def registry_of(out: Path) -> Registry:
    return Registry(f"sqlite:///{out / 'work' / 'mlflow.db'}")


def store_of(out: Path) -> Store:
    return Store(str(out / "work" / "store"))


@pytest.fixture
def copied(finished: FinishedRun, tmp_path: Path) -> Path:
    """The finished run's folder, to be changed. Addresses in its registry still name the original."""
    return Path(shutil.copytree(finished.out, tmp_path / "out"))


# --- promote


def test_the_first_model_is_promoted_and_deployed(finished: FinishedRun) -> None:
    result = finished.result
    assert result.decision == "promote"
    assert result.reasons
    champion = registry_of(finished.out).champion("ticket")
    assert (champion.number, champion.model_id, champion.snapshot) == (1, result.model_id, result.snapshot)
    deployed = current(store_of(finished.out), "ticket")
    assert deployed == {"model_id": result.model_id, "uri": champion.bundle, "version": 1}
    assert Bundle.load(champion.bundle).model_id == result.model_id


def test_the_results_are_whole_and_of_one_model(finished: FinishedRun) -> None:
    out, metrics = finished.out, finished.result.metrics
    assert sorted(path.name for path in out.iterdir()) == [
        "bundle",
        "bundle-v1",
        "metrics.json",
        "predictions.parquet",
        "report.html",
        "run.log",
        "work",
    ]
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert Bundle.load(out / "bundle").model_id == metrics["model_id"] == finished.result.model_id
    assert Bundle.load(out / "bundle-v1").manifest["model_kind"] == "ticket-classical"
    assert metrics["rows"]["train"] + metrics["rows"]["test"] + metrics["rows"]["refused"] == ROWS
    assert set(metrics["test"]) == {"contact_type", "reply"}
    assert {"majority", "tfidf-svc", "v1"} <= set(metrics["baselines"])
    assert metrics["gate"] == {"decision": "promote", "reasons": list(finished.result.reasons)}
    assert Bundle.load(out / "bundle").metrics["test"] == metrics["test"]


def test_working_folders_of_finished_jobs_are_gone(finished: FinishedRun) -> None:
    work = finished.out / "work"
    assert [path for name in ("train", "fuse") for path in (work / name).iterdir()] == []
    assert not (work / "results").exists()


def artifacts(out: Path, step: str) -> dict[str, Any]:
    (found,) = (out / "work" / "runs").glob(f"*/{step}/executor_output.json")
    outputs = json.loads(found.read_text())["artifacts"]
    return {name: entry["artifacts"][0] for name, entry in outputs.items()}


def test_the_console_gets_numbers_a_matrix_a_page_and_cards(finished: FinishedRun) -> None:
    shown = artifacts(finished.out, "fuse")
    accuracy = finished.result.metrics["test"]["contact_type"]["accuracy"]
    assert shown["metrics"]["metadata"]["test.contact_type.accuracy"] == pytest.approx(accuracy)
    matrix = shown["confusion"]["metadata"]["confusionMatrix"]
    assert len(matrix["rows"]) == len(matrix["annotationSpecs"]) > 1
    assert Path(shown["report"]["uri"]).read_text("utf-8").lstrip().lower().startswith("<!doctype html")
    card = artifacts(finished.out, "etl")["snapshot"]
    assert card["metadata"]["id"] == finished.result.snapshot
    # The folder itself is never the artifact: KFP would copy it, and refuses an address outside of its own bucket.
    assert Path(card["uri"]).is_file()
    assert json.loads(Path(card["uri"]).read_text())["id"] == finished.result.snapshot
    assert "promote" in Path(artifacts(finished.out, "gate")["verdict"]["uri"]).read_text()


def test_the_log_holds_no_text_of_a_ticket(finished: FinishedRun) -> None:
    import pyarrow.parquet as pq

    log = (finished.out / "run.log").read_text("utf-8")
    bodies = [
        body for body in pq.read_table(finished.data, columns=["body"])["body"].to_pylist() if body and len(body) > 40
    ]
    assert len(bodies) > 100
    assert not any(body[:40] in log for body in bodies)
    assert "@@progress" not in log


# --- again, and hold


def test_a_second_run_gives_the_same_model_and_no_second_version(
    finished: FinishedRun, copied: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copied / "bundle" / "left-over").write_text("by someone else")
    again = run_small(finished.data, copied)
    assert (again.model_id, again.snapshot) == (finished.result.model_id, finished.result.snapshot)
    assert again.decision == "promote"
    assert [version.model_id for version in registry_of(copied).versions("ticket")] == [again.model_id]
    assert not (copied / "bundle" / "left-over").exists()
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split()[0] for line in err.splitlines()][:2] == ["1", "2"]


def test_a_worse_candidate_is_held_and_the_champion_stays(finished: FinishedRun, copied: Path) -> None:
    held = run_small(finished.data, copied, epochs=1, rate=1e-9, wide_rate=0, max_words=3, max_phrases=0)
    assert held.decision == "hold"
    assert any("worse beyond chance" in reason for reason in held.reasons)
    assert held.model_id != finished.result.model_id
    assert held.snapshot == finished.result.snapshot
    registry = registry_of(copied)
    assert registry.champion("ticket").model_id == finished.result.model_id
    assert registry.candidate("ticket").model_id == held.model_id
    assert current(store_of(copied), "ticket")["model_id"] == finished.result.model_id
    assert Bundle.load(copied / "bundle").model_id == held.model_id
    assert json.loads((copied / "metrics.json").read_text())["gate"]["decision"] == "hold"


def test_a_champion_that_cannot_be_loaded_is_said_and_stops_nothing(finished: FinishedRun) -> None:
    store = store_of(finished.out)
    (fused,) = (path.name for path in Path(store.uri("fused")).iterdir())
    verdict = jobs("ticket").gate(fused=fused, champion=str(finished.out / "nowhere"), store=store.root)
    assert verdict["decision"] == "promote"
    assert "cannot be loaded" in verdict["reasons"][0]


# --- keys


def test_what_a_run_with_keys_deploys_is_signed_and_another_key_deploys_nothing(
    tmp_path: Path, signing_keys: tuple[KeyPair, KeyPair], trust: Trust
) -> None:
    data, out = write_tickets(tmp_path / "tickets.parquet"), tmp_path / "out"
    trust.use(sign=signing_keys[0].private, verify=signing_keys[0].public)
    result = run_small(data, out)
    deployed = current(store_of(out), "ticket")
    for bundle in (deployed["uri"], str(out / "bundle"), str(out / "bundle-v1")):
        assert checked_bundle(bundle, str(signing_keys[0].public))[1] is not None
    assert deployed["model_id"] == result.model_id
    trust.use(verify=signing_keys[1].public)
    with pytest.raises(UntrustedBundle, match="not trusted here"):
        run_small(data, out)
    assert current(store_of(out), "ticket") == deployed
    trust.use(verify=signing_keys[0].public)
    assert Bundle.load(deployed["uri"]).model_id == result.model_id


# --- refusals


def refused(
    tmp_path: Path, kind: type[FrontdeskError], data: Path, columns: TicketColumns = DEFAULT_TICKET_COLUMNS
) -> str:
    out = tmp_path / "out"
    with pytest.raises(kind) as caught:
        run_lifecycle("ticket", data=str(data), columns=columns, parameters=TicketParameters(), out=out)
    assert type(caught.value) is kind
    assert sorted(path.name for path in out.iterdir()) == ["run.log", "work"]
    return str(caught.value)


def test_a_missing_column_is_named(finished: FinishedRun, tmp_path: Path) -> None:
    words = refused(tmp_path, BadColumns, finished.data, TicketColumns(text=("letter",), contact_type="contact_type"))
    assert "letter" in words


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.csv" in refused(tmp_path, UnreadableFile, tmp_path / "nowhere.csv")


def test_an_unknown_recipe_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recipe"):
        run_lifecycle(
            "letters",
            data="a.csv",
            columns=DEFAULT_TICKET_COLUMNS,
            parameters=TicketParameters(),
            out=tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()


def test_two_runs_in_one_folder_are_refused(finished: FinishedRun, tmp_path: Path) -> None:
    work = tmp_path / "out" / "work"
    work.mkdir(parents=True)
    with _alone(work), pytest.raises(UsageError, match="another run"):
        run_small(finished.data, tmp_path / "out")
