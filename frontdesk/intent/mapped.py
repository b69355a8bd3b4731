"""Arrays in one file that are read where they lie: safetensors, written whole and mapped into memory.

A server maps the tables of a bundle instead of loading them: it is ready at once, and its processes share the pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import orjson
from safetensors.numpy import save_file

from frontdesk.errors import BundleError

_TYPES = {"U64": "<u8", "I64": "<i8", "I32": "<i4", "F32": "<f4"}
_LONGEST_HEADER = 1 << 20


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write uint64, int64, int32 and float32 arrays. The same arrays make the same bytes; the file appears whole."""
    scratch = path.with_name(f".{path.name}.writing")
    save_file({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}, scratch)
    scratch.replace(path)


def map_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, read-only, mapped into memory.

    Raises:
        BundleError: the file is missing, cut off, or not what `write_arrays` writes.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(_LONGEST_HEADER, size - 8):
                raise ValueError("header")
            header = orjson.loads(file.read(length))
        # As a plain array: every slice of a memmap object costs microseconds.
        content: np.ndarray = np.asarray(np.memmap(path, np.uint8, "r")) if size else np.zeros(0, np.uint8)
        arrays = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            kind, shape = np.dtype(_TYPES[entry["dtype"]]), tuple(entry["shape"])
            if end - begin != kind.itemsize * math.prod(shape) or 8 + length + end > size:
                raise ValueError(name)
            arrays[name] = content[8 + length + begin : 8 + length + end].view(kind).reshape(shape)
        return arrays
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            "the table of arrays cannot be read", where=path.name, remedy="Fuse the bundle again"
        ) from error
