"""The Spark session, and how frames reach the store.

Local masters run inside this process on the loopback interface only. The JVM's output goes to a file, because it is
not ours: what Spark says stays out of the logs, and the file is named when Spark fails.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.fs as pafs
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.preprocessing.java import java_home
from frontdesk.preprocessing.spark_container import LOG4J
from frontdesk.preprocessing.spark_kubernetes import configuration, find_driver, is_kubernetes, write_template
from frontdesk.preprocessing.spark_source import S3Parquet, part_name, shards
from frontdesk.settings import SparkOnKubernetes, read_settings, settings
from frontdesk.storage import Store, filesystem

BATCH_ROWS = 4096
"""Rows of an Arrow batch between Spark and Python: 80 MB at most, because cleaning cuts a text at 20,000 characters."""
_BATCH_BYTES = 64 << 20
_ROW_GROUP_BYTES = 16 << 20
_LOG = "spark.log"
_LOG_SHOWN = 4000


@contextmanager
def session(master: str | None = None, memory: str | None = None) -> Iterator[SparkSession]:
    """Yield the process's Spark session; start one where there is none, and end it and its JVM afterwards.

    Args:
        master: default `settings().spark_master`.
        memory: heap of the driver, default `settings().spark_memory`.

    Raises:
        MissingTool: there is no Java.
        FrontdeskError: Spark did not start, or a job of the block failed; `where` names Spark's own log, which stays.
    """
    if SparkContext._active_spark_context is not None:  # "active" sessions are per thread, the context is not
        with _failures(""):
            yield SparkSession.builder.getOrCreate()
        return
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-spark-"))
    try:
        with _started(folder, master, memory) as spark:
            yield spark
    except FrontdeskError as error:
        if error.where != str(folder / _LOG):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _failures(log: str) -> Iterator[None]:
    """Turn Spark's exceptions into ours. Their text may quote a row, so only the type goes on."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        text = str(error)
        if "OutOfMemoryError" in text or "Java heap space" in text:
            remedy = "Give Spark more memory: FRONTDESK_SPARK_MEMORY=4g"
            raise FrontdeskError("Spark ran out of memory", where=log, remedy=remedy) from error
        name = type(error).__name__
        raise FrontdeskError(f"Spark failed ({name})", where=log, remedy="Spark's own log says why") from error


@contextmanager
def _started(folder: Path, master: str | None, memory: str | None) -> Iterator[SparkSession]:
    master = master or settings().spark_master
    os.environ["JAVA_HOME"] = str(java_home())  # Spark's launcher looks nowhere else
    if is_local(master) or is_kubernetes(master):  # workers of the same machine, or of the same image
        os.environ["PYSPARK_PYTHON"] = sys.executable  # nor here
    (folder / "log4j2.properties").write_text(LOG4J, "utf-8")
    conf = SparkConf(loadDefaults=False).setAll(
        list(_configuration(folder, master, memory or settings().spark_memory).items())
    )
    path = folder / _LOG
    with _failures(str(path)), path.open("wb") as log:
        gateway = launch_gateway(conf, popen_kwargs={"stdout": log, "stderr": log})
    try:
        with _failures(str(path)):  # inside, because Spark's exceptions ask the JVM for their words
            with _told(path):
                context = SparkContext(conf=conf, gateway=gateway)
            try:
                yield SparkSession(context)
            finally:
                context.stop()
    finally:
        gateway.shutdown()
        if gateway.proc is not None:  # a Spark operator's driver was started by its JVM, not the other way round
            gateway.proc.stdin.close()  # the JVM ends when its input does
            gateway.proc.wait()
        # PySpark keeps one JVM for the life of the process: without this the next session would talk to the ended one.
        SparkContext._gateway = SparkContext._jvm = SparkSession._instantiatedSession = None


@contextmanager
def _told(log: Path) -> Iterator[None]:
    """Copy Spark's log to standard error where it does not start: no row was read yet, and a pod's files go with it."""
    try:
        yield
    except Py4JError:
        sys.stderr.write(log.read_text("utf-8", "replace")[-_LOG_SHOWN:])
        raise


def is_local(master: str) -> bool:
    """Return whether a master's workers see this machine's files (``local``, ``local[4]``)."""
    return master == "local" or master.startswith("local[")


def sink_of(store: Store, scratch: Path, *parts: str) -> str:
    """Return where Spark writes a folder that `Store.writing` publishes: the scratch folder of a local store; the final
    place in any other, whatever the master is, so that the same writer makes the same bytes."""
    return str(scratch) if store.local else store.uri(*parts)


