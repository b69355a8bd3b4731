"""Job 1 of the intent recipe: a log of sessions -> one immutable snapshot, split at one moment."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk import checks, progress
from frontdesk.errors import EmptyTable
from frontdesk.features import FeatureJoin
from frontdesk.intent.columns import INTENT, IntentColumns, convert, schema_of, source_columns, with_features
from frontdesk.intent.configuration import Configuration, in_context
from frontdesk.intent.recipe import NAME
from frontdesk.intent.sessions import temporal_split, usable_rows
from frontdesk.logs import event
from frontdesk.parts import Parts
from frontdesk.snapshots import KIND, REFUSED_SCHEMA, SNAPSHOT_FORMAT, read_rows, refusal_rows, source_digest
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, work_key
from frontdesk.tables import ROW, Refusal, raw_batches

_log = logging.getLogger(__name__)


def take_sessions(
    store: Store,
    *,
    data: str,
    test: str | None,
    columns: IntentColumns,
    test_share: float,
    configuration: Configuration | None = None,
    join: FeatureJoin | None = None,
    network: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Read a log, leave out the sessions that only failed, split whole sessions by their start, publish.

    Args:
        store: where the snapshot is published, under ``snapshots/<id>``: ``train/`` and ``test/`` with the rows of
            `columns.schema_of` and `ROW`, their order in the file; ``refused.parquet``.
        data: path or address of the log.
        test: a second log that is the test set; then all of ``data`` is for training.
        columns: what the log's columns mean.
        test_share: share of the sessions, the newest, that are the test set.
        configuration: the lines' settings: events that a line's screen does not send are left out of its rows.
        join: fills the features that the mapping names.
        network: ``{"digest", "model_id"}`` of the deployed network that later jobs keep; None: they train one. It
            stands here, so that a run that begins with one network does not end with another.

    Returns:
        The manifest.

    Raises:
        DataError: the log cannot be read, has no usable session, or a check failed. Nothing is published then.
        UsageError: the settings name a line or an event that the log does not have.
    """
    sources = {"data": data} | ({} if test is None else {"test": test})
    digests = {role: source_digest(uri) for role, uri in sources.items()}
    mapping = columns.model_dump(mode="json")
    split = {"test_share": test_share}
    settings = None if configuration is None else configuration.model_dump(mode="json")
    features = None if join is None else dict(join.key)
    snapshot_id = work_key(
        "etl",
        recipe=NAME,
        sources=digests,
        columns=mapping,
        split=split,
        configuration=settings,
        features=features,
        network=None if network is None else network["digest"],
    )
    if finished := store.manifest(KIND, snapshot_id):
        return finished
    read = {role: read_table(uri, columns, join) for role, uri in sources.items()}
    refused = [one for _, found in read.values() for one in found]
    rows = usable_rows(read["data"][0], columns)
    if test is None:
        is_test = temporal_split(rows, test_share)
        sides = {"train": rows.filter(pa.array(~is_test)), "test": rows.filter(pa.array(is_test))}
    else:
        sides = {"train": rows, "test": usable_rows(read["test"][0], columns)}
    if configuration is not None:
        configuration.check(pa.concat_tables(sides.values()))
        sides = {name: in_context(side, configuration) for name, side in sides.items()}
    counts = {name: side.num_rows for name, side in sides.items()} | {"refused": len(refused)}
    reasons = Counter(f"{one.field}: {one.reason}" if one.field else one.reason for one in refused)
    found = [
        checks.refused_rows(len(refused), counts["train"] + counts["test"], dict(reasons)),
        checks.split_sizes(counts["train"], counts["test"]),
    ]
    checks.require(found, where=data.rpartition("/")[2])
    with store.writing(KIND, snapshot_id) as folder:
        for name, side in sides.items():
            _write(side, folder / name)
        with Parts(folder / "refused.parquet", REFUSED_SCHEMA) as aside:
            if refused:
                aside.add(refusal_rows(refused))
        manifest = {
            "format": SNAPSHOT_FORMAT,
            "id": snapshot_id,
            "recipe": NAME,
            "columns": mapping,
            "sources": {
                role: {"name": uri.rpartition("/")[2], "sha256": digests[role]} for role, uri in sources.items()
            },
            "rows": counts,
            "sessions": {name: _distinct(side, "session") for name, side in sides.items()},
            "split": {"kind": "time" if test is None else "file", "test_share": test_share},
            "configuration": settings,
            "features": features,
            "network": None if network is None else dict(network),
            "span": _span(sides),
            "labels": {INTENT: _intents(sides)},
            "checks": [check.to_json() for check in found],
            "files": describe(folder),
        }
        (folder / MANIFEST).write_bytes(canonical_json(manifest))
    progress.report("etl", 100, 100, f"{counts['train']:,} + {counts['test']:,} rows")
    event(_log, "snapshot_taken", snapshot_id=snapshot_id, **counts)
    return manifest


def read_table(uri: str, columns: IntentColumns, join: FeatureJoin | None = None) -> tuple[pa.Table, list[Refusal]]:
    """Return the good rows of a log in file order (schema of `columns.schema_of`), and the others.

    Args:
        uri: of the log.
        columns: what its columns mean.
        join: fills the features that the mapping names; without it they are what the log itself holds.

    Raises:
        DataError: the log cannot be read, lacks a column, or has no good row.
    """
    name = uri.rpartition("/")[2]
    parts, refused = [], []
    wanted, optional = source_columns(columns)
    for raw in raw_batches(uri, wanted, optional=optional):
        rows, wrong = convert(raw.columns, raw.numbers, columns, where=name)
        parts.append(rows)
        refused += wrong + [Refusal(name, number + 1, "", reason) for number, reason in raw.broken]
        progress.report("etl", 90 * raw.share, 100, f"{sum(part.num_rows for part in parts):,} rows")
    table = pa.concat_tables(parts) if parts else schema_of(columns).empty_table()
    if not table.num_rows:
        reason = refused[0].reason if refused else "no row"
        raise EmptyTable(f"the table has no usable row; the first one: {reason}", where=uri)
    return with_features(table, columns, join), refused


def _write(rows: pa.Table, folder: Path) -> None:
    numbered = rows.append_column(pa.field(ROW, pa.int64(), nullable=False), pa.array(np.arange(rows.num_rows)))
    with Parts(folder, numbered.schema) as parts:
        for batch in numbered.to_batches(8192):
            parts.add(batch)


def _distinct(rows: pa.Table, name: str) -> int:
    return int(pc.count_distinct(rows[name]).as_py())


def _intents(sides: dict[str, pa.Table]) -> dict[str, int]:
    names = {side: set(rows["name"].filter(pc.equal(rows["kind"], INTENT)).to_pylist()) for side, rows in sides.items()}
    opened = sum(int(pc.sum(pc.equal(rows["kind"], INTENT)).as_py()) for rows in sides.values())
    return {
        "n": opened,
        "distinct": len(names["train"] | names["test"]),
        "only_in_test": len(names["test"] - names["train"]),
    }


def _span(sides: dict[str, pa.Table]) -> dict[str, str]:
    times = pa.concat_arrays([side["timestamp"].combine_chunks() for side in sides.values()])
    bounds = pc.min_max(times).as_py()
    return {"first": bounds["min"].isoformat(), "last": bounds["max"].isoformat()}


def snapshot_table(store: Store, snapshot_id: str, split: str, columns: IntentColumns) -> pa.Table:
    """Return a split's rows in file order (schema of `columns.schema_of`)."""
    batches = list(read_rows(store, snapshot_id, split, schema_of(columns).names))
    return pa.Table.from_batches(batches, schema_of(columns))
