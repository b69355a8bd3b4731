"""What an experiment measured, as columns: from a table of units and days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk import cells
from frontdesk.errors import BadColumns, DataCheckFailed, EmptyTable
from frontdesk.experiments.definition import Definition
from frontdesk.tables import raw_batches

BEFORE = "pre_"
"""Column ``pre_<metric>``: what the unit's metric was before the experiment, where the rows do not show it."""
_KEYS = ("unit", "arm", "day")
NO_ARM = -1


@dataclass(frozen=True)
class Rows:
    """Rows of an experiment; a unit may have many.

    Attributes:
        unit: codes of the units, 0 to ``units`` - 1, int [R].
        arm: 0 for control, 1 for treatment, `NO_ARM` for none, int [R].
        day: days since 1970, int [R].
        values: ``{metric: float [R]}``, NaN for none.
        before: ``{metric: float [R]}`` of the columns that tell the time before.
    """

    unit: np.ndarray
    units: int
    arm: np.ndarray
    day: np.ndarray
    values: Mapping[str, np.ndarray]
    before: Mapping[str, np.ndarray]


def read_rows(uri: str, definition: Definition) -> Rows:
    """Read a table with the columns ``unit``, ``arm``, ``day``, the metrics, and ``pre_<metric>`` where there are any.

    Args:
        uri: .csv, .parquet or .jsonl; a path or ``s3://`` address.

    Raises:
        DataCheckFailed: names the row and the field that is wrong.
        BadColumns: a column is missing: unit, arm, day, or the primary metric.
        UnreadableFile, EmptyTable, StorageError: see `frontdesk.tables.raw_batches`.
    """
    name = uri.rpartition("/")[2]
    measured = (*definition.metrics, *(BEFORE + metric for metric in definition.metrics))
    optional = frozenset(measured) - {definition.primary.metric}
    parts: dict[str, list[pa.Array]] = {column: [] for column in (*_KEYS, *measured)}
    arms = {arm: place for place, arm in enumerate(definition.arms)}
    for raw in raw_batches(uri, (*_KEYS, *measured), optional=optional):
        if raw.broken:
            number, reason = raw.broken[0]
            raise DataCheckFailed(reason, where=f"{name}: row {number + 1}")
        for column in (*_KEYS, *measured):
            parts[column].append(_converted(raw.columns.get(column), column, raw.numbers, name))
        _require(parts, raw.numbers, arms, definition, name)
    columns = {column: pa.chunked_array(chunks) for column, chunks in parts.items()}
    return from_columns(columns, definition)


def from_columns(columns: Mapping[str, pa.ChunkedArray], definition: Definition) -> Rows:
    """Return rows from columns of text (unit, arm), days (``date32``) and numbers.

    Raises:
        BadColumns: no row has a value of the primary metric.
        EmptyTable: there is no row at all.
    """
    if len(columns["unit"]) == 0:
        raise EmptyTable("the experiment has no rows yet", where=definition.name)
    encoded = columns["unit"].combine_chunks().dictionary_encode()
    arm = pc.index_in(columns["arm"].combine_chunks(), pa.array(definition.arms, pa.string()))
    numbers = {
        name: column.to_numpy().astype(np.float64)
        for name, column in columns.items()
        if name not in _KEYS and column.null_count < len(column)
    }
    if definition.primary.metric not in numbers:
        raise BadColumns(f"no row has a value of {definition.primary.metric}", where=definition.primary.metric)
    return Rows(
        unit=encoded.indices.to_numpy().astype(np.int64),
        units=len(encoded.dictionary),
        arm=pc.fill_null(arm, NO_ARM).to_numpy().astype(np.int64),
        day=columns["day"].combine_chunks().cast(pa.int32()).to_numpy().astype(np.int64),
        values={name: values for name, values in numbers.items() if name in definition.metrics},
        before={
            name.removeprefix(BEFORE): values for name, values in numbers.items() if name not in definition.metrics
        },
    )


def day_number(day: date) -> int:
    """Return the days since 1970."""
    return (day - date(1970, 1, 1)).days


def day_of(number: int) -> date:
    """Return the day of a number."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + int(number))


def _converted(column: Any, name: str, numbers: Sequence[int], file: str) -> pa.Array:
    if column is None:
        return pa.nulls(len(numbers), pa.float64())
    convert = {"unit": cells.levels, "arm": cells.levels, "day": cells.stamps}.get(name, cells.numbers)
    found, wrong = convert(column)
    if wrong:
        place, reason = min(wrong.items())
        raise DataCheckFailed(reason, where=f"{file}: row {numbers[place] + 1}, {name}")
    return found.cast(pa.date32(), safe=False) if name == "day" else found


def _require(
    parts: Mapping[str, list[pa.Array]],
    numbers: Sequence[int],
    arms: Mapping[str, int],
    definition: Definition,
    file: str,
) -> None:
    """Refuse rows without a unit or a day, and assigned rows whose arm is none of the experiment's."""
    for name in ("unit", "day"):
        if parts[name][-1].null_count:
            place = pc.index(parts[name][-1].is_null(), True).as_py()
            raise DataCheckFailed("must not be empty", where=f"{file}: row {numbers[place] + 1}, {name}")
    arm, day = parts["arm"][-1], parts["day"][-1]
    known = pc.is_in(arm, pa.array(list(arms), pa.string()))
    begun = pc.greater_equal(day, pa.scalar(definition.begin, pa.date32()))
    running = pc.and_(begun, pc.less(day, pa.scalar(definition.phases.ab.until, pa.date32())))
    strange = pc.and_(running, pc.invert(known))
    if pc.any(strange).as_py():
        place = pc.index(strange, True).as_py()
        remedy = f"The definition's arms are {' and '.join(arms)}"
        raise DataCheckFailed(
            "is no arm of the experiment", where=f"{file}: row {numbers[place] + 1}, arm", remedy=remedy
        )
