"""Parquet on ``s3://`` for Spark without the ``s3a`` jars: a Python data source over `frontdesk.storage`.

Spark ships no S3 client; ``s3a`` needs 700 MB of jars. Where they are not installed this source takes their place: it
reads one row group per task and writes one object per task, both as Arrow batches. Endpoint and credentials come from
the environment of the workers (``AWS_*``), as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from frontdesk.storage import filesystem


def part_name(number: int) -> str:
    """Return the name of a shard: ``part-00007.parquet``."""
    return f"part-{number:05d}.parquet"


def shards(uri: str) -> list[str]:
    """Return the paths (inside the file system) of the Parquet files right below a folder, in order."""
    files, root = filesystem(uri)
    found = files.get_file_info(pafs.FileSelector(root, allow_not_found=True))
    return sorted(info.path for info in found if info.is_file and info.base_name.endswith(".parquet"))


class S3Parquet(DataSource):  # type: ignore[misc]
    """Source and sink of Parquet files right below one folder.

    Options: ``path``, the folder; ``columns``, a JSON list of the columns to read (default: all).
    """

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "s3parquet"

    @property
    def _columns(self) -> list[str] | None:
        chosen = self.options.get("columns")
        return None if chosen is None else orjson.loads(chosen)

    def schema(self) -> StructType:
        """Return the schema of the first file. Raises FileNotFoundError where there is none."""
        uri = self.options["path"]
        paths = shards(uri)
        if not paths:
            raise FileNotFoundError(f"no Parquet file below {uri}")
        schema = pq.read_schema(paths[0], filesystem=filesystem(uri)[0])
        columns = self._columns
        chosen = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        return from_arrow_schema(chosen, prefer_timestamp_ntz=True)

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return the reader."""
        return _Reader(self.options["path"], schema.names)

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:
        """Return the writer. It always replaces what the folder holds: an unfinished attempt."""
        return _Writer(self.options["path"])


class _RowGroup(InputPartition):  # type: ignore[misc]
    def __init__(self, path: str, group: int) -> None:
        super().__init__((path, group))
        self.path = path
        self.group = group


class _Reader(DataSourceReader):  # type: ignore[misc]
    def __init__(self, uri: str, columns: list[str]) -> None:
        self._uri = uri
        self._columns = columns

    def partitions(self) -> Sequence[InputPartition]:
        files, _ = filesystem(self._uri)
        return [
            _RowGroup(path, group)
            for path in shards(self._uri)
            for group in range(pq.read_metadata(path, filesystem=files).num_row_groups)
        ]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, _RowGroup)
        files, _ = filesystem(self._uri)
        with pq.ParquetFile(partition.path, filesystem=files) as file:
            yield from file.read_row_group(partition.group, columns=self._columns).select(self._columns).to_batches()


@dataclass
class _Written(WriterCommitMessage):  # type: ignore[misc]
    name: str | None


class _Writer(DataSourceArrowWriter):  # type: ignore[misc]
    """An object appears whole or not at all and its name is its task's, so a repeated task replaces its own object and
    needs no renaming; readers wait for the store's manifest. The commit only clears what an earlier attempt left."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        batches: Iterator[Any] = iter(iterator)
        first = next(batches, None)
        if first is None:
            return _Written(None)
        context = TaskContext.get()
        name = part_name(context.partitionId() if context else 0)
        files, root = filesystem(self._uri)
        files.create_dir(root, recursive=True)
        with pq.ParquetWriter(f"{root}/{name}", first.schema, filesystem=files, compression="zstd") as sink:
            sink.write_batch(first)
            for batch in batches:
                sink.write_batch(batch)
        return _Written(name)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        written = {message.name for message in messages if isinstance(message, _Written)}
        files, _ = filesystem(self._uri)
        for path in shards(self._uri):
            if path.rpartition("/")[2] not in written:
                files.delete_file(path)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        self.commit([])
