"""Is a snapshot a pure function of its tables, mapping and split, complete, and refused where the data is bad?"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk import parts, splits
from frontdesk.errors import BadColumns, DataCheckFailed, EmptyTable, StorageError
from frontdesk.records import DEFAULT_TICKET_COLUMNS, TicketColumns
from frontdesk.simulation.tickets import simulate, write
from frontdesk.snapshots import read_rows, snapshot_files, take_snapshot
from frontdesk.storage import Store, describe
from frontdesk.tables import schema_of
from frontdesk.ticket.recipe import TicketParameters

COLUMNS = TicketColumns(id="id", created_at="at", text=("body",), contact_type="kind", reply="answer")


def _take(folder: Path, data: Path, columns: TicketColumns = DEFAULT_TICKET_COLUMNS, **options: Any) -> dict[str, Any]:
    test = options.pop("test", None)
    parameters = TicketParameters(**options)
    store = Store(str(folder / "store"))
    return take_snapshot(store, recipe="ticket", data=str(data), columns=columns, parameters=parameters, test=test)


def _rows(folder: Path, manifest: dict[str, Any], split: str) -> list[dict[str, Any]]:
    batches = read_rows(Store(str(folder / "store")), manifest["id"], split)
    return [row for batch in batches for row in batch.to_pylist()]


def _table(folder: Path, rows: list[dict[str, Any]], name: str = "t.jsonl") -> Path:
    path = folder / name
    base = {"id": None, "at": None, "body": None, "kind": None, "answer": None}
    path.write_text("\n".join(json.dumps(base | row) for row in rows))
    return path


def _many(rows: int, **columns: Any) -> list[dict[str, Any]]:
    """Return good rows; a callable makes a column's cell from the row's number."""
    base: dict[str, Any] = {
        "id": str,
        "at": lambda row: f"2024-01-{row % 28 + 1:02d}",
        "body": lambda row: f"text {row}",
        "kind": lambda row: "ABC"[row % 3],
        "answer": lambda row: "xy"[row % 2],
    }
    made = base | columns
    return [{name: cell(row) if callable(cell) else cell for name, cell in made.items()} for row in range(rows)]


def _check(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    return next(check for check in manifest["checks"] if check["name"] == name)


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tickets.parquet"
    write(simulate(3_000), path)
    return path


def test_manifest_and_files(tmp_path: Path, tickets: Path) -> None:
    manifest = _take(tmp_path, tickets)
    folder = tmp_path / "store" / "snapshots" / manifest["id"]
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    assert describe(folder) == manifest["files"]
    assert set(manifest["files"]) == {"refused.parquet", "train/part-00000.parquet", "test/part-00000.parquet"}
    assert manifest["rows"] == {"train": 2_400, "test": 600, "refused": 0}
    assert manifest["split"]["kind"] == "time"
    assert manifest["sources"]["data"]["name"] == "tickets.parquet"
    assert str(tmp_path) not in json.dumps(manifest)
    assert all(check["status"] == "pass" for check in manifest["checks"])
    train, test = _rows(tmp_path, manifest, "train"), _rows(tmp_path, manifest, "test")
    assert [row["row"] for row in train] == list(range(2_400))
    assert [row["row"] for row in test] == list(range(600))
    assert max(row["created_at"] for row in train) < min(row["created_at"] for row in test)
    ids = pq.read_table(tickets).column("id").to_pylist()
    assert [row["id"] for row in train + test] == ids, "the simulator writes in the order of time"
    for file in sorted(folder.glob("t*/*.parquet")):
        assert pq.read_schema(file).equals(schema_of(DEFAULT_TICKET_COLUMNS))


def test_the_same_work_has_the_same_digests(tmp_path: Path, tickets: Path) -> None:
    first = _take(tmp_path / "a", tickets)
    moved = tmp_path / "elsewhere" / "tickets.parquet"
    moved.parent.mkdir()
    moved.write_bytes(tickets.read_bytes())
    assert _take(tmp_path / "b", moved) == first
    folder = tmp_path / "a" / "store" / "snapshots" / first["id"]
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert _take(tmp_path / "a", tickets) == first
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == stamps, (
        "a finished snapshot is not rewritten"
    )


def test_the_id_follows_content_mapping_and_split(tmp_path: Path, tickets: Path) -> None:
    other = tmp_path / "tickets.parquet"
    write(simulate(3_000, seed=1), other)
    columns = DEFAULT_TICKET_COLUMNS.model_copy(update={"numeric": ("order_total",)})
    ids = [
        _take(tmp_path, tickets)["id"],
        _take(tmp_path, tickets, split="random")["id"],
        _take(tmp_path, tickets, split="random", seed=1)["id"],
        _take(tmp_path, tickets, test_share=0.3)["id"],
        _take(tmp_path, tickets, columns)["id"],
        _take(tmp_path, other)["id"],
        _take(tmp_path, tickets, test=str(other))["id"],
    ]
    assert len(set(ids)) == len(ids)
    assert _take(tmp_path, tickets, max_tokens=64)["id"] == ids[0], "a parameter that no snapshot depends on"


def test_random_split_is_stratified_and_seeded(tmp_path: Path, tickets: Path) -> None:
    manifest = _take(tmp_path, tickets, split="random")
    assert manifest["rows"]["test"] == 600
    counts = {
        split: Counter(row["contact_type"] for row in _rows(tmp_path, manifest, split)) for split in ("train", "test")
    }
    for label, count in counts["train"].items():
        total = count + counts["test"][label]
        assert abs(counts["test"][label] - 0.2 * total) <= 1, label
    assert set(counts["test"]) <= set(counts["train"])
    assert _take(tmp_path / "again", tickets, split="random") == manifest


def test_a_second_file_is_the_test_set(tmp_path: Path, tickets: Path) -> None:
    test = tmp_path / "new.csv"
    write(simulate(400, seed=9), test)
    manifest = _take(tmp_path, tickets, test=str(test))
    assert manifest["rows"] == {"train": 3_000, "test": 400, "refused": 0}
    assert manifest["split"]["kind"] == "file"
    train = {row["contact_type"] for row in _rows(tmp_path, manifest, "train")}
    unseen = [row for row in _rows(tmp_path, manifest, "test") if row["contact_type"] not in train | {None}]
    assert manifest["unseen_test_labels"]["contact_type"] == len(unseen)


def test_unseen_test_labels_are_counted(tmp_path: Path) -> None:
    data = _table(tmp_path, _many(60))
    test = _table(tmp_path, _many(9, kind=lambda row: "AZ"[row % 2], answer=None), "test.jsonl")
    manifest = _take(tmp_path, data, COLUMNS, test=str(test))
    assert manifest["unseen_test_labels"] == {"contact_type": 4, "reply": 0}
    assert _check(manifest, "test_labels.contact_type")["status"] == "pass"
    assert _check(manifest, "test_labels.reply")["status"] == "warn", "no test row has a reply"


def test_rows_without_a_time_stamp_are_refused_under_a_split_by_time(tmp_path: Path) -> None:
    rows = _many(50, at=lambda row: None if row in (3, 40) else f"2024-01-{row % 28 + 1:02d}")
    manifest = _take(tmp_path, _table(tmp_path, rows), COLUMNS)
    assert manifest["rows"]["refused"] == 2
    refused = pq.read_table(tmp_path / "store" / "snapshots" / manifest["id"] / "refused.parquet").to_pylist()
    assert [(row["file"], row["row"], row["field"]) for row in refused] == [("t.jsonl", 4, "at"), ("t.jsonl", 41, "at")]
    by_chance = _take(tmp_path, _table(tmp_path, rows), COLUMNS, split="random")
    assert by_chance["rows"]["refused"] == 0
    assert by_chance["span"]["first"] == "2024-01-01T00:00:00.000000Z"


def test_without_time_stamps_the_split_is_random(tmp_path: Path) -> None:
    data = _table(tmp_path, _many(50, at=None))
    assert _take(tmp_path, data, COLUMNS)["split"]["kind"] == "random"
    assert _take(tmp_path, data, COLUMNS)["span"] == {"first": None, "last": None}
    with pytest.raises(DataCheckFailed, match="refused"):
        _take(tmp_path, data, COLUMNS, split="time")
    with pytest.raises(BadColumns, match="created_at"):
        _take(tmp_path, data, COLUMNS.model_copy(update={"created_at": None}), split="time")


def test_refused_rows_are_set_aside_and_counted(tmp_path: Path) -> None:
    rows = _many(100, body=lambda row: ["nested"] if row % 10 == 0 else f"text {row}")
    manifest = _take(tmp_path, _table(tmp_path, rows), COLUMNS)
    assert manifest["rows"]["refused"] == 10
    assert sum(manifest["rows"].values()) == 100
    refused = pq.read_table(tmp_path / "store" / "snapshots" / manifest["id"] / "refused.parquet")
    assert refused.column("row").to_pylist() == [row + 1 for row in range(0, 100, 10)]
    assert set(refused.column("reason").to_pylist()) == {"a nested value"}
    check = _check(manifest, "refused_rows")
    assert check["status"] == "warn"
    assert "body: a nested value" in check["words"]


@pytest.mark.parametrize(
    ("columns", "check"),
    [
        ({"kind": "A", "answer": "x"}, "labels.contact_type"),
        ({"kind": None, "answer": None}, "labels.reply"),
        ({"body": lambda row: "" if row else "text"}, "empty_texts"),
        ({"at": lambda row: "2190-01-01" if row % 3 else "2024-01-01"}, "future_stamps"),
        ({"body": lambda row: {"a": 1} if row % 3 else "text"}, "refused_rows"),
        ({"body": lambda row: {"a": 1}}, "refused_rows"),
    ],
)
def test_bad_data_publishes_nothing(tmp_path: Path, columns: dict[str, Any], check: str) -> None:
    with pytest.raises(DataCheckFailed, match=rf"^t\.jsonl: .*\({check}\)"):
        _take(tmp_path, _table(tmp_path, _many(90, **columns)), COLUMNS)
    assert list((tmp_path / "store" / "snapshots").iterdir()) == []


def test_one_row_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(DataCheckFailed):
        _take(tmp_path, _table(tmp_path, _many(1)), COLUMNS)


@pytest.mark.parametrize(
    ("columns", "check"),
    [
        ({"kind": "A"}, "labels.contact_type"),
        ({"kind": lambda row: "B" if row in (1, 2) else "A"}, "labels.contact_type"),
        ({"body": lambda row: "" if row % 2 else f"text {row}"}, "empty_texts"),
        ({"body": lambda row: f"text {row // 2}"}, "duplicates"),
    ],
)
def test_doubtful_data_is_published_with_a_warning(tmp_path: Path, columns: dict[str, Any], check: str) -> None:
    manifest = _take(tmp_path, _table(tmp_path, _many(400, **columns)), COLUMNS, split="random")
    assert _check(manifest, check)["status"] == "warn"


def test_a_few_future_stamps_leave_the_manifest_alone(tmp_path: Path) -> None:
    # What counts as future changes with the clock; the snapshot must not.
    rows = _many(90, at=lambda row: "2190-01-01" if row == 5 else "2024-01-01")
    manifest = _take(tmp_path, _table(tmp_path, rows), COLUMNS)
    assert "future_stamps" not in json.dumps(manifest)


def test_a_mapping_without_a_label_is_refused(tmp_path: Path, tickets: Path) -> None:
    with pytest.raises(BadColumns, match="names no label"):
        _take(tmp_path, tickets, TicketColumns(text=("body",)))


def test_an_empty_test_table_is_refused(tmp_path: Path) -> None:
    empty = _table(tmp_path, [], "empty.jsonl")
    with pytest.raises(EmptyTable, match=r"empty\.jsonl"):
        _take(tmp_path, _table(tmp_path, _many(30)), COLUMNS, test=str(empty))
    assert list((tmp_path / "store" / "snapshots").iterdir()) == []


def test_reading_chosen_columns_and_a_missing_snapshot(tmp_path: Path, tickets: Path) -> None:
    manifest = _take(tmp_path, tickets)
    store = Store(str(tmp_path / "store"))
    assert next(read_rows(store, manifest["id"], "train", ["reply", "row"])).schema.names == ["reply", "row"]
    with pytest.raises(StorageError, match="no snapshot"):
        snapshot_files(store, "0" * 20, "train")


def test_parts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 100)
    monkeypatch.setattr(parts, "PART_ROWS", 300)
    schema = pa.schema([("row", pa.int64()), ("name", pa.string())])
    with parts.Parts(tmp_path / "t", schema, number="row") as writer:
        for start in range(0, 1_000, 70):
            names = [str(name) for name in range(start, min(start + 70, 1_000))]
            writer.add(pa.RecordBatch.from_arrays([pa.array([7] * len(names)), pa.array(names)], schema=schema))
    files = sorted((tmp_path / "t").iterdir())
    assert [file.name for file in files] == [f"part-{place:05d}.parquet" for place in range(len(files))]
    assert len(files) >= 3
    for file in files:
        metadata = pq.ParquetFile(file).metadata
        assert all(metadata.row_group(group).num_rows <= 100 for group in range(metadata.num_row_groups))
        assert metadata.num_rows < 300 + 170
    whole = pa.concat_tables([pq.read_table(file) for file in files])
    assert whole.column("row").to_pylist() == list(range(1_000))
    assert whole.column("name").to_pylist() == [str(row) for row in range(1_000)]


def test_no_rows_leave_a_readable_part(tmp_path: Path) -> None:
    schema = pa.schema([("row", pa.int64())])
    with parts.Parts(tmp_path / "empty.parquet", schema):
        pass
    assert pq.read_table(tmp_path / "empty.parquet").schema.equals(schema)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=200), st.floats(0.01, 0.99))
@settings(max_examples=200, deadline=None)
def test_split_by_time(times: list[int], share: float) -> None:
    stamps = np.array(times, np.int64)
    test, boundary = splits.by_time(stamps, share)
    assert 0 < test.sum() < len(stamps)
    assert boundary == stamps[test].min()
    if len(set(times)) > 1:
        assert stamps[~test].max() < stamps[test].min(), "a time stamp stays on one side"
        wanted = len(stamps) * share
        nearest = min(abs((stamps >= edge).sum() - wanted) for edge in sorted(set(times))[1:])
        assert abs(test.sum() - wanted) <= nearest + 1
    else:
        assert (np.diff(test.astype(int)) >= 0).all(), "with one time stamp, the file's end is the test set"


@given(st.lists(st.integers(-1, 12), min_size=2, max_size=300), st.floats(0.05, 0.95), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_stratified_split(labels: list[int], share: float, seed: int) -> None:
    codes = np.array(labels, np.int32)
    test = splits.stratified(codes, share, seed)
    assert (splits.stratified(codes, share, seed) == test).all()
    for label in set(labels):
        total, taken = int((codes == label).sum()), int(test[codes == label].sum())
        assert taken < total, "every label is left in training"
        assert abs(taken - min(total * share, total - 1)) <= 1


def test_shares_of_duplicates_look_at_inputs_only(tmp_path: Path) -> None:
    rows = _many(40, body=lambda row: "same" if row < 3 else f"text {row}")
    assert _take(tmp_path, _table(tmp_path, rows), COLUMNS)["duplicates"] == 2
