"""Tensors: how Spark's shards hold them, and job 3, which brings them to the training node as memory-mapped arrays.

A shard is Parquet with one binary column per array (little-endian rows of ids, categories, numbers), one int32 column
per head and the row's number. On the node every array is one ``.npy`` file ordered by row.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.errors import StorageError, TransferError, UnreadableFile
from frontdesk.logs import event
from frontdesk.preprocessing.encoding import Arrays
from frontdesk.preprocessing.spec import Spec
from frontdesk.progress import report
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, file_digest, reading, write_atomically

_LOGGER = logging.getLogger(__name__)
TENSORS_FORMAT = 1
SPLITS = ("train", "test")
_CHUNK = 4 << 20
_DOWNLOAD = ".download"
_PART = ".part"
_BATCH_ROWS = 8192
_SHARE = 0.5


# --- shards


def pack(arrays: Arrays, labels: Mapping[str, np.ndarray], row: pa.Array) -> pa.RecordBatch:
    """Return encoded rows as a batch of a shard.

    Args:
        arrays: N encoded rows.
        labels: int32 [N] per head.
        row: the rows' numbers, int64 [N].
    """
    columns = {
        "ids": _binary(arrays.ids, np.int32),
        "categories": _binary(arrays.categories, np.int32),
        "numbers": _binary(arrays.numbers, np.float64),
        "row": row.cast(pa.int64()),
    }
    return pa.record_batch(columns | {f"label.{head}": pa.array(values, pa.int32()) for head, values in labels.items()})


def _binary(array: np.ndarray, kind: Any) -> pa.Array:
    """Return each row of an array as the bytes of one binary value, without a copy."""
    content = np.ascontiguousarray(array, _stored(kind))
    rows, width = len(content), content.shape[1] * content.itemsize
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(content)])


def _stored(kind: Any) -> np.dtype[Any]:
    little: np.dtype[Any] = np.dtype(kind).newbyteorder("<")
    return little


def _unpacked(column: pa.Array, kind: Any, width: int) -> np.ndarray:
    begin, length = column.offset, len(column)
    if not length or not width:
        return np.zeros((length, width), kind)
    kind = _stored(kind)
    offsets = np.frombuffer(column.buffers()[1], np.int32, length + 1, begin * 4)
    if offsets[-1] - offsets[0] != length * width * kind.itemsize:
        raise TransferError("a row of a shard does not have the width that spec.json states")
    return np.frombuffer(column.buffers()[2], kind, length * width, int(offsets[0])).reshape(length, width)


def packed_ids(column: pa.Array, max_tokens: int) -> np.ndarray:
    """Return the ``ids`` column of a shard's batch as int32 [N, max_tokens], without a copy."""
    return _unpacked(column, np.int32, max_tokens)


# --- transfer


def transfer(store: Store, tensors_id: str, node: Path, unpack: Unpack | None = None) -> Path:
    """Copy tensors from the store to a folder of this machine and unpack them. Repeat it after a failure: it goes on.

    A file is copied in chunks under ``<name>.part``; an attempt that was killed is continued at its length. A file
    counts only when its SHA-256 is the manifest's. Arrays appear under their names when complete, ``manifest.json``
    last. Where everything is there, every file is verified again, and an altered one is made anew from the store.

    Args:
        store: holds ("tensors", tensors_id).
        tensors_id: what to fetch.
        node: local folder of the training node.
        unpack: what makes arrays of the shards; None means `unpack_rows`.

    Returns:
        ``node/<tensors_id>``: ``{split}.ids.npy`` int32 [N, T], ``{split}.categories.npy`` int32 [N, C],
        ``{split}.numbers.npy`` float64 [N, D], ``{split}.label.{head}.npy`` int32 [N] for train and test in the order
        of the snapshot, and every file that lies beside the shards, such as ``spec.json``.

    Raises:
        TransferError: a file of the store is not what its manifest states, twice; names the file.
        UnreadableFile: there are no such tensors.
        StorageError: the store does not answer, or this machine has no room; the next attempt goes on.
    """
    folder = node / tensors_id
    if (folder / MANIFEST).is_file():
        bad = altered(folder)
        if not bad:
            shutil.rmtree(folder / _DOWNLOAD, ignore_errors=True)  # killed between the manifest and the clearing
            return folder
        event(_LOGGER, "tensors_altered", level=logging.WARNING, tensors_id=tensors_id, files=bad)
        (folder / MANIFEST).unlink()
    manifest = store.manifest("tensors", tensors_id)
    if manifest is None:
        raise UnreadableFile("there are no such tensors", where=store.uri("tensors", tensors_id))
    begun = time.monotonic()
    try:
        copied, resumed = _download(store, tensors_id, manifest["files"], folder / _DOWNLOAD)
        _unpack(folder, manifest, unpack or unpack_rows)
    except OSError as error:
        raise StorageError(f"the transfer stopped ({type(error).__name__})", where=str(folder)) from error
    event(
        _LOGGER,
        "tensors_transferred",
        tensors_id=tensors_id,
        bytes_copied=copied,
        bytes_resumed=resumed,
        seconds=round(time.monotonic() - begun, 1),
    )
    return folder


