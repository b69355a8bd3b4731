"""Job 1: tables to one immutable snapshot, with checks, a split, and the refused rows set aside.

Memory is bounded: validated rows are staged in Parquet while a few numbers per row stay (`Census`); the split is
decided on those, and a second pass writes the two sides.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk import checks, progress, splits
from frontdesk.census import Census
from frontdesk.checks import Check
from frontdesk.errors import BadColumns, StorageError
from frontdesk.features import FeatureJoin
from frontdesk.logs import event
from frontdesk.parts import ROW_GROUP_ROWS, Parts
from frontdesk.records import Columns
from frontdesk.splits import SplitParameters
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, reading, work_key
from frontdesk.tables import ROW, Refusal, joined_batches, schema_of
from frontdesk.taxonomy import RowMapper

Prepare = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Changes the values of rows as they are read; their number, order and schema stay."""

KIND = "snapshots"
SNAPSHOT_FORMAT = 1
_BLOCK = 4 << 20
_DAY_MICROSECONDS = 86_400 * 1_000_000
_READ_SHARE = 70
"""Percent of the job's progress that reading the sources stands for."""

REFUSED_SCHEMA = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("field", pa.string()), ("reason", pa.string())]
)
NO_TIME_REASON = "no time stamp, which the split by time needs"

_logger = logging.getLogger(__name__)


def take_snapshot(
    store: Store,
    *,
    recipe: str,
    data: str,
    columns: Columns,
    parameters: SplitParameters,
    test: str | None = None,
    prepare: Prepare | None = None,
    prepare_key: Mapping[str, Any] | None = None,
    join: FeatureJoin | None = None,
    relabel: RowMapper | None = None,
) -> dict[str, Any]:
    """Read the tables, check them, split them, and publish the snapshot.

    The snapshot's id follows from the bytes of the tables, the mapping, the label file and the parameters of the split,
    so that taking it again finds the finished one.

    Args:
        store: where it is published, under ``snapshots/<id>``.
        recipe: name of the recipe.
        data: path or address of the table.
        columns: what its columns mean.
        parameters: `split`, `test_share` and `seed` are used.
        test: a second table that is the test set; then all of ``data`` is for training.
        prepare: applied to rows before anything of them is counted or stored, on the scratch disk either.
        prepare_key: plain values that its result depends on beside the library's source; part of the snapshot's id.
        join: fills the features that the mapping names, before ``prepare``.
        relabel: brings the labels of rows of every age to one version, after ``prepare``; the manifest then holds under
            ``taxonomy`` the label file and what became of the rows.

    Returns:
        The manifest.

    Raises:
        DataError: the tables cannot be read, or a check failed. Nothing is published then.
        StorageError: the store does not answer.
    """
    if not columns.heads:
        raise BadColumns("the mapping names no label", remedy=f"Name one of {', '.join(columns.known_heads)}")
    if parameters.split == "time" and columns.created_at is None and test is None:
        raise BadColumns(
            "a split by time needs created_at (of an email: received_at) in the mapping", remedy="Or --set split=random"
        )
    sources = {"data": data} | ({} if test is None else {"test": test})
    digests = {role: source_digest(uri) for role, uri in sources.items()}
    mapping = columns.model_dump(mode="json")
    split = {"split": parameters.split, "test_share": parameters.test_share, "seed": parameters.seed}
    prepared = None if prepare is None else dict(prepare_key or {})
    labels = None if relabel is None else relabel.key
    features = None if join is None else dict(join.key)
    snapshot_id = work_key(
        "etl",
        recipe=recipe,
        sources=digests,
        columns=mapping,
        split=split,
        prepare=prepared,
        features=features,
        taxonomy=labels,
    )
    if finished := store.manifest(KIND, snapshot_id):
        return finished
    with store.writing(KIND, snapshot_id) as folder:
        manifest = {
            "format": SNAPSHOT_FORMAT,
            "id": snapshot_id,
            "recipe": recipe,
            "columns": mapping,
            "prepare": prepared,
            "features": features,
            "sources": {role: {"name": _name(uri), "sha256": digests[role]} for role, uri in sources.items()},
            **_Taking(folder, columns, parameters, prepare, join, relabel).take(data, test),
        }
        manifest["files"] = describe(folder)
        (folder / MANIFEST).write_bytes(canonical_json(manifest))
    progress.report("etl", 100, 100, f"{manifest['rows']['train']:,} + {manifest['rows']['test']:,} rows")
    event(_logger, "snapshot_taken", snapshot_id=snapshot_id, **manifest["rows"])
    return manifest


