"""The prediction log: a row per answered instance, committed before the answer leaves; export to Parquet.

The log holds no customer text unless a setting says so, and then masked only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from frontdesk.database.engine import Database
from frontdesk.database.tables import Prediction

_BATCH = 2_000

SCHEMA = pa.schema(
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
    ]
)
"""Columns of an export; what is an object or a list in the table is JSON text."""
_JSON = ("labels", "intents", "features", "inputs")


def insert_predictions(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the columns of `Prediction`."""
    connection.execute(sa.insert(Prediction), list(rows))


def count_predictions(database: Database, recipe: str | None = None) -> int:
    """Return how many rows there are."""
    statement = sa.select(sa.func.count()).select_from(Prediction)
    if recipe is not None:
        statement = statement.where(Prediction.recipe == recipe)
    with database.reading() as connection:
        return int(connection.execute(statement).scalar_one())


def prediction_batches(
    database: Database, recipe: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the log in order of time in bounded memory, with the columns of `SCHEMA`."""
    statement = sa.select(Prediction.__table__).order_by(Prediction.id)
    if recipe is not None:
        statement = statement.where(Prediction.recipe == recipe)
    if since is not None:
        statement = statement.where(Prediction.at >= since)
    if until is not None:
        statement = statement.where(Prediction.at < until)
    with database.reading() as connection:
        found = connection.execution_options(yield_per=_BATCH).execute(statement)
        for rows in found.mappings().partitions():
            yield pa.RecordBatch.from_pylist([_plain(row) for row in rows], SCHEMA)


def _plain(row: Any) -> dict[str, Any]:
    texts = {name: None if row[name] is None else orjson.dumps(row[name]).decode() for name in _JSON}
    return {**row, **texts}


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
