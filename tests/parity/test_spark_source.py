"""The Python data source: Parquet on S3 in and out of Spark without the jars of s3a."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.errors import FrontdeskError
from frontdesk.preprocessing.spark_session import read_folder, session, write_folder
from frontdesk.preprocessing.spark_source import shards
from frontdesk.storage import filesystem
from tests.s3_server import S3

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = pa.table(
    {
        "row": pa.array(range(100), pa.int64()),
        "text": pa.array([None if row % 9 == 0 else f"\x00é {row}" for row in range(100)]),
        "at": pa.array(range(100), pa.timestamp("us", "UTC")),
        "ids": pa.array([bytes([row]) * 4 for row in range(100)], pa.binary()),
        "left out": pa.array([1.0] * 100),
    }
)
CHOSEN = ["ids", "row", "text", "at"]


def test_what_spark_reads_and_writes_is_what_was_there(spark: SparkSession, s3: S3) -> None:
    source, target = s3.uri("source/in"), s3.uri("source/out")
    files, folder = filesystem(source)
    files.create_dir(folder)
    for number in range(3):
        part = TABLE.slice(number * 34, 34)
        pq.write_table(part, f"{folder}/part-{number:05d}.parquet", filesystem=files, row_group_size=10)
    _, leftover = filesystem(f"{target}/part-00099.parquet")  # of an attempt that was killed
    files.create_dir(leftover.rpartition("/")[0])
    with files.open_output_stream(leftover) as sink:
        sink.write(b"half a file")

    frame = read_folder(spark, source, CHOSEN)
    assert frame.columns == CHOSEN
    assert frame.rdd.getNumPartitions() == 12  # a task per row group
    write_folder(frame.coalesce(4), target)

    names = [path.rpartition("/")[2] for path in shards(target)]
    assert names == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet", "part-00003.parquet"]
    written = pa.concat_tables(pq.read_table(path, filesystem=files) for path in shards(target)).sort_by("row")
    assert written.select(CHOSEN).to_pydict() == TABLE.select(CHOSEN).to_pydict()
    (done,) = files.get_file_info([leftover])
    assert done.type.name == "NotFound"


def test_any_thread_reads_and_writes_with_any_session(spark: SparkSession, s3: S3) -> None:
    def round_trip(name: str) -> list[int]:
        foreign = spark.newSession()
        write_folder(foreign.range(7, numPartitions=1).toDF("row"), s3.uri(f"source/{name}"))
        write_folder(spark.range(8, numPartitions=1).toDF("row"), s3.uri(f"source/{name}"))
        return sorted(row.row for row in read_folder(foreign, s3.uri(f"source/{name}"), ["row"]).collect())

    assert round_trip("here") == list(range(8))
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(round_trip, "there").result() == list(range(8))


def test_an_empty_folder_is_an_error_without_a_trace_of_java(spark: SparkSession, s3: S3) -> None:
    with pytest.raises(FrontdeskError, match="Spark failed"), session():
        read_folder(spark, s3.uri("source/nothing"), ["row"])
