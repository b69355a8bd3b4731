"""The rows that a retraining learns from: the desk's table, the labelled cases of the database, or both."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.database import Database
from frontdesk.database.exports import export_labelled, write_parquet
from frontdesk.errors import EmptyTable, UsageError
from frontdesk.monitoring.plan import RetrainingPlan
from frontdesk.records.contract import Columns
from frontdesk.storage import MANIFEST, Store, canonical_json, describe
from frontdesk.tables import read_batches

ROWS = "rows.parquet"


def training_rows(
    database: Database, store: Store, recipe: str, plan: RetrainingPlan, columns: Columns, key: str, now: datetime
) -> str:
    """Return the address of the table that a retraining learns from, made in the store where feedback takes part.

    Cases that have both a row in the table and feedback count once, with the labels of the feedback.

    Args:
        columns: the recipe's column mapping.
        key: of the retraining; the folder ``training/<key>`` is made once.

    Raises:
        UsageError: the plan names no data, or feedback of a recipe without labels.
        EmptyTable: there is no labelled case.
    """
    if not plan.feedback:
        if plan.data is None:
            raise UsageError("there is nothing to train on", where="retraining", remedy="Set data, or feedback: true")
        return plan.data
    if recipe == "intent":
        if plan.data is not None:  # the log of sessions is the truth already: feedback adds nothing to it
            return plan.data
        raise UsageError("sessions are trained from their log", where="retraining.data", remedy="Name the log's table")
    if store.manifest("training", key) is None:
        with store.writing("training", key) as folder:
            if plan.data is None:
                counts = export_labelled(database, folder / ROWS, recipe, columns, until=now)
            else:
                with tempfile.TemporaryDirectory(prefix="frontdesk-") as scratch:
                    cases = Path(scratch) / ROWS
                    export_labelled(database, cases, recipe, columns, until=now)
                    counts = _united(plan.data, pq.read_table(cases), columns, folder / ROWS)
            if counts["rows"] == counts["without_text"]:
                raise EmptyTable(
                    "no labelled case has a text to learn from",
                    where=f"feedback of {recipe}",
                    remedy="Set FRONTDESK_GATEWAY_LOG_TEXT=masked, or name the desk's own table as data",
                )
            (folder / MANIFEST).write_bytes(canonical_json({"id": key, "rows": counts, "files": describe(folder)}))
    return store.uri("training", key, ROWS)


def _united(table: str, cases: pa.Table, columns: Columns, path: Path) -> dict[str, int]:
    """Write the table's rows with the labels of their feedback, then cases with a text that the table lacks."""
    sources = columns.roles
    schema = pa.schema([cases.schema.field(name) for name in cases.column_names if name in set(sources.values())])
    case = sources.get("id", "id")
    told = {row[case]: row for row in cases.to_pylist()}
    counts = {"rows": 0, "without_text": 0, "table": 0, "refused": 0}

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in read_batches(table, columns):
            counts["refused"] += len(batch.refused)
            rows = []
            for row in batch.rows.to_pylist():
                labels = told.pop(row.get("id"), {})
                made = {source: row.get(name) for name, source in sources.items()}
                rows.append(made | {name: labels[name] for name in columns.heads.values() if labels.get(name)})
            counts["table"] += len(rows)
            yield pa.RecordBatch.from_pylist(rows, schema)
        texts = [sources[name] for name in columns.text]
        rest = [row for row in told.values() if any(row[name] for name in texts)]
        yield pa.RecordBatch.from_pylist([{name: row[name] for name in schema.names} for row in rest], schema)

    counts["rows"] = write_parquet(batches(), schema, path)
    return counts