def snapshot_files(store: Store, snapshot_id: str, split: str) -> list[str]:
    """Return the addresses of a split's Parquet files, in row order.

    Raises:
        StorageError: there is no such snapshot.
    """
    manifest = store.manifest(KIND, snapshot_id)
    if manifest is None:
        raise StorageError(f"there is no snapshot {snapshot_id}", where=store.root)
    return [store.uri(KIND, snapshot_id, name) for name in sorted(manifest["files"]) if name.startswith(f"{split}/")]


def read_rows(store: Store, snapshot_id: str, split: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read a split's rows in order, in batches of 8192 at most.

    Args:
        store: where the snapshot is.
        snapshot_id: its id.
        split: ``train`` or ``test``.
        columns: the wanted ones, in this order; all without it.
    """
    for uri in snapshot_files(store, snapshot_id, split):
        with reading(uri) as file:
            for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(8192, columns=columns, use_threads=False):
                yield batch if columns is None else batch.select(columns)


def _prepared(rows: pa.RecordBatch, prepare: Prepare) -> pa.RecordBatch:
    made = prepare(rows)
    assert made.schema.equals(rows.schema)
    assert made.column(ROW).equals(rows.column(ROW))
    return made


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]


def source_digest(uri: str) -> str:
    """Return the SHA-256 of a table's bytes, local or ``s3://``."""
    with reading(uri) as file:
        hashed = hashlib.sha256()
        while block := file.read(_BLOCK):
            hashed.update(block)
    return hashed.hexdigest()


class _Taking:
    """One run of the job inside its scratch folder."""

    def __init__(
        self,
        folder: Path,
        columns: Columns,
        parameters: SplitParameters,
        prepare: Prepare | None,
        join: FeatureJoin | None,
        relabel: RowMapper | None,
    ) -> None:
        self.folder = folder
        self.join = join
        self.changes = [change for change in (prepare, relabel) if change is not None]
        self.relabel = relabel
        self.columns = columns
        self.parameters = parameters
        self.schema = schema_of(columns)
        self.census = Census(columns)
        self.reasons: Counter[str] = Counter()

    def take(self, data: str, test: str | None) -> dict[str, Any]:
        """Write the files and return the manifest's part that depends on the rows."""
        with Parts(self.folder / "refused.parquet", REFUSED_SCHEMA) as refused:
            if test is None:
                is_test, kept, split = self._split_one(data, refused)
            else:
                is_test, kept, split = self._two(data, test, refused)
        census = self.census
        train, held_out = kept & ~is_test, kept & is_test
        unseen = {head: self._unseen(head, train, held_out) for head in self.columns.heads}
        rows = {"train": int(train.sum()), "test": int(held_out.sum()), "refused": sum(self.reasons.values())}
        found = self._checks(train, held_out, rows, unseen)
        # The clock decides this one: it is told, but it is no part of the snapshot, which must not change by waiting.
        future = checks.future_stamps(census.times[kept], time.time_ns() // 1000 + _DAY_MICROSECONDS)
        if future.status != "pass":
            event(_logger, "future_stamps", logging.WARNING, rows=future.value)
        checks.require([*found, future], where=_name(data))
        return {
            "rows": rows,
            "split": split,
            "span": self._span(kept),
            "labels": {head: self._label_counts(head, kept) for head in self.columns.heads},
            "duplicates": census.duplicates,
            "unseen_test_labels": unseen,
            "taxonomy": None if self.relabel is None else self.relabel.to_json(self.columns.heads),
            "checks": [check.to_json() for check in found],
        }

    def _copy(self, uri: str, parts: Parts, refused: Parts, begin: float, end: float) -> None:
        """Stream a table's good rows into ``parts`` and its refused rows aside."""
        for batch in joined_batches(uri, self.columns, self.join):
            for change in self.changes:
                batch = replace(batch, rows=_prepared(batch.rows, change))
            self.census.add(batch)
            parts.add(batch.rows)
            self._refuse(batch.refused, refused)
            progress.report("etl", begin + (end - begin) * batch.share, 100, f"{self.census.rows:,} rows")

    def _refuse(self, refusals: list[Refusal], refused: Parts) -> None:
        if refusals:
            self.reasons.update(f"{one.field}: {one.reason}" if one.field else one.reason for one in refusals)
            refused.add(refusal_rows(refusals))

    def _two(self, data: str, test: str, refused: Parts) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Take the second table as the test set."""
        with Parts(self.folder / "train", self.schema, number=ROW) as parts:
            self._copy(data, parts, refused, 0, 80)
        train = self.census.rows
        with Parts(self.folder / "test", self.schema, number=ROW) as parts:
            self._copy(test, parts, refused, 80, 100)
        is_test = np.arange(self.census.rows) >= train
        return is_test, np.ones(self.census.rows, bool), self._split_facts("file", None)

    def _split_one(self, data: str, refused: Parts) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Stage the table, decide on the numbers kept, then write the two sides."""
        stage = self.folder / "stage"
        with Parts(stage, self.schema, compression="lz4") as parts:
            self._copy(data, parts, refused, 0, _READ_SHARE)
        is_test, kept, split = self._decide()
        census = self.census
        timeless = census.file_rows[~kept]
        field = str(self.columns.created_at)
        for begin in range(0, len(timeless), ROW_GROUP_ROWS):
            some = timeless[begin : begin + ROW_GROUP_ROWS]
            self._refuse([Refusal(_name(data), int(row) + 1, field, NO_TIME_REASON) for row in some], refused)
        start = 0
        with (
            Parts(self.folder / "train", self.schema, number=ROW) as train,
            Parts(self.folder / "test", self.schema, number=ROW) as test,
        ):
            for path in sorted(stage.iterdir()):
                for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(8192, use_threads=False):
                    here = slice(start, start + batch.num_rows)
                    train.add(batch.filter(pa.array(kept[here] & ~is_test[here])))
                    test.add(batch.filter(pa.array(kept[here] & is_test[here])))
                    start += batch.num_rows
                    done = _READ_SHARE + (99 - _READ_SHARE) * start / census.rows
                    progress.report("etl", done, 100, f"{start:,} of {census.rows:,} rows written")
        shutil.rmtree(stage)
        return is_test, kept, split

    def _decide(self) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Return the test rows and the kept rows, bool [rows] each, and the facts of the split."""
        census, share = self.census, self.parameters.test_share
        timed = census.times != splits.NO_TIME
        kind = self.parameters.split
        if kind == "auto":
            kind = "time" if timed.any() else "random"
        is_test = np.zeros(census.rows, bool)
        boundary = None
        if kind == "time":
            if timed.any():
                is_test[timed], boundary = splits.by_time(census.times[timed], share)
            return is_test, timed, self._split_facts(kind, boundary)
        if census.rows:
            head = next(iter(self.columns.heads))
            is_test = splits.stratified(census.codes(head), share, self.parameters.seed)
        return is_test, np.ones(census.rows, bool), self._split_facts(kind, boundary)

    def _split_facts(self, kind: str, boundary: int | None) -> dict[str, Any]:
        return {
            "kind": kind,
            "seed": self.parameters.seed,
            "test_share": self.parameters.test_share,
            "boundary": None if boundary is None else _iso(boundary),
        }

    def _checks(self, train: np.ndarray, test: np.ndarray, rows: dict[str, int], unseen: dict[str, int]) -> list[Check]:
        census = self.census
        kept = rows["train"] + rows["test"]
        found = [
            checks.refused_rows(rows["refused"], kept, dict(self.reasons)),
            checks.split_sizes(rows["train"], rows["test"]),
            checks.missing_values(census.missing, census.rows),
            checks.duplicates(census.duplicates, census.rows, has_text=bool(self.columns.text)),
            *checks.labels({head: census.counts(head, train) for head in self.columns.heads}),
        ]
        if self.relabel is not None:
            found += checks.label_versions(self.relabel.to_json(self.columns.heads)["heads"])
        if self.columns.text:
            found.append(checks.empty_texts(census.empty_texts, census.rows))
        for head in self.columns.heads:
            found.append(checks.test_labels(head, int(census.counts(head, test).sum()), unseen[head]))
        return found

    def _unseen(self, head: str, train: np.ndarray, test: np.ndarray) -> int:
        """Count the test rows whose label training never saw."""
        return int(self.census.counts(head, test)[self.census.counts(head, train) == 0].sum())

    def _label_counts(self, head: str, kept: np.ndarray) -> dict[str, int]:
        counts = self.census.counts(head, kept)
        labelled = int(counts.sum())
        return {"n": labelled, "distinct": int((counts > 0).sum()), "empty": int(kept.sum()) - labelled}

    def _span(self, kept: np.ndarray) -> dict[str, str | None]:
        times = self.census.times[kept]
        times = times[times != splits.NO_TIME]
        if not len(times):
            return {"first": None, "last": None}
        return {"first": _iso(int(times.min())), "last": _iso(int(times.max()))}


def refusal_rows(refusals: Sequence[Refusal]) -> pa.RecordBatch:
    """Return refusals as rows of `REFUSED_SCHEMA`."""
    columns = [[getattr(one, name) for one in refusals] for name in REFUSED_SCHEMA.names]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REFUSED_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=REFUSED_SCHEMA)


def _iso(microseconds: int) -> str:
    return f"{np.datetime64(microseconds, 'us')}Z"
