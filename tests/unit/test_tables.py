"""Do tables of every form and type become the same rows, and is everything wrong refused with its place and reason?"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk import tables
from frontdesk.errors import BadColumns, EmptyTable, UnreadableFile
from frontdesk.records import TicketColumns
from frontdesk.tables import Refusal, read_batches, schema_of

COLUMNS = TicketColumns(
    id="id",
    created_at="at",
    text=("body",),
    categorical=("city",),
    numeric=("age",),
    contact_type="kind",
    reply="answer",
)
HEADER = "id,at,body,city,age,kind,answer"


def _read(path: Path, columns: TicketColumns = COLUMNS, **options: Any) -> tuple[list[dict[str, Any]], list[Refusal]]:
    batches = list(read_batches(str(path), columns, **options))
    assert all(batch.rows.schema.equals(schema_of(columns)) for batch in batches)
    assert batches[-1].share == 1
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    return rows, [refusal for batch in batches for refusal in batch.refused]


def _csv(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _parquet(folder: Path, **columns: Any) -> Path:
    rows = max(len(column) for column in columns.values())
    empty = {name: pa.nulls(rows, pa.string()) for name in HEADER.split(",")}
    pq.write_table(pa.table({**empty, **columns}), folder / "t.parquet")
    return folder / "t.parquet"


def test_a_row_of_each_form_is_the_same_row(tmp_path: Path) -> None:
    cells = {"id": "7", "at": "2024-05-01T10:00:00", "body": 'He said "hi",\nleft', "city": "Rome", "age": 3.5}
    cells |= {"kind": "A > B", "answer": None}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([list(cells), list(cells.values())])
    stamp = pa.array([datetime(2024, 5, 1, 10)], pa.timestamp("ns"))
    files = [
        _csv(tmp_path, text.getvalue()),
        _csv(tmp_path, "\ufeff" + text.getvalue(), "bom.CSV"),
        _csv(tmp_path, json.dumps(cells) + "\n\n", "t.jsonl"),
        _csv(tmp_path, json.dumps(cells), "t.json"),
        _parquet(tmp_path, **({name: [value] for name, value in cells.items()} | {"at": stamp})),
    ]
    expected = {**cells, "created_at": datetime(2024, 5, 1, 10, tzinfo=UTC), "contact_type": "A > B", "row": 0}
    expected["reply"] = None
    for name in ("at", "kind", "answer"):
        del expected[name]
    for path in files:
        assert _read(path) == ([expected], []), path.name


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    content = f"{HEADER}\n1,2024-01-01,hello,Rome,4,A,B\n".replace(",", delimiter)
    rows, refused = _read(_csv(tmp_path, content, "t.tsv"))
    assert not refused
    assert (rows[0]["body"], rows[0]["age"]) == ("hello", 4.0)


@pytest.mark.parametrize(
    ("cell", "field", "reason"),
    [
        ("1,2024-01-01,x,Rome,old,A,B", "age", "not a number"),
        ("1,2024-01-01,x,Rome,inf,A,B", "age", "an infinite number"),
        ("1,2024-01-01,x,Rome,1e999,A,B", "age", "an infinite number"),
        ("1,2024-01-01,x,Rome,1_000,A,B", "age", "not a number"),
        ("1,yesterday,x,Rome,4,A,B", "at", "not a time stamp"),
        ("1,0001-01-01,x,Rome,4,A,B", "at", "a time stamp outside the years 1900 to 2199"),
        (b"1,2024-01-01,\xff\xfe,Rome,4,A,B", "body", "text that is not valid UTF-8"),
        (b"1,2024-01-01,x,\xe9t\xe9,4,A,B", "city", "text that is not valid UTF-8"),
        (b"1,2024-01-01,x,Rome,4,\xe9,B", "kind", "text that is not valid UTF-8"),
        ("1,2024-01-01,x,Rome,4,A", "", "6 cells where the header has 7"),
        ("1,2024-01-01,x,Rome,4,A,B,C", "", "8 cells where the header has 7"),
        ('1,2024-01-01,"x"y,Rome,4,A,B', "", "a quote that is not closed, or text beside it"),
    ],
)
def test_a_wrong_csv_row_is_refused_and_reading_goes_on(
    tmp_path: Path, cell: str | bytes, field: str, reason: str
) -> None:
    line = cell if isinstance(cell, bytes) else cell.encode()
    good = b"1,2024-01-01,x,Rome,4,A,B"
    rows, refused = _read(_csv(tmp_path, b"\n".join([HEADER.encode(), good, line, b"", good, b""])))
    assert refused == [Refusal("t.csv", 2, field, reason)]
    assert [row["row"] for row in rows] == [0, 2]


def test_a_quote_that_is_never_closed_swallows_no_row_silently(tmp_path: Path) -> None:
    good = "1,2024-01-01,x,Rome,4,A,B\n"
    rows, refused = _read(_csv(tmp_path, f'{HEADER}\n{good}1,2024-01-01,x,Rome,4,A,"B\n{good}{good}'))
    assert len(rows) == 1
    assert [refusal.reason for refusal in refused] == ["a quote that is not closed, or text beside it"]


@pytest.mark.parametrize(
    "line",
    ["{broken", "[1, 2]", '"text"', "3", '{"id": "\\ud800"}', '{"id": NaN}', b'{"id": "\xff"}', b"\x00\x01"],
)
def test_a_wrong_json_line_is_refused_and_reading_goes_on(tmp_path: Path, line: str | bytes) -> None:
    good = json.dumps(dict.fromkeys(HEADER.split(","))).encode()
    broken = line if isinstance(line, bytes) else line.encode()
    rows, refused = _read(_csv(tmp_path, b"\n".join([good, broken, good]), "t.jsonl"))
    assert refused == [Refusal("t.jsonl", 2, "", "the line is not a JSON object in UTF-8")]
    assert [row["id"] for row in rows] == ["0", "2"]


def test_json_cells_of_mixed_types(tmp_path: Path) -> None:
    base = dict.fromkeys(HEADER.split(","))
    cells: list[dict[str, Any]] = [
        {"body": 5, "city": 2.0, "age": "7", "at": 1_700_000_000},
        {"body": "x", "city": True, "age": True, "at": 1_700_000_000_000},
        {"body": ["nested"]},
        {"city": {"a": 1}},
        {"age": [1]},
        {"age": "many"},
        {"at": 12},
        {"age": 10**400},
    ]
    lines = "\n".join(json.dumps(base | cell) for cell in cells)
    rows, refused = _read(_csv(tmp_path, lines, "t.jsonl"))
    assert [(row["body"], row["city"], row["age"]) for row in rows] == [("5", "2", 7.0), ("x", "true", 1.0)]
    assert rows[0]["created_at"] == rows[1]["created_at"] == datetime.fromtimestamp(1_700_000_000, UTC)
    nested = "a nested value"
    assert [(one.row, one.field, one.reason) for one in refused] == [
        (3, "body", nested),
        (4, "city", nested),
        (5, "age", nested),
        (6, "age", "not a number"),
        (7, "at", "not a time stamp"),
        (8, "", "the line is not a JSON object in UTF-8"),  # a number beyond what JSON readers take
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", None, " b "]).dictionary_encode(), ["a", None, "b"]),
        (pa.array([1, None, 3], pa.int16()), ["1", None, "3"]),
        (pa.array([1.0, float("nan"), 2.5]), ["1", None, "2.5"]),
        (pa.array([True, None, False]), ["true", None, "false"]),
        (pa.array([b"a", None, b""]), ["a", None, None]),
        (pa.array([Decimal("1.50"), None, Decimal("2.00")]), ["1.50", None, "2.00"]),
        (pa.array(["a", "", None], pa.large_string()), ["a", None, None]),
        (pa.nulls(3), [None, None, None]),
    ],
)
def test_parquet_types_of_a_category(tmp_path: Path, values: pa.Array, expected: list[str | None]) -> None:
    rows, refused = _read(_parquet(tmp_path, city=values))
    assert not refused
    assert [row["city"] for row in rows] == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, None, 3], pa.uint64()), [1.0, None, 3.0]),
        (pa.array([1.5, float("nan"), None], pa.float32()), [1.5, None, None]),
        (pa.array(["1", " 2.5 ", ""]), [1.0, 2.5, None]),
        (pa.array(["1", "+2", "nan"]), [1.0, 2.0, None]),
        (pa.array([Decimal("1.5"), None, Decimal("-2.0")]), [1.5, None, -2.0]),
        (pa.array([True, False, None]), [1.0, 0.0, None]),
        (pa.array(["1", "2", "1"]).dictionary_encode(), [1.0, 2.0, 1.0]),
    ],
)
def test_parquet_types_of_a_number(tmp_path: Path, values: pa.Array, expected: list[float | None]) -> None:
    rows, refused = _read(_parquet(tmp_path, age=values))
    assert not refused
    assert [row["age"] for row in rows] == expected


_MOMENT = datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([_MOMENT.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array([_MOMENT], pa.timestamp("s", "Europe/Berlin")),
        pa.array(["2024-05-01 10:00:00"]),
        pa.array(["2024-05-01T10:00:00Z"]),
        pa.array(["2024-05-01T12:00:00.000000+02:00"]),
        pa.array(["20240501T10"]),
        pa.array([int(_MOMENT.timestamp())]),
        pa.array([_MOMENT.timestamp() * 1e3]),
        pa.array([int(_MOMENT.timestamp()) * 10**9]),
    ],
)
def test_parquet_types_of_a_time_stamp(tmp_path: Path, values: pa.Array) -> None:
    rows, refused = _read(_parquet(tmp_path, at=values))
    assert not refused
    assert rows[0]["created_at"] == _MOMENT


def test_parquet_cells_that_are_refused(tmp_path: Path) -> None:
    invalid = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff\xff", b"ok"]).buffers())
    rows, refused = _read(_parquet(tmp_path, body=invalid, age=pa.array([1.0, float("inf")])))
    assert rows == []
    assert [(one.row, one.field, one.reason) for one in refused] == [
        (1, "body", "text that is not valid UTF-8"),
        (2, "age", "an infinite number"),
    ]
    for kind, word in ((pa.array([[1], None]), "nested"), (pa.array([{"a": 1}, None]), "nested")):
        rows, refused = _read(_parquet(tmp_path, body=kind))
        assert (len(rows), len(refused)) == (1, 1)
        assert word in refused[0].reason
    rows, refused = _read(_parquet(tmp_path, age=pa.array([date(2024, 1, 1), None])))
    assert (len(rows), refused[0].reason) == (1, "date32[day], not a number")


def test_a_refusal_quotes_no_cell(tmp_path: Path) -> None:
    _, refused = _read(_csv(tmp_path, f"{HEADER}\n1,my secret,x,Rome,my secret,A,B\n"))
    assert "secret" not in repr(refused)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("t.csv", b"", EmptyTable, "the file is empty"),
        ("t.parquet", b"", EmptyTable, "the file is empty"),
        ("t.csv", HEADER.encode(), EmptyTable, "no data row"),
        ("t.jsonl", b"\n\n", EmptyTable, "no data row"),
        ("t.csv", b"\x00\x01\x02\xff" * 50, UnreadableFile, "not a text in UTF-8"),
        ("t.csv", HEADER.encode("utf-16"), UnreadableFile, "not a text in UTF-8"),
        ("t.parquet", b"\x00\x01\x02\xff" * 50, UnreadableFile, "not a readable .parquet"),
        ("t.jsonl", b"\x00\x01\x02\xff" * 50, UnreadableFile, "no line is a JSON object"),
        ("t.json", b'[{"id": 1},\n{"id": 2}]', UnreadableFile, "no line is a JSON object"),
        ("t.xlsx", b"PK", UnreadableFile, "type is not known"),
        ("table", b"a,b", UnreadableFile, "type is not known"),
        ("t.csv", b"id,at,text\n1,2,3\n", BadColumns, "'body', 'city', 'age', 'kind', 'answer'"),
        ("t.jsonl", b'{"id": 1, "at": null}', BadColumns, "'body', 'city'"),
        ("t.csv", f"{HEADER},body\n".encode(), BadColumns, "more than one column 'body'"),
    ],
)
def test_a_table_that_cannot_be_used(
    tmp_path: Path, name: str, content: bytes, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        _read(_csv(tmp_path, content, name))
    assert words in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_column_lists_the_table(tmp_path: Path) -> None:
    with pytest.raises(BadColumns, match=r"no column 'city'.*id, at, body, town"):
        _read(_csv(tmp_path, "id,at,body,town,age,kind,answer\n1,,x,Rome,1,A,B\n"))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        _read(tmp_path / "nothing.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UnreadableFile):
        _read(tmp_path / "folder.csv")


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.97])
def test_a_truncated_parquet_is_unreadable(tmp_path: Path, keep: float) -> None:
    path = _parquet(tmp_path, body=[f"text {row}" for row in range(1_000)])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(UnreadableFile, match=r"t\.parquet"):
        _read(path)


def test_a_parquet_damaged_inside_is_unreadable(tmp_path: Path) -> None:
    path = _parquet(tmp_path, body=[f"text {row} {row * 7919 % 1_000}" for row in range(5_000)])
    content = bytearray(path.read_bytes())
    content[100:2_000] = b"\xff" * 1_900
    path.write_bytes(bytes(content))
    with pytest.raises(UnreadableFile):
        _read(path)


def test_labels_may_be_absent_for_a_prediction(tmp_path: Path) -> None:
    path = _csv(tmp_path, "id,at,body,city,age\n1,,x,Rome,1\n")
    with pytest.raises(BadColumns):
        _read(path)
    rows, refused = _read(path, labels_optional=True)
    assert not refused
    assert (rows[0]["contact_type"], rows[0]["reply"]) == (None, None)


def test_one_column_may_have_two_roles(tmp_path: Path) -> None:
    columns = TicketColumns(id="city", created_at="at", categorical=("city",), contact_type="kind")
    rows, _ = _read(_csv(tmp_path, f"{HEADER}\n1,2024-01-01,x,Rome,4,A,B\n"), columns)
    assert (rows[0]["id"], rows[0]["city"]) == ("Rome", "Rome")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_batches_are_bounded_and_numbered(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [dict.fromkeys(HEADER.split(","), "") | {"body": "x" * 100} for _ in range(250)]
    path = tmp_path / f"t.{ending}"
    if ending == "csv":
        path.write_text("\n".join([HEADER, *(",".join(row.values()) for row in rows)]))
    elif ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    batches = list(read_batches(str(path), COLUMNS, batch_rows=100))
    assert [batch.rows.num_rows for batch in batches] == [100, 100, 50]
    assert [row for batch in batches for row in batch.rows.column("row").to_pylist()] == list(range(250))
    assert [batch.share for batch in batches] == sorted(batch.share for batch in batches)
    if ending != "parquet":
        monkeypatch.setattr(tables, "_BATCH_CHARACTERS", 1_000)
        assert max(batch.rows.num_rows for batch in read_batches(str(path), COLUMNS)) <= 10


def test_a_line_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_LONGEST_LINE", 1_000)
    good = json.dumps(dict.fromkeys(HEADER.split(",")))
    long = json.dumps(dict.fromkeys(HEADER.split(","), "x" * 3_000))
    rows, refused = _read(_csv(tmp_path, "\n".join([good, long, good]), "t.jsonl"))
    assert (len(rows), [one.row for one in refused]) == (2, [2])


_CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@given(st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_text_survives_csv_and_json(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    columns = TicketColumns(text=("a",), categorical=("b",))
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *pairs])
    (folder / "t.jsonl").write_text("\n".join(json.dumps({"a": a, "b": b}) for a, b in pairs), "utf-8")
    expected = [(a or None, b.strip() or None) for a, b in pairs]
    for name in ("t.csv", "t.jsonl"):
        rows, refused = _read(folder / name, columns)
        assert not refused
        assert [(row["a"], row["b"]) for row in rows] == expected
