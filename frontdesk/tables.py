"""Tables of any form to rows of one schema: CSV, Parquet, JSON Lines, local or ``s3://``, in bounded memory.

A wrong cell or a broken line refuses its row and reading goes on; a missing column, an empty table or a file that is
not what its ending says refuses the table.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from frontdesk import cells
from frontdesk.errors import BadColumns, EmptyTable, StorageError, UnreadableFile
from frontdesk.features import FeatureJoin
from frontdesk.records import Columns
from frontdesk.storage import reading

BATCH_ROWS = 8192
_JOINED_ROWS = 65_536
"""Rows of a batch that features are joined to: a join costs about as much for one row as for ten thousand."""
_BATCH_CHARACTERS = 32 << 20
"""A batch of long texts ends earlier: a bound on memory that does not depend on the table."""
_LONGEST_LINE = 16 << 20
_READ_AHEAD = 1 << 20
_DELIMITERS = (",", ";", "\t")
ROW = "row"


@dataclass(frozen=True)
class Refusal:
    """A row that cannot be used.

    Attributes:
        file: base name of the file.
        row: number of the row among the file's data rows, from 1.
        field: the column as the file calls it; empty where the whole line is broken.
        reason: what is wrong; never the cell's content.
    """

    file: str
    row: int
    field: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Some consecutive rows of a table.

    Attributes:
        rows: the good ones, in file order, with the schema of `schema_of`.
        refused: the others.
        share: how much of the file has been read, 0 to 1.
    """

    rows: pa.RecordBatch
    refused: list[Refusal]
    share: float


def schema_of(columns: Columns) -> pa.Schema:
    """Return the schema of rows: the mapping's roles and inputs, and `row`, the row's number in the file from 0."""
    fields = [pa.field("id", pa.string(), nullable=False)]
    if columns.created_at is not None:
        fields.append(pa.field("created_at", cells.STAMP))
    fields += [pa.field(name, pa.string()) for name in (*columns.text, *columns.categorical)]
    fields += [pa.field(name, pa.float64()) for name in columns.numeric]
    fields += [pa.field(name, pa.string()) for name in columns.keys]
    fields += [pa.field(head, pa.string()) for head in columns.heads]
    return pa.schema([*fields, pa.field(ROW, pa.int64(), nullable=False)])


def read_batches(
    uri: str, columns: Columns, *, batch_rows: int = BATCH_ROWS, labels_optional: bool = False
) -> Iterator[Batch]:
    """Read a table in batches.

    Args:
        uri: a file that ends in .csv, .tsv, .parquet, .jsonl, .ndjson or .json (one object per line).
        columns: what the columns mean.
        batch_rows: rows of a batch at most.
        labels_optional: a label column that the table lacks is read as null, as in the input of a prediction.

    Raises:
        UnreadableFile: no such file, an unknown ending, or a content that is not what the ending says.
        BadColumns: a mapped column is missing (for JSON Lines: in every line, which is known at the end).
        EmptyTable: no data row.
        StorageError: the object store does not answer.
    """
    optional = frozenset(columns.heads.values()) if labels_optional else frozenset()
    optional |= frozenset(columns.features.names if columns.features else ())
    converter = _Converter(columns, uri.rpartition("/")[2])
    for raw in raw_batches(uri, dict.fromkeys(columns.roles.values()), batch_rows=batch_rows, optional=optional):
        yield converter.convert(raw)


def joined_batches(
    uri: str,
    columns: Columns,
    join: FeatureJoin | None,
    *,
    batch_rows: int = BATCH_ROWS,
    labels_optional: bool = False,
) -> Iterator[Batch]:
    """Read a table as `read_batches` does, with its features; None for a mapping without any."""
    if join is None:
        yield from read_batches(uri, columns, batch_rows=batch_rows, labels_optional=labels_optional)
        return
    for batch in read_batches(uri, columns, batch_rows=_JOINED_ROWS, labels_optional=labels_optional):
        rows = join(batch.rows)
        for begin in range(0, rows.num_rows, batch_rows) or (0,):
            last = begin + batch_rows >= rows.num_rows
            refused = batch.refused if last else []
            yield replace(batch, rows=rows.slice(begin, batch_rows), refused=refused)


