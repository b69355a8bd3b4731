"""Job 2: Spark fits the preprocessing on the training rows of a snapshot and applies it to both splits.

Counting and sorting happen in the JVM; what a word or a level *is* comes from the library's own functions, which run
beside it on Arrow batches (`mapInArrow`). Every result is independent of how Spark divided the rows: counts are whole
numbers, ties have an order, and floating-point sums are made in one place over sorted values.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import orjson
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from frontdesk.errors import EmptyTable, UnreadableFile
from frontdesk.logs import event
from frontdesk.preprocessing.encoding import TOKENIZER, Encoder, RowEncoder, Tokenization, level
from frontdesk.preprocessing.numbers import fit_number, fit_time
from frontdesk.preprocessing.spark_session import map_batches, quoted, read_folder, session, sink_of, write_folder
from frontdesk.preprocessing.spark_source import shards
from frontdesk.preprocessing.spec import CREATED_AT, FIRST_WORD, Number, Spec
from frontdesk.progress import report
from frontdesk.records import Columns, parse_columns
from frontdesk.snapshots import read_rows
from frontdesk.storage import MANIFEST, Store, canonical_json, filesystem, work_key
from frontdesk.tensors import SPLITS, TENSORS_FORMAT, pack, packed_ids
from frontdesk.text.cleaning import clean_fields

_LOGGER = logging.getLogger(__name__)
KIND = "tensors"
PARAMETERS = (
    "max_tokens",
    "max_words",
    "min_word_documents",
    "max_phrases",
    "min_phrase_documents",
    "max_levels",
    "min_level_rows",
)
"""The parameters that change tensors; a run that changes others finds them finished."""
_STAGE = "spark_preprocess"
_STEPS = ("words, levels and labels", "numbers", "training tensors", "phrases", "test tensors")
_TOKENIZER_ROWS = 200_000
_WORDS_HELD = 500_000
"""Distinct words that a task counts before it hands its counts on: about 60 MB."""
_LARGEST = float(np.finfo(np.float64).max)

Batches = Iterator[pa.RecordBatch]


def preprocess(
    store: Store, snapshot_id: str, parameters: Any, tokenization: Tokenization | None = None
) -> dict[str, Any]:
    """Fit on the training rows, apply to training and test rows, and publish spec and tensors.

    Args:
        store: holds ("snapshots", snapshot_id) and receives ("tensors", id).
        snapshot_id: what to read.
        parameters: those of `PARAMETERS` count.
        tokenization: how texts become ids; None means the words of the spec.

    Returns:
        The manifest of the tensors; the finished one where this work was done before.

    Raises:
        UnreadableFile: there is no such snapshot.
        EmptyTable: it has no training row.
        MissingTool: there is no Java.
    """
    chosen = {name: getattr(parameters, name) for name in PARAMETERS}
    tokens = None if tokenization is None else tokenization.key
    tensors_id = work_key(_STAGE, snapshot=snapshot_id, parameters=chosen, tokenization=tokens)
    if finished := store.manifest(KIND, tensors_id):
        return finished
    snapshot = store.manifest("snapshots", snapshot_id)
    if snapshot is None:
        raise UnreadableFile("there is no such snapshot", where=store.uri("snapshots", snapshot_id))
    if not snapshot["rows"]["train"]:
        raise EmptyTable("no row is left to train on", where=store.uri("snapshots", snapshot_id))
    begun = time.monotonic()
    with store.writing(KIND, tensors_id) as scratch, session() as spark:
        target = sink_of(store, scratch, KIND, tensors_id)
        source = store.uri("snapshots", snapshot_id)
        tokenizer = None if tokenization is None else _fit_tokenizer(store, snapshot, tokenization)
        spec = _fit_and_apply(spark, source, target, snapshot, parameters, tokenizer)
        (scratch / "spec.json").write_bytes(canonical_json(spec.to_json()))
        extra = {"spec.json"}
        if tokenizer is not None:
            (scratch / TOKENIZER).write_bytes(tokenizer[0])
            extra.add(TOKENIZER)
        manifest = {
            "format": TENSORS_FORMAT,
            "id": tensors_id,
            "snapshot": snapshot_id,
            "recipe": snapshot["recipe"],
            "spec": spec.digest,
            "rows": {split: snapshot["rows"][split] for split in SPLITS},
            "files": _describe(target) | {name: _entry((scratch / name).as_posix()) for name in sorted(extra)},
        }
        (scratch / MANIFEST).write_bytes(canonical_json(manifest))
    event(
        _LOGGER,
        "tensors_written",
        tensors_id=tensors_id,
        seconds=round(time.monotonic() - begun, 1),
        **manifest["rows"],
    )
    return manifest


def _fit_tokenizer(store: Store, snapshot: dict[str, Any], tokenization: Tokenization) -> tuple[bytes, str]:
    """Fit the tokeniser on an even sample of the training texts; return it and what opens it."""
    columns = parse_columns(snapshot["columns"], where="snapshot", recipe=snapshot["recipe"])
    step = max(1, snapshot["rows"]["train"] // _TOKENIZER_ROWS)

    def texts() -> Iterator[str]:
        row = 0
        for batch in read_rows(store, snapshot["id"], "train", list(columns.text)):
            for fields in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if row % step == 0:
                    yield "\n".join(field for field in fields if field)
                row += 1

    return tokenization.fit(texts()), tokenization.opener


def _fit_and_apply(
    spark: SparkSession,
    source: str,
    target: str,
    snapshot: dict[str, Any],
    parameters: Any,
    tokenizer: tuple[bytes, str] | None,
) -> Spec:
    columns = parse_columns(snapshot["columns"], where="snapshot", recipe=snapshot["recipe"])
    heads = tuple(columns.heads)
    inputs = [*columns.inputs, *([CREATED_AT] if columns.created_at else [])]
    train = read_folder(spark, f"{source}/train", [*inputs, *heads, "row"])
    rows = snapshot["rows"]["train"]

    _report(0)
    words, levels, labels = _fit_counts(train, columns, parameters)
    _report(1)
    numeric = _fit_numbers(train, columns, rows)
    spec = Spec(
        recipe=snapshot["recipe"],
        text=columns.text,
        categorical={name: tuple(text for text, _ in found) for name, found in levels.items()},
        numeric=numeric,
        vocabulary=tuple(word for word, _ in words),
        word_documents=tuple(count for _, count in words),
        phrases=(),
        phrase_documents=(),
        documents=rows,
        labels={head: tuple(label for label, _ in sorted(found)) for head, found in labels.items()},
        label_counts={head: tuple(count for _, count in sorted(found)) for head, found in labels.items()},
        separator=columns.separator,
        trees=columns.trees,
        max_tokens=parameters.max_tokens,
        columns=columns.model_dump(mode="json"),
    )
    # Encoding needs no phrases, so they are counted on the encoded rows instead of cleaning every text once more.
    encode = _encode(spark.sparkContext.broadcast((canonical_json(spec.to_json()), tokenizer)), heads)
    schema = ", ".join(
        ["ids binary", "categories binary", "numbers binary", "row bigint", *(f"`label.{head}` int" for head in heads)]
    )
    _report(2)
    write_folder(map_batches(train, encode, schema), f"{target}/train")
    _report(3)
    phrases = _fit_phrases(spark, f"{target}/train", spec, parameters) if tokenizer is None else []
    _report(4)
    if snapshot["rows"]["test"]:
        test = read_folder(spark, f"{source}/test", [*inputs, *heads, "row"])
        write_folder(map_batches(test, encode, schema), f"{target}/test")
    _report(5)
    return replace(
        spec,
        phrases=tuple(pair for pair, _ in phrases),
        phrase_documents=tuple(count for _, count in phrases),
    )


def _report(step: int) -> None:
    report(_STAGE, step, len(_STEPS), _STEPS[step] if step < len(_STEPS) else "")


# --- words, levels, labels


Counts = list[tuple[str, int]]


def _fit_counts(
    train: DataFrame, columns: Columns, parameters: Any
) -> tuple[Counts, dict[str, Counts], dict[str, Counts]]:
    """Return words by document frequency, levels by frequency, and every label, with counts; ties by the text."""
    heads = tuple(columns.heads)
    fields = [*columns.categorical, *heads]
    minimum: Column = F.lit(1)
    most: Column = F.lit(2**31 - 1)
    for kind in range(1, len(columns.categorical) + 1):
        minimum = F.when(F.col("kind") == kind, parameters.min_level_rows).otherwise(minimum)
        most = F.when(F.col("kind") == kind, parameters.max_levels).otherwise(most)
    minimum = F.when(F.col("kind") == 0, parameters.min_word_documents).otherwise(minimum)
    most = F.when(F.col("kind") == 0, parameters.max_words).otherwise(most)
    order = Window.partitionBy("kind").orderBy(F.desc("n"), "value")
    needed = [*columns.text, *fields]
    count = _count(columns.text, tuple(fields), parameters.max_tokens)
    counted = (
        map_batches(train.select(*map(quoted, needed)), count, "kind int, value string, n bigint")
        .groupBy("kind", "value")
        .agg(F.sum("n").alias("n"))
        .where(F.col("n") >= minimum)
        .withColumn("rank", F.row_number().over(order))
        .where(F.col("rank") <= most)
        .orderBy("kind", "rank")
        .toArrow()
    )
    found: list[Counts] = [[] for _ in range(1 + len(fields))]
    for kind, value, n in zip(*(counted[name].to_pylist() for name in ("kind", "value", "n")), strict=True):
        found[kind].append((value, n))
    named = dict(zip(fields, found[1:], strict=True))
    return found[0], {name: named[name] for name in columns.categorical}, {head: named[head] for head in heads}


def _count(text: tuple[str, ...], fields: tuple[str, ...], max_tokens: int) -> Callable[[Batches], Batches]:
    """Return a task that counts documents per word (kind 0) and rows per value of a field (its place, from 1)."""

    def count(batches: Batches) -> Batches:
        words: Counter[str] = Counter()
        values: list[Counter[str]] = [Counter() for _ in fields]
        for batch in batches:
            texts = [batch.column(name).to_pylist() for name in text]
            for row in range(batch.num_rows if text else 0):
                cleaned = clean_fields(column[row] for column in texts)
                words.update(set(cleaned.split(" ", max_tokens)[:max_tokens]))
            for name, counts in zip(fields, values, strict=True):
                for entry in batch.column(name).value_counts().to_pylist():
                    if (value := level(entry["values"])) is not None:
                        counts[value] += entry["counts"]
            if len(words) > _WORDS_HELD:
                yield _counts_batch(0, words)
                words = Counter()
        for kind, counts in enumerate([words, *values]):
            yield _counts_batch(kind, counts)

    return count


def _counts_batch(kind: int, counts: Counter[str]) -> pa.RecordBatch:
    counts.pop("", None)  # the only "word" of an empty text
    return pa.record_batch(
        {
            "kind": pa.array([kind] * len(counts), pa.int32()),
            "value": pa.array(counts.keys(), pa.string()),
            "n": pa.array(counts.values(), pa.int64()),
        }
    )


# --- numbers


def _fit_numbers(train: DataFrame, columns: Columns, rows: int) -> dict[str, Number]:
    """Return the fitted numeric fields; `created_at` last, where it is an input and has a value.

    The JVM counts the distinct values of each field and sorts them; order statistics and sums follow from that exactly.
    """
    fields: dict[str, Column] = {name: F.col(quoted(name)).cast("double") for name in columns.numeric}
    if columns.created_at and columns.use_created_at:
        # The arithmetic of `encoding.days`, bit for bit.
        fields[CREATED_AT] = F.unix_micros(F.col(CREATED_AT)).cast("double") / F.lit(1e6) / F.lit(86_400.0)
    if not fields:
        return {}
    pairs = [F.struct(F.lit(kind).alias("kind"), value.alias("value")) for kind, value in enumerate(fields.values())]
    counted = (
        train.select(F.explode(F.array(*pairs)).alias("pair"))
        .select("pair.kind", "pair.value")
        .where(F.abs("value") <= _LARGEST)  # neither null, NaN nor infinite
        .groupBy("kind", "value")
        .count()
        .orderBy("kind", "value")
        .toArrow()
    )
    kinds, values, counts = (counted[name].to_numpy() for name in ("kind", "value", "count"))
    fitted: dict[str, Number] = {}
    for kind, name in enumerate(fields):
        begin, end = np.searchsorted(kinds, [kind, kind + 1])
        if name != CREATED_AT:
            fitted[name] = fit_number(values[begin:end], counts[begin:end], rows)
        elif end > begin:
            fitted[name] = fit_time(values[begin:end], counts[begin:end], rows)
    return fitted


# --- tensors


@functools.lru_cache(maxsize=2)
def _encoder(spec: bytes, tokenizer: tuple[bytes, str] | None) -> RowEncoder:
    """Return the encoder of a spec's JSON, built once per worker process."""
    read = Spec.from_json(orjson.loads(spec))
    if tokenizer is None:
        return Encoder(read)
    module, _, name = tokenizer[1].partition(":")
    return cast(RowEncoder, getattr(importlib.import_module(module), name)(read, tokenizer[0]))


