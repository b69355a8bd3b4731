"""A window: what is kept of the rows of one side of a comparison, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.errors import BadColumns, EmptyTable
from frontdesk.monitoring.verdict import Kind

Type = Literal["categorical", "numeric", "text", "bag", "places"]
MOST_LEVELS = 200_000
"""Distinct levels of a column that are counted exactly. Behind that, a column is more of a name than a category."""


@dataclass(frozen=True)
class Watched:
    """A column to compare.

    Attributes:
        name: the column in both tables.
        kind: what it is to the model.
        type: how it is read: levels (strings, booleans), numbers, texts, bags (lists of levels, one list per row), or
            places of texts in a model (vectors of one length).
        given: another categorical column. Beside its own shares, the column's shares for every level of that one are
            compared: to whom a topic goes, whatever the topics' mix is.
        called: how causes call it; empty for `name`.
    """

    name: str
    kind: Kind
    type: Type
    given: str | None = None
    called: str = ""

    @property
    def title(self) -> str:
        """The name for a person."""
        return self.called or self.name


@dataclass
class LevelCounter:
    """Counts the levels of a column that streams by.

    Attributes:
        counts: rows per level.
        rest: rows of levels that came after `MOST_LEVELS` others.
        missing: rows without one.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rest: int = 0
    missing: int = 0

    def add(self, column: pa.Array | pa.ChunkedArray) -> None:
        """Take in some rows."""
        self.missing += column.null_count
        found = pc.value_counts(column)
        for level, rows in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
            if level is None:
                continue
            if level in self.counts or len(self.counts) < MOST_LEVELS:
                self.counts[level] += rows
            else:
                self.rest += rows


@dataclass(frozen=True)
class Window:
    """One side of a comparison.

    Attributes:
        samples: tables of rows in random order; each column stands in one of them, the time column in all.
        rows: rows of the whole window.
        levels: exact counts of the categorical columns.
        missing: exact number of rows without a value, for every other column.
        refused: rows that could not be read, per reason (``column: what is wrong``).
        counted: rows that a column's missing values were counted in, where these are not all.
    """

    samples: tuple[pa.Table, ...]
    rows: int
    levels: Mapping[str, LevelCounter]
    missing: Mapping[str, int]
    refused: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)

    def sample(self, name: str) -> pa.Table:
        """Return the table that holds a column."""
        return next(table for table in self.samples if name in table.column_names)

    def share_missing(self, name: str) -> float:
        """Return the share of rows without a value."""
        missing = self.levels[name].missing if name in self.levels else self.missing[name]
        return missing / self.rows_of(name)

    def rows_of(self, name: str) -> int:
        """Return the rows that a column's missing values were counted in."""
        return self.counted.get(name, self.rows)

    def span(self, time: str | None) -> tuple[str, str] | None:
        """Return the first and the last day of the sampled rows."""
        if time is None or self.samples[0].column(time).null_count == self.samples[0].num_rows:
            return None
        ends = pc.min_max(self.samples[0].column(time).cast(pa.timestamp("us", "UTC")))
        return tuple(str(ends[end].as_py())[:10] for end in ("min", "max"))  # type: ignore[return-value]


def window_of(
    table: pa.Table, watched: Sequence[Watched], time: str | None, *, rows: int, seed: int, where: str
) -> Window:
    """Make a window of a table in memory.

    Args:
        table: any number of rows.
        watched: its columns that count.
        time: its column of time stamps, or None.
        rows: of the sample, at most.
        seed: of the sample.
        where: what errors call the table.

    Raises:
        EmptyTable: no row.
        BadColumns: names the column that is missing, of another type, or infinite.
    """
    if not table.num_rows:
        raise EmptyTable("the window has no row", where=where)
    names = list(dict.fromkeys([*(each.name for each in watched), *([time] if time else [])]))
    absent = [name for name in names if name not in table.column_names]
    absent += [each.given for each in watched if each.given and each.given not in table.column_names]
    if absent:
        raise BadColumns(f"there is no column {absent[0]!r}", where=where)
    plain = pa.table({name: _plain(table.column(name), name, where) for name in names})
    levels: dict[str, LevelCounter] = {}
    missing: dict[str, int] = {}
    for each in watched:
        column = plain.column(each.name)
        _check(column, each, where)
        if each.type == "categorical":
            plain = plain.set_column(plain.column_names.index(each.name), each.name, column.cast(pa.string()))
            levels[each.name] = LevelCounter()
            levels[each.name].add(plain.column(each.name))
        else:
            missing[each.name] = column.null_count
    order = np.random.default_rng(seed).permutation(plain.num_rows)[:rows]
    return Window((plain.take(pa.array(order)).combine_chunks(),), table.num_rows, levels, missing)


def _plain(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """Decode dictionaries; nothing else changes."""
    if pa.types.is_dictionary(column.type):
        try:
            return column.cast(column.type.value_type)
        except pa.ArrowException as error:
            raise BadColumns(f"the column {name!r} cannot be read ({type(error).__name__})", where=where) from error
    return column


def _check(column: pa.ChunkedArray, each: Watched, where: str) -> None:
    """Raise `BadColumns` for a column that is not of its type."""
    kind = column.type
    fits = {
        "numeric": pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind),
        "bag": pa.types.is_list(kind) or pa.types.is_large_list(kind),
        "places": pa.types.is_fixed_size_list(kind),
        "text": pa.types.is_string(kind) or pa.types.is_large_string(kind),
        "categorical": not pa.types.is_nested(kind),
    }
    if not fits[each.type] and not pa.types.is_null(kind):
        raise BadColumns(f"the column {each.name!r} is {kind}, which is not {each.type}", where=where)
    if pa.types.is_floating(kind) and pc.any(pc.is_inf(column)).as_py():
        raise BadColumns(f"the column {each.name!r} holds an infinite number", where=where)
