"""How a table of sessions is read: the column mapping, and its rows under the names of their roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk import cells
from frontdesk.errors import BadColumns, EmptyTable
from frontdesk.features import FeatureJoin
from frontdesk.records.features import FeatureColumns
from frontdesk.tables import Refusal

INTENT, EVENT = "intent", "event"
REQUIRED = ("session", "operator", "line", "timestamp", "kind", "name")
OPTIONAL = ("options", "status")
FIELD_PREFIX = "field:"
"""What a snapshot puts before a field's name, so that a field may be called like a role."""
FEATURE_PREFIX = "feature:"
"""Likewise before a feature's name."""
WHO = ("session", "operator", "line")
"""Roles whose values may be keys of a feature store: what a request says of who asks."""
REQUEST_FIELDS = (*WHO, "events", "rights", "previous", "now")
"""Fields of a request beside its features."""
_JOINED_ROWS = 65_536


class IntentColumns(BaseModel):
    """Which columns of a table are a session's rows: one row is one opened intent or one event of the interface.

    Attributes:
        session, operator, line, timestamp, name: columns.
        kind: a column that holds ``intent`` or ``event``.
        fields: columns that tell events of one name apart (text of the button, type of the element).
        options: a column with the suggestions that were shown when an intent was opened, best first.
        options_separator: what stands between them.
        status: a column that says how an opened intent ended.
        error_values: the values of `status` that mean an error.
        features: what is looked up in a feature store for who asks; the keys of its entities are roles of `WHO`. A
            table or a request that holds such a feature itself is believed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: str
    operator: str
    line: str
    timestamp: str
    kind: str
    name: str
    fields: tuple[str, ...] = ()
    options: str | None = None
    options_separator: str = Field(default="|", min_length=1)
    status: str | None = None
    error_values: tuple[str, ...] = ("error",)
    features: FeatureColumns | None = None

    @model_validator(mode="after")
    def _fits(self) -> IntentColumns:
        named = [getattr(self, role) for role in (*REQUIRED, *OPTIONAL) if getattr(self, role) is not None]
        doubles = sorted({name for name in named if named.count(name) > 1})
        doubles += sorted({name for name in self.fields if self.fields.count(name) > 1 or name in named})
        if doubles:
            raise ValueError(f"columns named twice: {', '.join(doubles)}")
        if self.features is not None:
            if others := sorted(set(self.features.entities.values()) - set(WHO)):
                raise ValueError(f"the key of an entity is one of {', '.join(WHO)}, not {', '.join(others)}")
            if taken := sorted(set(self.features.names) & {*REQUEST_FIELDS, *named, *self.fields}):
                raise ValueError(f"a feature cannot be called {', '.join(taken)}: another column or field is")
        return self

    @property
    def roles(self) -> dict[str, str]:
        """``{name in the snapshot: source column}`` of every column that is read."""
        roles = {role: getattr(self, role) for role in (*REQUIRED, *OPTIONAL)}
        present = {role: column for role, column in roles.items() if column is not None}
        return present | {f"{FIELD_PREFIX}{name}": name for name in self.fields}


DEFAULT_INTENT_COLUMNS = IntentColumns(
    session="session_id",
    operator="operator",
    line="line",
    timestamp="timestamp",
    kind="kind",
    name="name",
    fields=("element", "text"),
    options="options_shown",
    status="status",
)
"""The columns of the simulator, used where no mapping is given."""


def parse_intent_columns(content: Mapping[str, Any], *, where: str = "columns") -> IntentColumns:
    """Build a column mapping from plain values (a parsed YAML file). Raises `BadColumns` that names the key."""
    try:
        return IntentColumns.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        words = {"extra_forbidden": "unknown key", "missing": "this key is missing"}.get(
            first["type"], first["msg"].removeprefix("Value error, ")
        )
        known = ", ".join(IntentColumns.model_fields)
        raise BadColumns(f"{key}: {words}" if key else words, where=where, remedy=f"Known keys: {known}") from error


def schema_of(columns: IntentColumns) -> pa.Schema:
    """Return the schema of rows: the roles, the fields under `FIELD_PREFIX`, the features under `FEATURE_PREFIX`."""
    kinds = {role: cells.STAMP if role == "timestamp" else pa.string() for role in columns.roles}
    if columns.features is not None:
        kinds |= {f"{FEATURE_PREFIX}{name}": pa.string() for name in columns.features.categorical}
        kinds |= {f"{FEATURE_PREFIX}{name}": pa.float64() for name in columns.features.numeric}
    return pa.schema(list(kinds.items()))


def source_columns(columns: IntentColumns) -> tuple[list[str], frozenset[str]]:
    """Return the columns that are read from a file, and those of them that it may lack: the features."""
    features = columns.features.names if columns.features is not None else []
    return list(dict.fromkeys([*columns.roles.values(), *features])), frozenset(features)


def rows_of(table: pa.Table, columns: IntentColumns, *, where: str = "table") -> tuple[pa.Table, list[Refusal]]:
    """Convert a table's own columns to rows with the schema of `schema_of`, in file order.

    A row without a session, a time, a name or a kind is refused; a missing operator or line is an unknown one.

    Args:
        table: has the source columns, of any type.
        columns: what they mean.
        where: the file's base name, for refusals.

    Raises:
        BadColumns: a mapped column is missing.
        EmptyTable: no row is left.
    """
    missing = sorted(set(columns.roles.values()) - set(table.column_names))
    if missing:
        raise BadColumns(
            f"there is no column {', '.join(map(repr, missing))}",
            where=where,
            remedy=f"The table has the columns: {', '.join(table.column_names[:60])}",
        )
    arrays = {
        name: table.column(name).combine_chunks() for name in source_columns(columns)[0] if name in table.column_names
    }
    rows, refused = convert(arrays, range(table.num_rows), columns, where=where)
    if not rows.num_rows:
        raise EmptyTable("the table has no usable row", where=where)
    return rows, refused


def convert(
    values: Mapping[str, Any], numbers: Sequence[int], columns: IntentColumns, *, where: str
) -> tuple[pa.Table, list[Refusal]]:
    """Convert some rows as a file gives them: ``values`` by source column, ``numbers`` in the file from 0."""
    reasons: dict[int, tuple[str, str]] = {}
    arrays = []
    for role, source in columns.roles.items():
        converted, wrong = (cells.stamps if role == "timestamp" else cells.levels)(values[source])
        if role == "kind":
            known = pc.is_in(converted, value_set=pa.array([INTENT, EVENT])).to_numpy(zero_copy_only=False)
            wrong |= dict.fromkeys(map(int, np.flatnonzero(~known)), "neither 'intent' nor 'event'")
        elif role in ("session", "timestamp", "name"):
            for place in map(int, np.flatnonzero(converted.is_null().to_numpy(zero_copy_only=False))):
                wrong.setdefault(place, "missing")
        for place, reason in wrong.items():
            reasons.setdefault(place, (source, reason))
        arrays.append(converted)
    schema = schema_of(columns)
    for column in schema:
        if not column.name.startswith(FEATURE_PREFIX):
            continue
        source = column.name.removeprefix(FEATURE_PREFIX)
        if source not in values:
            arrays.append(pa.nulls(len(numbers), column.type))
            continue
        converted, wrong = (cells.numbers if pa.types.is_floating(column.type) else cells.levels)(values[source])
        for place, reason in wrong.items():
            reasons.setdefault(place, (source, reason))
        arrays.append(converted)
    rows = pa.Table.from_arrays(arrays, schema=schema)
    if reasons:
        keep = np.ones(rows.num_rows, bool)
        keep[list(reasons)] = False
        rows = rows.filter(pa.array(keep))
    return rows, [Refusal(where, numbers[place] + 1, *reasons[place]) for place in sorted(reasons)]


def with_features(rows: pa.Table, columns: IntentColumns, join: FeatureJoin | None) -> pa.Table:
    """Fill the features of rows (schema of `schema_of`, file order): what a request before each row could know.

    The keys are the row's own (who asks), the moment is that of the row before it in its session, since a request for
    a list comes before what is opened then; the session's first row has its own. A value that a row has stays.
    """
    if columns.features is None or join is None:
        return rows
    moments = pa.array(_moments_before(rows), pa.int64()).cast(cells.STAMP)
    keys = dict.fromkeys(columns.features.entities.values())
    asked = pa.table(
        {"created_at": moments}
        | {key: rows[key] for key in keys}
        | {name: rows[f"{FEATURE_PREFIX}{name}"] for name in columns.features.names}
    ).combine_chunks()
    found = pa.Table.from_batches(map(join, asked.to_batches(_JOINED_ROWS)), asked.schema)
    for name in columns.features.names:
        place = rows.schema.get_field_index(f"{FEATURE_PREFIX}{name}")
        rows = rows.set_column(place, rows.schema.field(place), found[name])
    return rows


def _moments_before(rows: pa.Table) -> np.ndarray:
    """Return the time of the row before each one in its session, its own for the first, int64 [N], microseconds."""
    sessions = rows["session"].combine_chunks().dictionary_encode().indices.to_numpy()
    times = rows["timestamp"].cast(pa.int64()).to_numpy()
    order = np.lexsort((times, sessions))
    before: np.ndarray = times.copy()
    follows = np.flatnonzero(sessions[order][1:] == sessions[order][:-1]) + 1
    before[order[follows]] = times[order[follows - 1]]
    return before
