"""Snapshots made by hand: exactly the rows that a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.records import Columns
from frontdesk.storage import MANIFEST, Store, canonical_json, describe


def put_snapshot(
    store: Store,
    snapshot_id: str,
    columns: Columns,
    train: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]] = (),
    *,
    files: int = 2,
    row_group: int = 7,
) -> str:
    """Publish rows (canonical names, an absent value is null) as a snapshot of several small files and row groups."""
    with store.writing("snapshots", snapshot_id) as folder:
        for split, rows in (("train", train), ("test", test)):
            _write(folder / split, _table(columns, rows), files, row_group)
        manifest = {
            "format": 1,
            "id": snapshot_id,
            "recipe": "ticket",
            "columns": columns.model_dump(mode="json"),
            "rows": {"train": len(train), "test": len(test), "refused": 0},
            "files": describe(folder),
        }
        (folder / MANIFEST).write_bytes(canonical_json(manifest))
    return snapshot_id


def _table(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    kinds: dict[str, pa.DataType] = {"id": pa.string()}
    if columns.created_at:
        kinds["created_at"] = pa.timestamp("us", tz="UTC")
    kinds |= dict.fromkeys([*columns.text, *columns.categorical], pa.string())
    kinds |= dict.fromkeys(columns.numeric, pa.float64())
    kinds |= dict.fromkeys(columns.heads, pa.string())

    def cells(name: str) -> list[Any]:
        values = [row.get(name) for row in rows]
        if name == "created_at":
            return [datetime.fromisoformat(value) if isinstance(value, str) else value for value in values]
        return values

    table = pa.table({name: pa.array(cells(name), kind) for name, kind in kinds.items()})
    return table.append_column("row", pa.array(range(len(rows)), pa.int64()))


def _write(folder: Path, table: pa.Table, files: int, row_group: int) -> None:
    folder.mkdir()
    length = max(1, -(-table.num_rows // files))
    for number in range(files):
        part = table.slice(number * length, length)
        if part.num_rows or number == 0:
            path = folder / f"part-{number:05d}.parquet"
            pq.write_table(part, path, compression="zstd", row_group_size=row_group)
