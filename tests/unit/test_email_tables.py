"""Do emails take the way of tickets through tables, readiness and job 1, under the names of an email's parts?"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from frontdesk.email.preparation import MailPreparation
from frontdesk.errors import BadColumns
from frontdesk.leakage import suspects
from frontdesk.readiness import readiness
from frontdesk.records import EmailColumns, EmailLabels
from frontdesk.snapshots import read_rows, take_snapshot
from frontdesk.storage import Store
from frontdesk.tables import read_batches, schema_of
from frontdesk.ticket.recipe import TicketParameters

COLUMNS = EmailColumns(
    id="number",
    subject="betreff",
    body="nachricht",
    custodian_bank="bank",
    received_at="eingang",
    labels=EmailLabels(queue="schlange", topic="thema"),
)
KONSTANZ = Path(__file__).parents[3] / "shared/data/konstanz_dev.parquet"


def _table(folder: Path, rows: int = 300) -> Path:
    path = folder / "mails.jsonl"
    lines = [
        {
            "number": f"m{row}",
            "betreff": f"Frage {row}",
            "nachricht": f"SECRET{row} bitte antworten",
            "bank": "AB"[row % 2],
            "eingang": f"2024-{row * 12 // rows + 1:02d}-01T10:00:00",
            "schlange": "xyz"[row % 3],
            "thema": None if row % 5 == 0 else "tu"[row % 2],
        }
        for row in range(rows)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def _take(folder: Path, data: Path, **options: Any) -> dict[str, Any]:
    store = Store(str(folder / "store"))
    return take_snapshot(
        store, recipe="email", data=str(data), columns=COLUMNS, parameters=TicketParameters(), **options
    )


def _mask(rows: pa.RecordBatch) -> pa.RecordBatch:
    place = rows.schema.get_field_index("body")
    masked = pc.replace_substring_regex(rows.column(place), r"SECRET\d+", "[SECRET]")
    return rows.set_column(place, rows.schema.field(place), masked)


def test_rows_have_the_names_of_an_emails_parts(tmp_path: Path) -> None:
    (batch,) = read_batches(str(_table(tmp_path)), COLUMNS)
    assert batch.rows.schema.equals(schema_of(COLUMNS))
    row = batch.rows.to_pylist()[7]
    assert row.pop("created_at").isoformat() == "2024-01-01T10:00:00+00:00"
    assert row == {
        "id": "m7",
        "subject": "Frage 7",
        "body": "SECRET7 bitte antworten",
        "custodian_bank": "B",
        "queue": "y",
        "topic": "u",
        "row": 7,
    }


def test_a_missing_column_is_named_as_the_table_would_call_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"betreff": ["a"], "bank": ["b"]}), tmp_path / "t.parquet")
    with pytest.raises(BadColumns, match="'nachricht'"):
        list(read_batches(str(tmp_path / "t.parquet"), COLUMNS, labels_optional=True))


def test_labels_are_optional_where_something_is_predicted(tmp_path: Path) -> None:
    # The label is called as another mapping's input: what counts is the table's name, not the snapshot's.
    columns = EmailColumns(body="text", labels=EmailLabels(topic="subject"))
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "t.parquet")
    (batch,) = read_batches(str(tmp_path / "t.parquet"), columns, labels_optional=True)
    assert batch.rows.to_pylist() == [{"id": "0", "body": "a", "topic": None, "row": 0}]


def test_a_snapshot_of_emails(tmp_path: Path) -> None:
    manifest = _take(tmp_path, _table(tmp_path))
    assert manifest["recipe"] == "email"
    assert manifest["split"]["kind"] == "time"
    assert manifest["rows"] == {"train": 250, "test": 50, "refused": 0}, "months stay whole"
    assert set(manifest["labels"]) == {"queue", "topic"}
    assert manifest["labels"]["topic"] == {"n": 240, "distinct": 2, "empty": 60}
    assert manifest["prepare"] is None


def test_rows_are_prepared_before_anything_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontdesk.snapshots.shutil", SimpleNamespace(rmtree=str))  # the staged rows stay, to be seen
    data = _table(tmp_path)
    manifest = _take(tmp_path, data, prepare=_mask, prepare_key={"masks": 1})
    stored = sorted((tmp_path / "store").rglob("*.parquet"))
    assert any("stage" in path.parts for path in stored)
    for path in stored:
        table = pq.read_table(path)
        assert "SECRET0" not in str(table.to_pylist())
        assert table.num_rows == 0 or "body" in table.column_names
    bodies = [
        row["body"]
        for batch in read_rows(Store(str(tmp_path / "store")), manifest["id"], "train")
        for row in batch.to_pylist()
    ]
    assert set(bodies) == {"[SECRET] bitte antworten"}
    assert manifest["prepare"] == {"masks": 1}


def test_the_id_follows_the_preparation(tmp_path: Path) -> None:
    data = _table(tmp_path)
    keys: list[dict[str, Any]] = [{}, {"prepare": _mask}, {"prepare": _mask, "prepare_key": {"masks": 2}}]
    ids = [_take(tmp_path, data, **key)["id"] for key in keys]
    assert len(set(ids)) == 3
    assert _take(tmp_path, data, prepare=_mask)["id"] == ids[1]


def test_a_preparation_keeps_rows_and_schema(tmp_path: Path) -> None:
    data = _table(tmp_path)
    with pytest.raises(AssertionError):
        _take(tmp_path, data, prepare=lambda rows: rows.slice(1))
    with pytest.raises(AssertionError):
        _take(tmp_path, data, prepare=lambda rows: rows.drop_columns(["body"]))
    assert not list((tmp_path / "store").rglob("manifest.json"))


def test_readiness_of_emails(tmp_path: Path) -> None:
    report = readiness("email", str(_table(tmp_path)), COLUMNS)
    assert report.rows == 300
    assert report.span == ("2024-01-01", "2024-12-01")
    assert set(report.heads) == {"queue", "topic"}
    assert report.heads["topic"].empty == 60
    # custodian_bank tells the topic here; a suspect goes by the name of the part.
    assert {(one.field, one.head) for one in report.suspects} == {("custodian_bank", "topic")}
    with pytest.raises(BadColumns, match="business_line, queue, topic"):
        readiness("email", str(_table(tmp_path)), EmailColumns(body="nachricht"))


def test_readiness_looks_at_mails_as_they_are_stored(tmp_path: Path) -> None:
    """An answer that quotes its label knows it; what is stored, and what the model sees, has no quotes."""
    path = tmp_path / "quoted.parquet"
    teams = [f"Schlange {row % 3}" for row in range(300)]
    asked = ["Wann kommt meine Karte?", "Bitte um einen Termin.", "Danke, erledigt."]
    bodies = [
        f"{asked[row % 7 % 3]}\n\nAm 3.4.2024 um 10:12 schrieb Bank <a@b.de>:\n> {team}"
        for row, team in enumerate(teams)
    ]
    pq.write_table(pa.table({"b": bodies, "s": teams}), path)
    columns = EmailColumns(body="b", labels=EmailLabels(queue="s"))
    raw = readiness("email", str(path), columns)
    assert [suspect.field for suspect in raw.suspects] == ["body"]
    assert raw.heads["queue"].conflicts == 0
    stored = readiness("email", str(path), columns, prepare=MailPreparation(masking=True))
    assert stored.suspects == []
    assert stored.heads["queue"].conflicts == 300
    assert any("hardly tell more" in words for words in stored.words)


def test_a_flat_label_is_quoted_only_as_a_whole() -> None:
    columns = EmailColumns(body="b", labels=EmailLabels(topic="t"))
    topics = ["Post > Karte", "Post > Konto"] * 30
    last_words = [topic.split(" > ")[1].lower() for topic in topics]
    whole = ["post karte" if "Karte" in topic else "post konto" for topic in topics]
    sample = pa.table({"topic": topics})
    assert not suspects(sample, last_words, columns)
    assert suspects(sample, whole, columns)


@pytest.mark.realdata
@pytest.mark.skipif(not KONSTANZ.exists(), reason="../shared/data/konstanz_dev.parquet is not here")
def test_the_reports_of_konstanz_can_be_taken(tmp_path: Path) -> None:
    columns = EmailColumns(
        body="text",
        received_at="created_at",
        custodian_bank="district",
        labels=EmailLabels(business_line="business_line", queue="queue", topic="topic"),
    )
    store = Store(str(tmp_path))
    manifest = take_snapshot(
        store, recipe="email", data=str(KONSTANZ), columns=columns, parameters=TicketParameters(split="random")
    )
    assert sum(manifest["rows"].values()) == 3_791
    assert {head: counts["distinct"] for head, counts in manifest["labels"].items()} == {
        "business_line": 6,
        "queue": 15,
        "topic": 23,
    }
