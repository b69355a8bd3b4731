"""Batch scoring: a bundle inside Spark, the same object that the server loads, once per worker process."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    BooleanType,
    DateType,
    DoubleType,
    NumericType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from frontdesk.bundle.labels import LabelBundle
from frontdesk.engines import PORTABLE
from frontdesk.errors import BadColumns, BundleError, UsageError
from frontdesk.logs import event
from frontdesk.preprocessing.spark_session import is_local, map_batches, read_folder, session, sink_of, write_folder
from frontdesk.preprocessing.spec import CREATED_AT, Spec
from frontdesk.records import Columns, Prediction, parse_columns
from frontdesk.storage import MANIFEST, Store, canonical_json, filesystem
from frontdesk.tables import read_batches, schema_of

_LOGGER = logging.getLogger(__name__)
SCORES_FORMAT = "frontdesk-scores-1"
REFUSED = "refused.parquet"
_REFUSED_SCHEMA = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("field", pa.string()), ("reason", pa.string())]
)
_ENGINE = PORTABLE
"""The same engine in every worker: ``auto`` decides by the clock."""
_NUMBERS = (NumericType, BooleanType)
_TIMES = (TimestampType, TimestampNTZType, DateType, NumericType)

Batches = Iterator[pa.RecordBatch]


def score(bundle_path: str, source: str, target: str, columns: Columns | None = None) -> dict[str, Any]:
    """Score a table with a bundle inside Spark.

    The table is read as for training (`frontdesk.tables`), so a wrong cell refuses its row and not the run.

    Args:
        bundle_path: a bundle that every Spark worker can reach: a folder or ``s3://``.
        source: a table: CSV, Parquet or JSON Lines, local or ``s3://``.
        target: a folder, local or ``s3://``; appears complete or not at all. It receives ``part-*.parquet`` with `id`,
            `row` (in the table, from 0), and per head ``<head>``, ``<head>_confidence``, ``<head>_decision``;
            ``refused.parquet``; and ``manifest.json``.
        columns: default the mapping that the bundle was trained with. Label columns may be absent.

    Returns:
        The manifest: model_id, rows and refused rows.

    Raises:
        UsageError: the target holds something else already.
        DataError: the table cannot be read with this mapping.
        BundleError: the bundle is incomplete or altered.
        MissingTool: there is no Java.
    """
    bundle = LabelBundle.load(bundle_path, engine=_ENGINE)
    mapping = columns or parse_columns(bundle.spec.columns, where=bundle_path, recipe=bundle.spec.recipe)
    address = target.rstrip("/") if target.startswith("s3://") else str(Path(target).absolute())
    root, _, name = address.rpartition("/")
    store = Store(root)
    _require_ours(store, name)
    with (
        store.writing(name) as scratch,
        session() as spark,
        _rows_folder(spark.sparkContext.master, address) as rows_uri,
    ):
        rows, refused = _canonical_rows(source, mapping, rows_uri)
        frame = read_folder(spark, rows_uri, ["id", *bundle.spec.fields, "row"])
        scored = BundleTransformer(bundle=bundle_path).transform(frame)
        kept = ["id", "row", *(field.name for field in _prediction_fields(bundle.spec))]
        write_folder(scored.select(*kept), sink_of(store, scratch, name))
        pq.write_table(refused, scratch / REFUSED, compression="zstd")
        manifest = {"format": SCORES_FORMAT, "model_id": bundle.model_id, "rows": rows, "refused": refused.num_rows}
        (scratch / MANIFEST).write_bytes(canonical_json(manifest))
    event(_LOGGER, "table_scored", model_id=bundle.model_id, rows=rows, refused=refused.num_rows)
    return manifest


def _require_ours(store: Store, name: str) -> None:
    """Refuse a target that publishing would destroy: anything but earlier scores."""
    earlier = store.manifest(name)
    if earlier is not None and earlier.get("format") == SCORES_FORMAT:
        return
    if store.local and Path(store.uri(name)).exists():
        raise UsageError("the target exists and holds no scores", where=store.uri(name), remedy="Name a new folder")


@contextmanager
def _rows_folder(master: str, target: str) -> Iterator[str]:
    """Yield a folder for the table's rows that every worker can read; it is removed afterwards."""
    if is_local(master):
        with tempfile.TemporaryDirectory(prefix="frontdesk-rows-") as folder:
            yield folder
        return
    uri = f"{target}.rows"
    try:
        yield uri
    finally:
        files, path = filesystem(uri)
        files.delete_dir(path)