def raw_batches(
    uri: str, names: Iterable[str], *, batch_rows: int = BATCH_ROWS, optional: frozenset[str] = frozenset()
) -> Iterator[RawBatch]:
    """Read some columns of a table in batches, as the file gives them. Arguments and errors as in `read_batches`."""
    ending = uri.rpartition(".")[2].lower()
    if ending not in _READERS:
        raise UnreadableFile(
            "the table's type is not known by its ending", where=uri, remedy="Use .csv, .tsv, .parquet or .jsonl"
        )
    wanted = _Wanted(uri, tuple(names), optional)
    seen = 0
    try:
        with reading(uri) as file:
            if file.size() == 0:
                raise EmptyTable("the file is empty", where=uri)
            for raw in _READERS[ending](file, wanted, batch_rows):
                seen += len(raw.numbers) + len(raw.broken)
                yield raw
    except (pa.ArrowException, OSError) as error:
        if uri.startswith("s3://") and not isinstance(error, pa.ArrowInvalid):
            raise StorageError(f"the store stopped answering ({type(error).__name__})", where=uri) from error
        raise UnreadableFile(
            f"the file is not a readable .{ending} table ({type(error).__name__})",
            where=uri,
            remedy="It may be cut off, or of another type than its name says",
        ) from error
    if seen == 0:
        raise EmptyTable("the table has no data row", where=uri)


@dataclass(frozen=True)
class _Wanted:
    """The columns that a reader looks for."""

    uri: str
    names: tuple[str, ...]
    optional: frozenset[str]

    def present(self, found: Iterable[str]) -> list[str]:
        """Return the wanted columns that are there. Raises `BadColumns` for a missing or doubled one."""
        there = list(found)
        missing = [name for name in self.names if name not in there and name not in self.optional]
        if missing:
            has = ", ".join(there[:60]) + (", ..." if len(there) > 60 else "")
            raise BadColumns(
                f"there is no column {', '.join(map(repr, missing))}",
                where=self.uri,
                remedy=f"The table has the columns: {has}",
            )
        doubled = [name for name in self.names if there.count(name) > 1]
        if doubled:
            raise BadColumns(f"there is more than one column {doubled[0]!r}", where=self.uri)
        return [name for name in self.names if name in there]


@dataclass(frozen=True)
class RawBatch:
    """Columns as the file gives them.

    Attributes:
        columns: Arrow arrays or Python lists, each as long as `numbers`; an absent optional column is left out.
        numbers: the rows' numbers in the file, from 0.
        broken: ``(number, reason)`` of lines without cells.
        share: how much of the file has been read.
    """

    columns: dict[str, Any]
    numbers: Sequence[int]
    broken: list[tuple[int, str]]
    share: float


class _Converter:
    """Converts raw batches to the schema of rows, and counts rows."""

    def __init__(self, columns: Columns, name: str) -> None:
        self.columns = columns
        self.name = name
        self.schema = schema_of(columns)
        self.casts: dict[str, Callable[[Any], cells.Converted]] = {
            "created_at": cells.stamps,
            **dict.fromkeys(columns.text, cells.texts),
            **dict.fromkeys(columns.numeric, cells.numbers),
        }

    def convert(self, raw: RawBatch) -> Batch:
        rows = len(raw.numbers)
        numbers = pa.array(raw.numbers, pa.int64())
        wrong: dict[int, tuple[str, str]] = {}
        arrays = {ROW: numbers}
        for role, source in self.columns.roles.items():
            if source not in raw.columns:
                arrays[role] = pa.nulls(rows, self.schema.field(role).type)
                continue
            arrays[role], reasons = self.casts.get(role, cells.levels)(raw.columns[source])
            for place, reason in reasons.items():
                wrong.setdefault(place, (source, reason))
        named = numbers.cast(pa.string())
        arrays["id"] = pc.coalesce(arrays["id"], named) if "id" in arrays else named
        batch = pa.RecordBatch.from_arrays([arrays[name] for name in self.schema.names], schema=self.schema)
        refused = [Refusal(self.name, number + 1, "", reason) for number, reason in raw.broken]
        refused += [Refusal(self.name, raw.numbers[place] + 1, *why) for place, why in wrong.items()]
        if wrong:
            batch = batch.filter(pa.array([place not in wrong for place in range(rows)]))
        return Batch(batch, sorted(refused, key=lambda refusal: refusal.row), raw.share)


def _read_parquet(file: pa.NativeFile, wanted: _Wanted, batch_rows: int) -> Iterator[RawBatch]:
    # Page by page: a row group may hold the whole table.
    table = pq.ParquetFile(file, buffer_size=_READ_AHEAD, pre_buffer=False)
    present = wanted.present(table.schema_arrow.names)
    total, start = table.metadata.num_rows, 0
    for batch in table.iter_batches(batch_rows, columns=present, use_threads=False):
        numbers = range(start, start + batch.num_rows)
        start += batch.num_rows
        yield RawBatch({name: batch.column(name) for name in present}, numbers, [], start / total)