def _encode(
    fitted: Broadcast[tuple[bytes, tuple[bytes, str] | None]], heads: tuple[str, ...]
) -> Callable[[Batches], Batches]:
    def encode(batches: Batches) -> Batches:
        encoder = _encoder(*fitted.value)
        for batch in batches:
            arrays = encoder.encode({name: _values(batch, name) for name in encoder.spec.fields}, batch.num_rows)
            labels = {head: encoder.labels(head, batch.column(head).to_pylist()) for head in heads}
            yield pack(arrays, labels, batch.column("row"))

    return encode


def _values(batch: pa.RecordBatch, name: str) -> Sequence[Any]:
    column: Any = batch.column(name)
    # As NumPy's time, which holds every year that Arrow does; a Python date ends in 9999.
    times = pa.types.is_timestamp(column.type)
    values: Sequence[Any] = column.to_numpy(zero_copy_only=False) if times else column.to_pylist()
    return values


# --- phrases


def _fit_phrases(spark: SparkSession, tensors: str, spec: Spec, parameters: Any) -> list[tuple[tuple[int, int], int]]:
    """Return pairs of adjacent known words by falling document frequency, ties by the pair, with their counts."""
    if not parameters.max_phrases or not spec.vocabulary:
        return []
    size = spec.vocabulary_size
    count = _count_pairs(spec.max_tokens, size)
    counted = (
        map_batches(read_folder(spark, tensors, ["ids"]), count, "pair bigint, n bigint")
        .groupBy("pair")
        .agg(F.sum("n").alias("n"))
        .where(F.col("n") >= parameters.min_phrase_documents)
        .orderBy(F.desc("n"), "pair")
        .limit(parameters.max_phrases)
        .toArrow()
    )
    pairs, counts = counted["pair"].to_pylist(), counted["n"].to_pylist()
    return [(divmod(pair, size), count) for pair, count in zip(pairs, counts, strict=True)]


