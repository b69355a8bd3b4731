"""Tensors of the V2 protocol: Python values, little-endian bytes, and arrays.

The request of any caller goes through these functions, so nothing of a wrong shape, datatype or length gets past them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.errors import InvalidRequest

INTEGERS = {
    f"{sign}INT{bits}": f"<{kind}{bits // 8}" for sign, kind in (("", "i"), ("U", "u")) for bits in (8, 16, 32, 64)
}
FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
FIXED_WIDTH = {**INTEGERS, **FLOATS, "BOOL": "?"}
DATATYPES = ("BYTES", *FIXED_WIDTH)
_DATATYPE_OF = {kind.lstrip("<"): name for name, kind in (*INTEGERS.items(), *FLOATS.items())} | {"b1": "BOOL"}
_MOST_VALUES, _MOST_AXES = 4_000_000, 8
NUMBERS = frozenset((*INTEGERS, *FLOATS))


@dataclass(frozen=True)
class Tensor:
    """A tensor of a V2 request or answer.

    Attributes:
        data: values, possibly nested; None where `raw` holds them.
        raw: the binary form: little-endian values, or for BYTES a four-byte length before each.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    data: list[Any] | None = None
    raw: bytes | None = None


def values_of(tensor: Tensor) -> list[Any]:
    """Return a tensor's values as a list, whatever its form."""
    return tensor.data if tensor.data is not None else array_of(tensor).ravel().tolist()


def array_of(tensor: Tensor) -> np.ndarray:
    """Return a tensor of any shape as an array; texts are objects.

    Raises:
        InvalidRequest: names the tensor.
    """
    where, shape = f"tensors.{tensor.name[:80]}", tuple(tensor.shape)
    if tensor.datatype not in DATATYPES:
        raise InvalidRequest("there is no such datatype", where=f"{where}.datatype")
    if len(shape) > _MOST_AXES or any(size < 0 for size in shape) or (count := math.prod(shape)) > _MOST_VALUES:
        words = f"must be at most {_MOST_AXES} sizes, of at most {_MOST_VALUES} values together"
        raise InvalidRequest(words, where=f"{where}.shape")
    if tensor.raw is not None and tensor.datatype != "BYTES":
        kind = np.dtype(FIXED_WIDTH[tensor.datatype])
        if len(tensor.raw) != count * kind.itemsize:
            raise InvalidRequest("the data is not as long as the shape says", where=where)
        return np.frombuffer(tensor.raw, kind).reshape(shape)
    if tensor.raw is not None:
        values = [text_of(value, where) for value in split_bytes(tensor.raw, where)]
    else:
        values = [json_value(value, tensor.datatype, where) for value in _flat(tensor.data or [], len(shape))]
    if len(values) != count:
        raise InvalidRequest("the data is not as long as the shape says", where=where)
    if tensor.datatype != "BYTES" and tensor.datatype not in FLOATS and None in values:
        raise InvalidRequest("null is no value of this datatype", where=where)
    array = np.empty(count, object if tensor.datatype == "BYTES" else FIXED_WIDTH[tensor.datatype])
    try:
        array[:] = ["" if value is None else value for value in values] if tensor.datatype == "BYTES" else values
    except (OverflowError, ValueError):
        raise InvalidRequest("a value does not fit the datatype", where=where) from None
    return array.reshape(shape)


def _flat(values: Sequence[Any], deep: int) -> Iterator[Any]:
    """Yield the values of nested lists; what lies deeper than the shape says stays a list, which no datatype takes."""
    for value in values:
        if isinstance(value, list) and deep > 1:
            yield from _flat(value, deep - 1)
        else:
            yield value


def tensor_of(name: str, array: np.ndarray) -> Tensor:
    """Return an array as a tensor in its binary form."""
    if array.dtype == object:
        return Tensor(name, "BYTES", list(array.shape), raw=_joined(array.ravel().tolist()))
    array = np.ascontiguousarray(array)
    return Tensor(name, _DATATYPE_OF[array.dtype.str.lstrip("<|")], list(array.shape), raw=array.tobytes())


def json_value(value: Any, datatype: str, where: str) -> Any:
    """Return a value of a JSON or gRPC tensor, checked; None is a missing one. Raises `InvalidRequest`."""
    if value is None:
        return None
    if datatype == "BYTES":
        if isinstance(value, bytes):  # gRPC
            return text_of(value, where)
        good = isinstance(value, str)
    elif datatype == "BOOL":
        good = isinstance(value, bool)
    elif datatype in INTEGERS:
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good:
        raise InvalidRequest(f"is not of the datatype {datatype}", where=where)
    return value


def split_bytes(raw: bytes, where: str) -> Iterator[bytes]:
    """Yield the values of a BYTES tensor in its binary form. Raises `InvalidRequest`."""
    offset = 0
    while offset < len(raw):
        if offset + 4 > len(raw) or offset + 4 + (size := struct.unpack_from("<I", raw, offset)[0]) > len(raw):
            raise InvalidRequest("the binary data ends within a value", where=where)
        offset += 4 + size
        yield raw[offset - size : offset]


def text_of(value: bytes, where: str) -> str:
    """Return UTF-8 as text. Raises `InvalidRequest`."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("is not UTF-8", where=where) from None


def _joined(values: Sequence[str]) -> bytes:
    encoded = [value.encode() for value in values]
    return b"".join(part for value in encoded for part in (struct.pack("<I", len(value)), value))


def raw_bytes(tensor: Tensor) -> bytes:
    """Return a tensor in its binary form."""
    if tensor.raw is not None:
        return tensor.raw
    if tensor.datatype == "BYTES":
        return _joined(tensor.data or ())
    return np.array(tensor.data, FIXED_WIDTH[tensor.datatype]).tobytes()
