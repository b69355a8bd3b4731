"""Rows written as Parquet with bounded row groups and files, so that any reader can take them in small pieces."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 16_384
PART_ROWS = 16 * ROW_GROUP_ROWS
_ROW_GROUP_BYTES = 64 << 20


class Parts:
    """Writes rows as Parquet: one file, or a folder of parts. Use it as a context; it always leaves a readable file.

    Args:
        path: a ``.parquet`` file, or a folder of ``part-00000.parquet``, ... of about `PART_ROWS` rows each.
        schema: of the rows.
        number: a column that is written anew, from 0 in the order of writing.
        compression: of the files; ``lz4`` is faster where they are read once and removed.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, number: str | None = None, compression: str = "zstd") -> None:
        self.path = path
        self.schema = schema
        self.number = number
        self.compression = compression
        self.rows = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._parts = self._rows_in_part = 0

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None and (self._waiting or not self._parts):
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in; they are written in row groups of about `ROW_GROUP_ROWS` rows or 64 MiB."""
        if not batch.num_rows:
            return
        if self.number is not None:
            place = self.schema.get_field_index(self.number)
            numbers = pa.array(np.arange(self.rows, self.rows + batch.num_rows))
            batch = batch.set_column(place, self.schema.field(place), numbers)
        self.rows += batch.num_rows
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= ROW_GROUP_ROWS or self._waiting_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._waiting, self.schema)
        self._waiting.clear()
        self._waiting_rows = self._waiting_bytes = 0
        if self._writer is None or self._rows_in_part >= PART_ROWS:
            self._writer = self._next()
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        self._rows_in_part += table.num_rows

    def _next(self) -> pq.ParquetWriter:
        if self._writer is not None:
            self._writer.close()
        single = self.path.suffix == ".parquet"
        path = self.path if single else self.path / f"part-{self._parts:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._parts += 1
        self._rows_in_part = 0
        return pq.ParquetWriter(path, self.schema, compression=self.compression)
