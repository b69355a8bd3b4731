"""The prediction log and what became of its cases, as Parquet: for monitoring, and as rows to train with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from frontdesk.database.engine import Database
from frontdesk.database.tables import Outcome, Prediction
from frontdesk.errors import UsageError

if TYPE_CHECKING:
    from frontdesk.records.contract import Columns

_BATCH = 2_000
_JSON = ("labels", "intents", "features", "inputs", "outcome", "verdicts", "measures")

LOG_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("request_id", pa.string()),
        ("place", pa.int32()),
        ("recipe", pa.string()),
        ("client", pa.string()),
        ("case_id", pa.string()),
        ("model_id", pa.string()),
        ("labels", pa.string()),
        ("intents", pa.string()),
        ("source", pa.string()),
        ("degraded", pa.bool_()),
        ("holdout", pa.bool_()),
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("line", pa.string()),
        ("features", pa.string()),
        ("inputs", pa.string()),
        ("characters", pa.int32()),
        ("milliseconds", pa.float64()),
        ("idempotency_key", pa.string()),
        ("outcome", pa.string()),
        ("verdicts", pa.string()),
        ("shown_at", pa.timestamp("us", "UTC")),
        ("closed_at", pa.timestamp("us", "UTC")),
        ("unit", pa.string()),
        ("measures", pa.string()),
    ]
)
"""Columns of the log's export; what is an object or a list in the table is JSON text. ``outcome`` and what follows, but
``unit``, is null where no feedback came."""


def export_log(
    database: Database,
    path: Path,
    *,
    recipe: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Write the log in order of time, each row with what became of its case; return the number of rows."""
    rows = joined_rows(database, log_filters(recipe, since, until))
    batches = (pa.RecordBatch.from_pylist([_as_text(row) for row in some], LOG_SCHEMA) for some in rows)
    return write_parquet(batches, LOG_SCHEMA, path)


def export_labelled(
    database: Database,
    path: Path,
    recipe: str,
    columns: Columns,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, int]:
    """Write a row per case with a label, in the columns of a training table; of several predictions the last counts.

    Beside the columns of the mapping stand ``prediction_id``, ``model_id``, ``holdout`` and for each head
    ``<head>.origin`` and ``<head>.predicted``. Texts are there only where the log keeps them (masked);
    a desk that keeps none joins its own history by ``id``.

    Returns:
        ``{"rows", "without_text"}``.

    Raises:
        UsageError: the mapping has no label.
    """
    if not columns.heads:
        raise UsageError("the mapping names no label", where="columns")
    later = sa.orm.aliased(Prediction)
    last = ~sa.exists().where(
        later.recipe == Prediction.recipe, later.case_id == Prediction.case_id, later.id > Prediction.id
    )
    schema = _training_schema(columns)
    counts = {"rows": 0, "without_text": 0}

    def batches() -> Iterator[pa.RecordBatch]:
        for some in joined_rows(database, [*log_filters(recipe, since, until), last, Outcome.events > 0]):
            made = [row for row in (_training_row(row, columns) for row in some) if row is not None]
            texts = [columns.roles.get(name, name) for name in columns.text]
            counts["without_text"] += sum(all(row[name] is None for name in texts) for row in made)
            yield pa.RecordBatch.from_pylist(made, schema)

    counts["rows"] = write_parquet(batches(), schema, path)
    return counts


def write_parquet(batches: Iterator[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write batches under a temporary name, rename, and return the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    rows = 0
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def log_filters(recipe: str | None, since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of a part of the log: from a moment on, before another."""
    found: list[sa.ColumnElement[bool]] = []
    if recipe is not None:
        found.append(Prediction.recipe == recipe)
    if since is not None:
        found.append(Prediction.at >= since)
    if until is not None:
        found.append(Prediction.at < until)
    return found


def joined_rows(database: Database, filters: list[sa.ColumnElement[bool]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield predictions joined with outcomes, oldest first, in bounded memory; see `log_filters`."""
    same_case = (Outcome.recipe == Prediction.recipe) & (Outcome.case_id == Prediction.case_id)
    statement = (
        sa.select(
            Prediction.__table__,
            Outcome.labels.label("outcome"),
            Outcome.verdicts,
            Outcome.shown_at,
            Outcome.closed_at,
            Outcome.measures,
        )
        .join(Outcome, same_case, isouter=True)
        .where(*filters)
        .order_by(Prediction.id)
    )
    with database.reading() as connection:
        found = connection.execution_options(yield_per=_BATCH).execute(statement)
        for some in found.mappings().partitions():
            yield [dict(row) for row in some]


def _as_text(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **{name: None if row[name] is None else orjson.dumps(row[name]).decode() for name in _JSON}}


def _training_schema(columns: Columns) -> pa.Schema:
    source = {name: columns.roles.get(name, name) for name in columns.inputs}
    fields = [(columns.roles.get("id", "id"), pa.string())]
    if columns.created_at is not None:
        fields.append((columns.created_at, pa.timestamp("us", "UTC")))
    fields += [(source[name], pa.string()) for name in (*columns.text, *columns.categorical)]
    fields += [(source[name], pa.float64()) for name in columns.numeric]
    fields += [(column, pa.string()) for column in columns.heads.values()]
    fields += [("prediction_id", pa.string()), ("model_id", pa.string()), ("holdout", pa.bool_())]
    fields += [(f"{head}.{what}", pa.string()) for head in columns.heads for what in ("origin", "predicted")]
    return pa.schema(list(dict(fields).items()))


def _training_row(row: Mapping[str, Any], columns: Columns) -> dict[str, Any] | None:
    """Return a prediction as a training row, None where no head of the mapping has a label."""
    outcome = {head: said for head, said in row["outcome"].items() if head in columns.heads}
    if not outcome:
        return None
    inputs = row["features"] | (row["inputs"] or {})
    made: dict[str, Any] = {columns.roles.get("id", "id"): row["case_id"]}
    for name in (*columns.text, *columns.categorical):
        made[columns.roles.get(name, name)] = None if inputs.get(name) is None else str(inputs[name])
    for name in columns.numeric:
        made[columns.roles.get(name, name)] = inputs.get(name)
    if columns.created_at is not None:
        made[columns.created_at] = row["at"]
    for head, column in columns.heads.items():
        made[column] = outcome[head]["label"] if head in outcome else None
        made[f"{head}.origin"] = outcome[head]["origin"] if head in outcome else None
        made[f"{head}.predicted"] = row["labels"].get(head, {}).get("label")
    return made | {"prediction_id": row["id"], "model_id": row["model_id"], "holdout": row["holdout"]}