def _configuration(folder: Path, master: str, memory: str) -> dict[str, str]:
    values = {
        "spark.master": master,
        "spark.app.name": "frontdesk",
        "spark.driver.memory": memory,
        "spark.driver.extraJavaOptions": " ".join(
            [
                f"-Dlog4j2.configurationFile={(folder / 'log4j2.properties').as_uri()}",
                f"-Dderby.system.home={folder}",
                "-XX:-UsePerfData",
            ]
        ),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": (folder / "warehouse").as_uri(),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.caseSensitive": "true",  # a table may hold both `Body` and `body`
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(_BATCH_BYTES),
        # Rows are dear (cleaning, a network), files are cheap: every core gets its share of even a small table.
        "spark.sql.files.openCostInBytes": "65536",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.hadoop.parquet.block.size": str(_ROW_GROUP_BYTES),
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        **_s3a(),
    }
    if is_local(master):
        # The heavy work is Python's, so a JVM that lives for a minute is best off with its quick compiler (measured:
        # half the processor time of a small run) and without the threads of a parallel collector.
        values["spark.driver.extraJavaOptions"] += " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        values |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.shuffle.partitions": "8",
        }
    if is_kubernetes(master):
        wanted = read_settings(SparkOnKubernetes)
        driver = find_driver(wanted)
        template = write_template(driver, folder / "executor.yaml")
        values |= configuration(
            master, wanted, driver, image=settings().image, template=template, environment=os.environ
        )
    jars = [jar for jar in settings().spark_jars.split(",") if jar]
    if jars and (is_local(master) or is_kubernetes(master)):
        values["spark.driver.extraClassPath"] = ":".join(jars)  # `spark.jars` would copy 700 MB per session
        values["spark.executor.extraClassPath"] = ":".join(jars)
    elif jars:
        values["spark.jars"] = ",".join(jars)
    return values


def _s3a() -> dict[str, str]:
    """Return the settings of ``s3a``; credentials come from the environment of each process, never by argument."""
    if not settings().spark_jars:
        return {}
    values = {"endpoint.region": os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or "us-east-1"}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        secure = str(endpoint.startswith("https://")).lower()
        values |= {"endpoint": endpoint, "path.style.access": "true", "connection.ssl.enabled": secure}
    return {f"spark.hadoop.fs.s3a.{name}": value for name, value in values.items()}


def map_batches(
    frame: DataFrame, task: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: StructType | str
) -> DataFrame:
    """Return `DataFrame.mapInArrow`, which by itself fails on column names with a dot or a backtick."""
    names = frame.columns
    plain = frame.toDF(*[f"c{place}" for place in range(len(names))])
    return plain.mapInArrow(
        lambda batches: task(pa.RecordBatch.from_arrays(batch.columns, names) for batch in batches), schema
    )


def read_folder(spark: SparkSession, uri: str, columns: list[str]) -> DataFrame:
    """Return columns of the Parquet files right below a folder, local or ``s3://``."""
    if not uri.startswith("s3://") and is_kubernetes(spark.sparkContext.master):
        words = "the executors are pods, which do not see this machine's files"
        raise UsageError(words, where=uri, remedy="Keep the store on s3://, or choose FRONTDESK_SPARK_MASTER=local[*]")
    if uri.startswith("s3://") and not settings().spark_jars:
        return (
            _s3parquet(spark).read.format(S3Parquet.name()).option("columns", orjson.dumps(columns).decode()).load(uri)
        )
    # A folder's name may hold characters that Spark would take for a pattern.
    frame = spark.read.option("__globPaths__", "false").parquet(_address(uri))
    return frame.select(*[quoted(name) for name in columns])


def _s3parquet(spark: SparkSession) -> SparkSession:
    """Teach a session our source, and return it.

    Spark looks a source up in the session that is active in the calling thread of its JVM, whoever's frame it reads or
    writes; a new thread there, which a connection made anew brings too, has none.
    """
    SparkSession._get_j_spark_session_class(spark._jvm).setActiveSession(spark._jsparkSession)
    spark.dataSource.register(S3Parquet)
    return spark


def write_folder(frame: DataFrame, uri: str) -> None:
    """Write a frame as ``part-00000.parquet``, ... right below a folder, replacing what it holds."""
    if uri.startswith("s3://") and not settings().spark_jars:
        _s3parquet(frame.sparkSession)
        frame.write.format(S3Parquet.name()).mode("append").save(uri)
        return
    frame.write.mode("overwrite").parquet(_address(uri))
    files, root = filesystem(uri)
    parts = shards(uri)
    for number, path in enumerate(parts):
        files.move(path, f"{root}/{part_name(number)}")
    keep = {part_name(number) for number in range(len(parts))}
    for info in files.get_file_info(pafs.FileSelector(root, allow_not_found=True)):
        if info.is_file and info.base_name not in keep:  # checksums of Hadoop's local file system
            files.delete_file(info.path)


def _address(uri: str) -> str:
    return f"s3a://{uri.removeprefix('s3://')}" if uri.startswith("s3://") else str(Path(uri).absolute())


def quoted(column: Any) -> str:
    """Return a column's name as Spark takes it literally, dots and all."""
    return "`" + str(column).replace("`", "``") + "`"