def _count_pairs(max_tokens: int, size: int) -> Callable[[Batches], Batches]:
    """Return a task that counts the rows that hold a pair; a pair is ``first * size + second``, which sorts alike."""

    def count(batches: Batches) -> Batches:
        for batch in batches:
            ids = packed_ids(batch.column("ids"), max_tokens).astype(np.int64)
            first, second = ids[:, :-1], ids[:, 1:]
            pairs = np.where((first >= FIRST_WORD) & (second >= FIRST_WORD), first * size + second, -1)
            pairs.sort(axis=1)
            new = pairs >= 0
            new[:, 1:] &= pairs[:, 1:] != pairs[:, :-1]
            found, counts = np.unique(pairs[new], return_counts=True)
            yield pa.record_batch({"pair": pa.array(found, pa.int64()), "n": pa.array(counts, pa.int64())})

    return count


# --- manifest


def _describe(folder: str) -> dict[str, dict[str, Any]]:
    """Return digest, size and rows of every shard below a folder, local or ``s3://``."""
    return {
        f"{split}/{path.rpartition('/')[2]}": _entry(f"{folder}/{split}/{path.rpartition('/')[2]}")
        for split in SPLITS
        for path in shards(f"{folder}/{split}")
    }


def _entry(uri: str) -> dict[str, Any]:
    files, path = filesystem(uri)
    digest = hashlib.sha256()
    size = 0
    with files.open_input_stream(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"sha256": digest.hexdigest(), "bytes": size}
