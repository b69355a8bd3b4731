"""`frontdesk drift`: files in, verdict and pages out, and exit codes that tell what was wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.errors import FrontdeskError
from frontdesk.monitoring.windows import LevelCounter
from frontdesk.recipes import simulation

DATA = Path(__file__).resolve().parents[3] / "shared/data"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def without_evidently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave Evidently's page out: it takes half a minute to import, and has its own test."""
    from frontdesk.monitoring import files

    monkeypatch.setattr(files, "_beside", lambda windows, watched, verdict, out: (verdict, None))


def drift(recipe: str, reference: Path, current: Path, out: Path, *more: str) -> dict[str, Any]:
    arguments = ["drift", recipe, "--reference", str(reference), "--current", str(current), "--out", str(out), *more]
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written = json.loads((out / "verdict.json").read_text())
    assert {name: value for name, value in written.items() if name != "recipe"} == json.loads(result.stdout)
    page = (out / "report.html").read_text()
    assert written["verdict"] in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert [cause["level"] != "drift" for cause in written["causes"]] == sorted(
        cause["level"] != "drift" for cause in written["causes"]
    )
    assert all(cause["score"] >= cause["threshold"] for cause in written["causes"])
    return dict(written)


def simulated(recipe: str, rows: int, seed: int, path: Path, change: str | None = None) -> Path:
    simulator = simulation(recipe)
    simulator.write(simulator.simulate(rows, seed, change), path)
    return path


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated("ticket", 900, 1, tmp_path_factory.mktemp("tickets") / "reference.parquet")


def test_tickets(tickets: Path, tmp_path: Path) -> None:
    same = drift("ticket", tickets, simulated("ticket", 400, 2, tmp_path / "now.csv"), tmp_path / "same")
    assert (same["verdict"], same["causes"]) == ("stable", [])
    assert same["rows"] == {"reference": 900, "current": 400}
    assert {check["column"] for check in same["checks"]} >= {"subject", "channel", "order_total", "contact_type"}
    other = drift("ticket", tickets, simulated("ticket", 400, 2, tmp_path / "c.jsonl", "channel"), tmp_path / "other")
    assert other["verdict"] == "drift"
    assert other["causes"][0]["column"] == "channel"
    assert other["causes"][0]["kind"] == "input"
    again = drift("ticket", tickets, tmp_path / "c.jsonl", tmp_path / "again")
    assert again == other


@pytest.mark.parametrize(
    ("change", "column", "kind"),
    [("text", "body", "text"), ("queue-rename", "queue", "label"), ("empty-bodies", "body", "text")],
)
def test_mails(change: str, column: str, kind: str, tmp_path: Path) -> None:
    reference = simulated("email", 600, 1, tmp_path / "reference.parquet")
    verdict = drift("email", reference, simulated("email", 300, 2, tmp_path / "now.parquet", change), tmp_path / "out")
    assert verdict["verdict"] == "drift"
    assert (verdict["causes"][0]["column"], verdict["causes"][0]["kind"]) == (column, kind)


def test_sessions(tmp_path: Path) -> None:
    reference = simulated("intent", 9_000, 1, tmp_path / "reference.parquet")
    same = drift("intent", reference, simulated("intent", 4_000, 2, tmp_path / "a.parquet"), tmp_path / "same")
    assert same["verdict"] == "stable", same["causes"]
    names = {check["column"] for check in same["checks"]}
    assert names >= {"name", "operator", "options_shown", "change of the list"}
    other = drift("intent", reference, simulated("intent", 4_000, 2, tmp_path / "b.parquet", "procedures"), tmp_path)
    assert other["causes"][0]["kind"] == "label"
    assert "of the sessions" in other["causes"][0]["words"]


def test_the_answers_of_a_bundle(tickets: Path, ticket_bundle: Path, tmp_path: Path) -> None:
    bundle = ("--bundle", str(ticket_bundle))
    same = drift("ticket", tickets, simulated("ticket", 300, 2, tmp_path / "a.parquet"), tmp_path / "same", *bundle)
    assert same["verdict"] == "stable", same["causes"]
    kinds = {check["column"]: check["kind"] for check in same["checks"]}
    assert kinds["contact_type predicted"] == kinds["reply confidence"] == kinds["reply decision"] == "prediction"
    assert kinds["contact_type right"] == "quality"
    assert kinds["texts in the model"] == "text"
    table = pq.read_table(tmp_path / "a.parquet")
    mute = pa.array(["zzz qqq"] * table.num_rows)
    for name in ("subject", "body"):
        table = table.set_column(table.column_names.index(name), name, mute)
    pq.write_table(table, tmp_path / "b.parquet")
    other = drift("ticket", tickets, tmp_path / "b.parquet", tmp_path / "other", *bundle)
    assert {cause["kind"] for cause in other["causes"]} >= {"text", "prediction"}
    (moved,) = (cause for cause in other["causes"] if cause["column"] == "texts in the model")
    assert (moved["method"], moved["level"]) == ("maximum_mean_discrepancy", "drift")
    assert "of the texts lie where 1.0 % of the reference's do" in moved["words"]
    error = failure("email", "--reference", "a", "--current", "b", *bundle, "--out", str(tmp_path))
    assert error.exit_code == 2
    assert "ticket" in str(error)