def _canonical_rows(source: str, columns: Columns, folder: str) -> tuple[int, pa.Table]:
    """Write a table's rows as Parquet; return how many, and the refused ones."""
    rows = 0
    refused: list[dict[str, Any]] = []
    files, path = filesystem(folder)
    files.create_dir(path, recursive=True)
    with pq.ParquetWriter(f"{path}/part-00000.parquet", schema_of(columns), filesystem=files) as sink:
        for batch in read_batches(source, columns, labels_optional=True):
            rows += batch.rows.num_rows
            refused += [vars(refusal) for refusal in batch.refused]
            if batch.rows.num_rows:
                sink.write_batch(batch.rows)
    return rows, pa.Table.from_pylist(refused, schema=_REFUSED_SCHEMA)


class BundleTransformer(Transformer, DefaultParamsReadable, DefaultParamsWritable):  # type: ignore[misc]
    """A Spark ML stage that adds a bundle's predictions: per head its label, confidence and decision.

    The frame needs no particular columns: a field of the bundle that it lacks is missing in every row. What is saved is
    the bundle's address; the bundle itself stays where it is.

    Args:
        bundle: a folder or ``s3://`` address that every worker can reach.
    """

    bundle: Param[str] = Param(
        Params._dummy(), "bundle", "folder or s3:// address of the bundle", typeConverter=TypeConverters.toString
    )

    def __init__(self, bundle: str | None = None) -> None:
        super().__init__()
        if bundle is not None:
            self._set(bundle=bundle)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Add the columns. Raises `BadColumns` for a column of the wrong type, or one that is there already."""
        path: str = self.getOrDefault(self.bundle)
        bundle = LabelBundle.load(path, engine=_ENGINE)
        _check(dataset.schema, bundle.spec)
        fields = _prediction_fields(bundle.spec)
        return map_batches(dataset, _predict(path, bundle.model_id), StructType([*dataset.schema.fields, *fields]))


def _prediction_fields(spec: Spec) -> list[StructField]:
    return [
        StructField(name, kind)
        for head in spec.labels
        for name, kind in (
            (head, StringType()),
            (f"{head}_confidence", DoubleType()),
            (f"{head}_decision", StringType()),
        )
    ]


def _check(schema: StructType, spec: Spec) -> None:
    for field in schema.fields:
        wanted: tuple[type, ...] = ()
        if field.name == CREATED_AT and CREATED_AT in spec.numeric:
            wanted = _TIMES
        elif field.name in spec.numeric:
            wanted = _NUMBERS
        if wanted and not isinstance(field.dataType, wanted):
            what = "a time" if wanted is _TIMES else "a number"
            raise BadColumns(f"column {field.name!r} is {field.dataType.simpleString()}, not {what}", where="the frame")
    doubled = sorted({field.name for field in _prediction_fields(spec)} & set(schema.names))
    if doubled:
        remedy = "Drop it or give it another name before scoring"
        raise BadColumns(f"column {doubled[0]!r} is one that scoring adds", where="the frame", remedy=remedy)


@functools.lru_cache(maxsize=2)
def _loaded(path: str, model_id: str) -> LabelBundle:
    """Return the bundle of this worker process; another one at the same place is refused."""
    bundle = LabelBundle.load(path, engine=_ENGINE)
    if bundle.model_id != model_id:
        raise BundleError(f"the bundle is {bundle.model_id}, the run began with {model_id}", where=path)
    return bundle


def _predict(path: str, model_id: str) -> Callable[[Batches], Batches]:
    def predict(batches: Batches) -> Batches:
        bundle = _loaded(path, model_id)
        for batch in batches:
            columns = {name: _values(batch.column(name)) for name in bundle.spec.fields if name in batch.schema.names}
            yield _with_predictions(batch, bundle.predict_columns(columns, batch.num_rows), bundle.spec)

    return predict


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):  # NumPy's time holds every year that Arrow does; a Python date ends in 9999
        return list(column.to_numpy(zero_copy_only=False))
    values: list[Any] = column.to_pylist()
    return values


def _with_predictions(batch: pa.RecordBatch, predictions: list[Prediction], spec: Spec) -> pa.RecordBatch:
    arrays, names = list(batch.columns), list(batch.schema.names)
    for head in spec.labels:
        answers = [prediction.labels[head] for prediction in predictions]
        arrays += [
            pa.array([answer.label for answer in answers], pa.string()),
            pa.array([answer.confidence for answer in answers], pa.float64()),
            pa.array([answer.decision for answer in answers], pa.string()),
        ]
        names += [head, f"{head}_confidence", f"{head}_decision"]
    return pa.RecordBatch.from_arrays(arrays, names)
