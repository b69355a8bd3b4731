"""Tensors made by hand, published as Spark would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.preprocessing.encoding import Arrays
from frontdesk.preprocessing.spec import Number, Spec
from frontdesk.storage import MANIFEST, Store, canonical_json, describe
from frontdesk.tensors import TENSORS_FORMAT, pack


def made_arrays(rows: int, *, tokens: int = 6, seed: int = 0) -> tuple[Arrays, dict[str, np.ndarray]]:
    """Return arrays and labels with every awkward number, random but for the seed."""
    draw = np.random.default_rng(seed)
    numbers = draw.choice([np.nan, 0.0, -0.0, 1e308, -5e-324, 1.5], (rows, 2))
    arrays = Arrays(
        draw.integers(0, 2**31 - 1, (rows, tokens), dtype=np.int32),
        draw.integers(0, 9, (rows, 3), dtype=np.int32),
        numbers,
    )
    return arrays, {head: draw.integers(-2, 5, rows, dtype=np.int32) for head in ("contact_type", "reply")}


def put_tensors(
    store: Store,
    tensors_id: str,
    arrays: Arrays,
    labels: Mapping[str, np.ndarray],
    *,
    order: Sequence[int] | None = None,
    files: int = 2,
    spec: Spec | None = None,
) -> None:
    """Publish arrays as the training split; ``order`` gives the row number that each stored row claims to have."""
    rows = len(arrays.ids)
    claimed = np.array(range(rows) if order is None else order, np.int64)
    places = np.minimum(claimed, rows - 1) if rows else claimed
    shuffled = Arrays(arrays.ids[places], arrays.categories[places], arrays.numbers[places])
    table = pa.Table.from_batches(
        [pack(shuffled, {head: values[places] for head, values in labels.items()}, pa.array(claimed))]
    )
    spec = spec or Spec(
        recipe="ticket",
        text=("body",),
        categorical={f"c{place}": ("a",) for place in range(arrays.categories.shape[1])},
        numeric={f"n{place}": Number(0.0, 0.0, 1.0) for place in range(arrays.numbers.shape[1])},
        vocabulary=("word",),
        word_documents=(1,),
        phrases=(),
        phrase_documents=(),
        documents=rows,
        labels=dict.fromkeys(labels, ("x",)),
        label_counts=dict.fromkeys(labels, (rows,)),
        separator=" > ",
        max_tokens=arrays.ids.shape[1],
    )
    with store.writing("tensors", tensors_id) as folder:
        (folder / "train").mkdir()
        length = max(1, -(-table.num_rows // files))
        for number in range(files if table.num_rows else 0):
            pq.write_table(table.slice(number * length, length), folder / "train" / f"part-{number:05d}.parquet")
        (folder / "spec.json").write_bytes(canonical_json(spec.to_json()))
        manifest = {
            "format": TENSORS_FORMAT,
            "id": tensors_id,
            "snapshot": "s",
            "recipe": "ticket",
            "spec": spec.digest,
            "rows": {"train": rows, "test": 0},
            "files": describe(folder),
        }
        (folder / MANIFEST).write_bytes(canonical_json(manifest))