def _read_csv(file: pa.NativeFile, wanted: _Wanted, batch_rows: int) -> Iterator[RawBatch]:
    size = file.size()
    # A byte that is not UTF-8 becomes a lone surrogate, which the conversion of its cell refuses.
    text = io.TextIOWrapper(io.BufferedReader(file, _READ_AHEAD), "utf-8-sig", errors="surrogateescape", newline="")
    header = text.readline(_LONGEST_LINE)
    if "\0" in header or any("\ud800" <= sign <= "\udfff" for sign in header):
        raise UnreadableFile("the file is not a text in UTF-8", where=wanted.uri)
    names, delimiter = _sniff(header, wanted)
    present = wanted.present(names)
    places = [names.index(name) for name in present]
    csv.field_size_limit(_LONGEST_LINE)
    reader = csv.reader(iter(lambda: text.readline(_LONGEST_LINE), ""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    numbers: list[int] = []
    broken: list[tuple[int, str]] = []
    number, characters = 0, 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            broken.append((number, "a quote that is not closed, or text beside it"))
            number += 1
            continue
        if not row:
            continue
        if len(row) == len(names):
            rows.append(row)
            numbers.append(number)
            characters += sum(map(len, row))
        else:
            broken.append((number, f"{len(row)} cells where the header has {len(names)}"))
        number += 1
        if len(rows) >= batch_rows or characters >= _BATCH_CHARACTERS or len(broken) >= batch_rows:
            yield _csv_batch(rows, present, places, numbers, broken, min(file.tell() / size, 1.0))
            rows, numbers, broken, characters = [], [], [], 0
    if rows or broken:
        yield _csv_batch(rows, present, places, numbers, broken, 1.0)


def _csv_batch(
    rows: list[list[str]],
    present: list[str],
    places: list[int],
    numbers: list[int],
    broken: list[tuple[int, str]],
    share: float,
) -> RawBatch:
    cells_of = list(zip(*rows, strict=True))
    columns = {name: cells_of[place] if rows else () for name, place in zip(present, places, strict=True)}
    return RawBatch(columns, numbers, broken, share)


def _sniff(header: str, wanted: _Wanted) -> tuple[list[str], str]:
    """Return the header's names by the delimiter that yields most of the wanted ones."""
    best: tuple[list[str], str] = ([], ",")
    most = -1
    for delimiter in _DELIMITERS:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        found = len(set(names) & set(wanted.names))
        if found > most or (found == most and len(names) > len(best[0])):
            best, most = (names, delimiter), found
    return best


def _read_json_lines(file: pa.NativeFile, wanted: _Wanted, batch_rows: int) -> Iterator[RawBatch]:
    size = file.size()
    lines = io.BufferedReader(file, _READ_AHEAD)
    keys: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: list[tuple[int, str]] = []
    number, held = 0, 0

    def batch(share: float) -> RawBatch:
        if not keys:
            raise UnreadableFile(
                "no line is a JSON object", where=wanted.uri, remedy="JSON Lines holds one object per line, no array"
            )
        return RawBatch({name: [row.get(name) for row in rows] for name in wanted.names}, numbers, broken, share)

    while line := lines.readline(_LONGEST_LINE):
        whole = line.endswith(b"\n") or len(line) < _LONGEST_LINE
        while not whole:  # the rest of a line that is too long
            rest = lines.readline(_LONGEST_LINE)
            whole = rest.endswith(b"\n") or len(rest) < _LONGEST_LINE
            line = b"-"
        line = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not line:
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
            numbers.append(number)
            keys.update(dict.fromkeys(row))
            held += len(line)
        else:
            broken.append((number, "the line is not a JSON object in UTF-8"))
        number += 1
        if len(rows) >= batch_rows or held >= _BATCH_CHARACTERS or len(broken) >= batch_rows:
            yield batch(min(file.tell() / size, 1.0))
            rows, numbers, broken, held = [], [], [], 0
    if rows or broken:
        yield batch(1.0)
    if number:
        wanted.present(keys)


_READERS: dict[str, Callable[[pa.NativeFile, _Wanted, int], Iterator[RawBatch]]] = {
    "csv": _read_csv,
    "tsv": _read_csv,
    "parquet": _read_parquet,
    "jsonl": _read_json_lines,
    "ndjson": _read_json_lines,
    "json": _read_json_lines,
}
