"""Batch scoring of a table on one machine: rows in, labels out, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from frontdesk.bundle.labels import LabelBundle
from frontdesk.errors import UsageError
from frontdesk.evaluation.outcomes import inputs_of
from frontdesk.features import FeatureJoin
from frontdesk.records import Columns
from frontdesk.snapshots import refusal_rows
from frontdesk.tables import Refusal, joined_batches

ENDINGS = (".csv", ".parquet", ".jsonl")
_ROWS = 1024


def score_table(
    bundle: LabelBundle, source: str, columns: Columns, out: Path, join: FeatureJoin | None = None
) -> dict[str, Any]:
    """Predict every row of a table.

    Args:
        bundle: the model.
        source: a table that `frontdesk.tables.read_batches` reads; labels may be absent.
        columns: its mapping.
        out: ``.csv``, ``.parquet`` or ``.jsonl``: ``id``, ``row``, ``model_id`` and per head the label,
            ``<head>_confidence``, ``<head>_decision``, ``<head>_reason``, ``<head>_alternatives`` (JSON) and
            ``<head>_backoff``. It appears whole.
        join: fills the features that the mapping names.

    Returns:
        ``model_id``, ``rows``, ``refused``, ``out``, and where rows were refused the file of reasons.

    Raises:
        UsageError: the ending of `out` is none of the three.
    """
    if out.suffix not in ENDINGS:
        raise UsageError(f"{out.name}: unknown ending", remedy="Write .csv, .parquet or .jsonl")
    refused: list[Refusal] = []
    rows = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.partial")
    with Sink(temporary, out.suffix, _schema(bundle)) as sink:
        for batch in joined_batches(source, columns, join, batch_rows=_ROWS, labels_optional=True):
            refused += batch.refused
            if batch.rows.num_rows:
                sink.write(pa.Table.from_pylist(list(_answers(bundle, batch.rows)), _schema(bundle)))
            rows += batch.rows.num_rows
    temporary.replace(out)
    summary = {"model_id": bundle.model_id, "rows": rows, "refused": len(refused), "out": str(out)}
    if refused:
        path = out.with_name(f"{out.name}.refused.parquet")
        pq.write_table(pa.Table.from_batches([refusal_rows(refused)]), path)
        summary["refusals"] = str(path)
    return summary


def _schema(bundle: LabelBundle) -> pa.Schema:
    kinds = {"BYTES": pa.string(), "FP64": pa.float64()}
    fields = [("id", pa.string()), ("row", pa.int64()), ("model_id", pa.string())]
    return pa.schema(fields + [(name, kinds[output.datatype]) for name, output in bundle.outputs.items()])


def _answers(bundle: LabelBundle, rows: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    columns = inputs_of(rows, bundle.spec.fields)
    ids, numbers = rows.column("id").to_pylist(), rows.column("row").to_pylist()
    for identity, number, prediction in zip(ids, numbers, bundle.predict_columns(columns, rows.num_rows), strict=True):
        answer: dict[str, Any] = {"id": identity, "row": number, "model_id": prediction.model_id}
        yield answer | {name: output.value(prediction) for name, output in bundle.outputs.items()}


class Sink:
    """Writes tables to a file of any of the three forms."""

    def __init__(self, path: Path, ending: str, schema: pa.Schema) -> None:
        self._path, self._ending, self._schema = path, ending, schema
        self._writer: Any = None

    def __enter__(self) -> Sink:
        if self._ending == ".parquet":
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        elif self._ending == ".csv":
            self._writer = pacsv.CSVWriter(self._path, self._schema)
        else:
            self._writer = self._path.open("wb")
        return self

    def write(self, table: pa.Table) -> None:
        if self._ending == ".jsonl":
            self._writer.writelines(orjson.dumps(row) + b"\n" for row in table.to_pylist())
        else:
            self._writer.write_table(table)

    def __exit__(self, kind: Any, *_: object) -> None:
        self._writer.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)