def altered(folder: Path) -> list[str]:
    """Return the files of a finished folder that are missing or do not have the digest of its manifest."""
    try:
        files = orjson.loads((folder / MANIFEST).read_bytes())["files"]
        return [name for name, entry in files.items() if not _intact(folder / name, entry)]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return [MANIFEST]


def _intact(path: Path, entry: Mapping[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == entry["bytes"] and file_digest(path) == entry["sha256"]


def _download(store: Store, tensors_id: str, files: Mapping[str, Any], folder: Path) -> tuple[int, int]:
    """Bring every file; return the bytes copied now and the bytes found from before."""
    total = sum(entry["bytes"] for entry in files.values())
    done = copied = 0

    def advance(count: int) -> None:
        report("data_transfer", done + count, total, "bytes")

    for name, entry in files.items():
        path = folder / name
        if not _intact(path, entry):
            copied += _fetch(store.uri("tensors", tensors_id, name), path, entry, advance)
        done += entry["bytes"]
        advance(0)
    return copied, max(0, total - copied)  # less than nothing where a bad part was copied twice


def _fetch(uri: str, path: Path, entry: Mapping[str, Any], advance: Callable[[int], None]) -> int:
    """Copy one file, going on where an earlier attempt stopped; return the bytes copied."""
    part = path.with_name(path.name + _PART)
    path.parent.mkdir(parents=True, exist_ok=True)
    copied = 0
    for _ in range(2):
        try:
            copied += _continue(uri, part, entry["bytes"], advance)
        except UnreadableFile as error:
            raise TransferError("a file of the tensors cannot be read", where=uri) from error
        if _intact(part, entry):
            part.replace(path)
            return copied
        part.unlink()
    raise TransferError(
        "the file does not have the digest of its manifest",
        where=uri,
        remedy="Remove the folder from the store and run the job that made it again",
    )


def _continue(uri: str, part: Path, size: int, advance: Callable[[int], None]) -> int:
    with reading(uri) as source, part.open("ab") as sink:
        begin = sink.tell()
        if begin > size or source.size() != size:
            return 0  # the digest check tells
        source.seek(begin)
        place = begin
        while place < size and (block := source.read(min(_CHUNK, size - place))):
            sink.write(block)
            sink.flush()
            place += len(block)
            advance(place)
    return place - begin


# --- unpacking


Unpack = Callable[[Path, Path, Mapping[str, Any]], None]
"""Turns the files of a download into arrays of the folder beside it: ``(download, folder, manifest)``."""


def _unpack(folder: Path, manifest: Mapping[str, Any], unpack: Unpack) -> None:
    source = folder / _DOWNLOAD
    unpack(source, folder, manifest)
    for name in manifest["files"]:
        if "/" not in name:
            shutil.copyfile(source / name, folder / name)
    content = {
        "format": TENSORS_FORMAT,
        "id": manifest["id"],
        "recipe": manifest["recipe"],
        "snapshot": manifest["snapshot"],
        "rows": manifest["rows"],
        "files": {name: entry for name, entry in describe(folder).items() if not name.startswith(".")},
    }
    write_atomically(folder / MANIFEST, canonical_json(content))
    shutil.rmtree(source)


def unpack_rows(source: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Unpack the shards of labelled rows; see `transfer`."""
    spec = Spec.from_json(orjson.loads((source / "spec.json").read_bytes()))
    for split in SPLITS:
        names = sorted(name for name in manifest["files"] if name.startswith(f"{split}/"))
        _unpack_split(folder, split, [source / name for name in names], manifest["rows"][split], spec)


def _unpack_split(folder: Path, split: str, shards: list[Path], rows: int, spec: Spec) -> None:
    """Put every row of the shards at its place in one array per kind."""
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
        "ids": (np.int32, (rows, spec.max_tokens)),
        "categories": (np.int32, (rows, len(spec.categorical))),
        "numbers": (np.float64, (rows, len(spec.numeric))),
        **{f"label.{head}": (np.int32, (rows,)) for head in spec.labels},
    }
    paths = {name: folder / f"{split}.{name}.npy" for name in shapes}
    arrays = {
        name: np.lib.format.open_memmap(_unfinished(paths[name]), mode="w+", dtype=_stored(kind), shape=shape)
        for name, (kind, shape) in shapes.items()
    }
    seen = np.zeros(rows, bool)
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                places = batch.column("row").to_numpy()
                if len(places) and (places.min() < 0 or places.max() >= rows or seen[places].any()):
                    raise TransferError("a row number is out of range or comes twice", where=f"{split}/{shard.name}")
                seen[places] = True
                for name, (kind, shape) in shapes.items():
                    column = batch.column(name)
                    values = column.to_numpy() if len(shape) == 1 else _unpacked(column, kind, shape[1])
                    arrays[name][places] = values
    if not seen.all():
        raise TransferError(f"{int(rows - seen.sum())} rows of the {split} split are in no shard", where=str(folder))
    for name, path in paths.items():
        arrays.pop(name).flush()
        _unfinished(path).replace(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


# --- arrays


@dataclass(frozen=True)
class TensorSet:
    """One split on the training node, memory-mapped and read-only.

    Attributes:
        ids: int32 [N, max_tokens].
        categories: int32 [N, categorical fields].
        numbers: float64 [N, numeric fields], NaN where missing.
        labels: int32 [N] per head; -1 no label, -2 a label that training never saw.
        rows: N.
    """

    ids: np.ndarray
    categories: np.ndarray
    numbers: np.ndarray
    labels: dict[str, np.ndarray]
    rows: int

    @classmethod
    def open(cls, folder: Path, split: str, *, verify: bool = False) -> Self:
        """Map the arrays of a folder that `transfer` finished.

        Args:
            folder: what `transfer` returned.
            split: ``train`` or ``test``.
            verify: also check every digest (reads every byte).

        Raises:
            TransferError: the folder is not finished, or a file of it is missing or altered; names the file.
        """
        remedy = "Run the transfer again: it repairs the folder"
        if not (folder / MANIFEST).is_file():
            raise TransferError("the tensors are not complete", where=str(folder), remedy=remedy)
        if verify and (bad := altered(folder)):
            raise TransferError(
                "the file does not have the digest of its manifest", where=str(folder / bad[0]), remedy=remedy
            )
        rows = orjson.loads((folder / MANIFEST).read_bytes())["rows"][split]

        def array(name: str) -> np.ndarray:
            path = folder / f"{split}.{name}.npy"
            try:
                found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise TransferError("the array cannot be read", where=str(path), remedy=remedy) from error
            return found

        heads = sorted(path.name.split(".", 2)[2].removesuffix(".npy") for path in folder.glob(f"{split}.label.*.npy"))
        labels = {head: array(f"label.{head}") for head in heads}
        return cls(array("ids"), array("categories"), array("numbers"), labels, rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in (self.ids, self.categories, self.numbers, *self.labels.values()))

    def device_resident(self, device_bytes_free: int) -> bool:
        """Return whether the split may stay on the device as a whole: it takes at most half of the free memory, because
        parameters, optimiser state and activations need the rest."""
        return self.nbytes <= _SHARE * device_bytes_free
