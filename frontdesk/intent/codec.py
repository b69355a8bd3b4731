"""The compact form of a key's intents in Redis: variable-length integers, decoded for a whole batch at once.

A value is total, then intent and count of each entry, as LEB128: seven bits to a byte, low bits first, the high bit set
where the number goes on. An entry of a usual desk takes two or three bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from frontdesk.errors import StorageError
from frontdesk.intent.markov import PER_KEY, Found, MarkovTable

_BYTES = 5
"""Of a number: 35 bits hold every count and every intent id."""


def encode(table: MarkovTable, first: int, last: int) -> list[bytes]:
    """Return the values of the keys ``first:last`` of a table."""
    begin, end = int(table.offsets[first]), int(table.offsets[last])
    lengths = np.diff(table.offsets[first : last + 1])
    heads = 2 * (table.offsets[first:last] - begin) + np.arange(last - first)
    numbers = np.zeros(2 * (end - begin) + last - first, np.int64)
    numbers[heads] = table.totals[first:last]
    entries = np.ones(len(numbers), bool)
    entries[heads] = False
    numbers[entries] = np.stack([table.intents[begin:end], table.counts[begin:end]], 1).ravel()
    parts = numbers[:, None] >> (7 * np.arange(_BYTES))
    used = np.ones(parts.shape, bool)
    used[:, 1:] = parts[:, 1:] > 0
    more = np.zeros(parts.shape, bool)
    more[:, :-1] = used[:, 1:]
    packed = ((parts & 127) | (more << 7)).astype(np.uint8)[used].tobytes()
    ends = np.cumsum(used.sum(1))[np.cumsum(2 * lengths + 1) - 1].tolist()
    return [packed[a:b] for a, b in pairwise([0, *ends])]


def decode(values: Sequence[bytes | None], shape: tuple[int, int]) -> Found:
    """Return what values hold; None is an unknown key.

    Args:
        values: N * M of them.
        shape: (N, M).

    Raises:
        StorageError: a value is not what `encode` writes.
    """
    rows = len(values)
    intents, counts = np.full((rows, PER_KEY), -1, np.int32), np.zeros((rows, PER_KEY), np.int64)
    totals = np.zeros(rows, np.int64)
    known = [place for place, value in enumerate(values) if value]
    if known:
        content = np.frombuffer(b"".join(value for value in values if value), np.uint8)
        last = content < 128
        number_of: np.ndarray = np.cumsum(last) - last  # which number a byte belongs to
        begins = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
        place_in = np.arange(len(content)) - begins[np.minimum(number_of, len(begins) - 1)]
        sizes = np.cumsum([len(value) for value in values if value])
        if not last[sizes - 1].all() or place_in.max() >= _BYTES:
            raise StorageError("a value of the Markov table is broken", remedy="Publish the table again")
        numbers = np.add.reduceat((content & 127).astype(np.int64) << (7 * place_in), begins)
        lengths = np.diff(np.concatenate([[0], np.cumsum(last)[sizes - 1]]))
        if (lengths % 2 == 0).any() or lengths.max() > 2 * PER_KEY + 1:
            raise StorageError("a value of the Markov table is broken", remedy="Publish the table again")
        heads = np.cumsum(lengths) - lengths
        totals[known] = numbers[heads]
        at = heads[:, None] + 1 + 2 * np.arange(PER_KEY)
        inside = 2 * np.arange(PER_KEY) + 1 < lengths[:, None]
        intents[known] = np.where(inside, numbers[np.where(inside, at, 0)], -1)
        counts[known] = np.where(inside, numbers[np.where(inside, at + 1, 0)], 0)
    return Found(intents.reshape(*shape, PER_KEY), counts.reshape(*shape, PER_KEY), totals.reshape(shape))
