"""Batch scoring of a table on one machine."""

from __future__ import annotations

from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from frontdesk.bundle import Bundle
from frontdesk.errors import EmptyTable, UsageError
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.scoring import score_table
from frontdesk.simulation import tickets


def test_every_row_gets_the_answer_of_the_bundle(ticket_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(ticket_bundle)
    table = tickets.simulate(30, seed=5)
    tickets.write(table, tmp_path / "in.parquet")
    answers = {}
    for ending in ("parquet", "jsonl", "csv"):
        out = tmp_path / f"out.{ending}"
        summary = score_table(bundle, str(tmp_path / "in.parquet"), DEFAULT_TICKET_COLUMNS, out)
        assert summary == {"model_id": bundle.model_id, "rows": 30, "refused": 0, "out": str(out)}
    answers = pq.read_table(tmp_path / "out.parquet").to_pylist()
    columns = {name: table.column(name).to_pylist() for name in bundle.spec.fields}
    for answer, expected in zip(answers, bundle.predict_columns(columns, 30), strict=True):
        said = expected.labels["contact_type"]
        assert (answer["contact_type"], answer["contact_type_decision"]) == (said.label, said.decision)
        assert answer["contact_type_confidence"] == pytest.approx(said.confidence, abs=1e-6)
        assert orjson.loads(answer["contact_type_alternatives"])[0]["label"] == said.alternatives[0].label
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["id"] for line in lines] == table.column("id").to_pylist()


def test_refused_rows_are_told_and_nothing_is_left_half_written(ticket_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(ticket_bundle)
    source = tmp_path / "in.jsonl"
    tickets.write(tickets.simulate(3, seed=5), source)
    rows = [orjson.loads(line) for line in source.read_bytes().splitlines()]
    rows[1]["order_total"] = "many"
    source.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    summary = score_table(bundle, str(source), DEFAULT_TICKET_COLUMNS, tmp_path / "out.csv")
    assert (summary["rows"], summary["refused"]) == (2, 1)
    refused = pq.read_table(summary["refusals"]).to_pylist()
    assert [(one["row"], one["field"]) for one in refused] == [(2, "order_total")]
    source.write_bytes(b"")
    with pytest.raises(EmptyTable):
        score_table(bundle, str(source), DEFAULT_TICKET_COLUMNS, tmp_path / "other.csv")
    with pytest.raises(UsageError, match="unknown ending"):
        score_table(bundle, str(source), DEFAULT_TICKET_COLUMNS, tmp_path / "other.xls")
    assert not [path for path in tmp_path.iterdir() if "other" in path.name]