def test_rows_that_cannot_be_read_are_a_cause(tickets: Path, tmp_path: Path) -> None:
    table = pq.read_table(tickets)
    numbers = ["many" if row % 3 == 0 else str(row) for row in range(table.num_rows)]
    table = table.set_column(table.column_names.index("account_age_days"), "account_age_days", pa.array(numbers))
    pacsv.write_csv(
        table.select([name for name in table.column_names if name != "body"]).append_column("body", table["body"]),
        tmp_path / "broken.csv",
    )
    verdict = drift("ticket", tickets, tmp_path / "broken.csv", tmp_path / "out")
    found = [cause for cause in verdict["causes"] if cause["kind"] == "quality"]
    assert [(cause["column"], cause["method"]) for cause in found] == [("account_age_days", "refused_share")]
    assert "account_age_days: not a number" in found[0]["words"]


def test_an_announced_rename_is_no_drift(tickets: Path, tmp_path: Path) -> None:
    table = pq.read_table(tickets)
    top = pc.mode(table["reply"].drop_null().dictionary_encode().combine_chunks().indices)[0]["mode"].as_py()
    name = table["reply"].drop_null().dictionary_encode().combine_chunks().dictionary[top].as_py()
    renamed = pc.if_else(pc.equal(table["reply"], name), "Another name", table["reply"])
    late = pc.add(table["created_at"], pa.scalar(400 * 86_400_000_000, pa.duration("us")))
    current = table.set_column(table.column_names.index("reply"), "reply", renamed)
    pq.write_table(
        current.set_column(table.column_names.index("created_at"), "created_at", late), tmp_path / "b.parquet"
    )
    before = drift("ticket", tickets, tmp_path / "b.parquet", tmp_path / "out")
    assert before["causes"][0]["column"] == "reply"
    assert "“Another name”" in before["causes"][0]["words"]
    labels = sorted({label for label in table["reply"].to_pylist() if label})
    day = str(pc.min(late).as_py())[:10]
    file = tmp_path / "labels.yaml"
    file.write_text(
        json.dumps(
            {
                "format": 1,
                "start": "2020-01-01",
                "heads": {"reply": {"labels": labels}},
                "changes": [{"date": day, "head": "reply", "rename": {"label": name, "name": "Another name"}}],
            }
        )
    )
    after = drift("ticket", tickets, tmp_path / "b.parquet", tmp_path / "out", "--taxonomy", str(file))
    assert "reply" not in {cause["column"] for cause in after["causes"]}


def failure(*arguments: str) -> FrontdeskError:
    result = CliRunner().invoke(app, ["drift", *arguments])
    assert isinstance(result.exception, FrontdeskError), result.output
    return result.exception


def test_what_cannot_be_compared(tickets: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    lacking = tmp_path / "lacking.parquet"
    pq.write_table(pq.read_table(tickets).drop_columns("channel"), lacking)
    error = failure("ticket", "--reference", str(tickets), "--current", str(lacking), *out)
    assert error.exit_code == 3
    assert "'channel'" in str(error)
    assert "lacking.parquet" in str(error)
    infinite = tmp_path / "infinite.parquet"
    table = pq.read_table(tickets)
    place = table.column_names.index("order_total")
    pq.write_table(table.set_column(place, "order_total", pa.array(np.full(table.num_rows, np.inf))), infinite)
    error = failure("ticket", "--reference", str(tickets), "--current", str(infinite), *out)
    assert error.exit_code == 3
    assert "order_total: an infinite number in every row" in str(error)
    assert failure("ticket", "--reference", str(tickets), "--current", "no.parquet", *out).exit_code == 3
    assert failure("tickets", "--reference", str(tickets), "--current", str(tickets), *out).exit_code == 2
    error = failure("intent", "--reference", "a", "--current", "b", "--bundle", "c", *out)
    assert error.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_level_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontdesk.monitoring.windows.MOST_LEVELS", 3)
    counter = LevelCounter()
    for begin in (0, 5):
        counter.add(pa.array([*(f"id {place}" for place in range(begin, begin + 5)), None, "id 0"]))
    assert (len(counter.counts), counter.rest, counter.missing) == (3, 7, 2)
    assert counter.counts["id 0"] == 3


@pytest.mark.realdata
def test_konstanz_names_the_queue_and_not_the_business_line(tmp_path: Path) -> None:
    if not (path := DATA / "konstanz_dev.parquet").exists():
        pytest.skip("the Konstanz reports are not here")
    table = pq.read_table(path)
    early = pc.less(table["created_at"], pa.scalar(np.datetime64("2022-01-01", "ns")))
    for name, rows in (("a", early), ("b", pc.invert(early))):
        pq.write_table(table.filter(rows), tmp_path / f"{name}.parquet")
    columns = ("--columns", str(EXAMPLES / "konstanz.yaml"))
    verdict = drift("email", tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "out", *columns)
    columns_named = [cause["column"] for cause in verdict["causes"]]
    assert columns_named[0] == "queue"
    assert "business_line" not in columns_named


@pytest.mark.slow
@pytest.mark.realdata
def test_three_million_rows_in_bounded_memory(tmp_path: Path) -> None:
    if not (path := DATA / "cfpb_tabular_2011_2022.parquet").exists():
        pytest.skip("the table of complaints is not here")
    import resource

    table = pq.read_table(path)
    early = pc.less(table["date_received"], pa.scalar(np.datetime64("2017-04-24", "ms")))
    for name, rows in (("a", early), ("b", pc.invert(early))):
        pq.write_table(table.filter(rows), tmp_path / f"{name}.parquet")
    del table, early
    columns = ("--columns", str(EXAMPLES / "cfpb-tabular.yaml"))
    verdict = drift("ticket", tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "out", *columns)
    assert verdict["causes"][0]["column"] == "issue"
    assert verdict["causes"][0]["kind"] == "label"
    assert sum(verdict["rows"].values()) == 2_963_652
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 << 20  # kilobytes
