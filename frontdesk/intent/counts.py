"""Counting intents by key: the one operation behind TopPop, the Markov table and the plain baselines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FEW = 16


@dataclass(frozen=True)
class TopCounts:
    """The most frequent intents of each key: by count, then by id (which is the order of names).

    Attributes:
        keys: [K], ascending, distinct.
        offsets: int64 [K + 1]; key k has the entries ``offsets[k]:offsets[k + 1]``.
        intents: int32 [E].
        counts: int64 [E].
        totals: int64 [K], of all intents of the key, kept or not.
    """

    keys: np.ndarray
    offsets: np.ndarray
    intents: np.ndarray
    counts: np.ndarray
    totals: np.ndarray

    def rows(self, keys: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first ``width`` intents and counts of each key, int32 [N, width] and int64 [N, width].

        What is missing is -1 and 0; so is every place of an unknown key.
        """
        return look_up(self.keys, self.offsets, keys, width, self.intents, self.counts)


def look_up(
    known: np.ndarray, offsets: np.ndarray, keys: np.ndarray, width: int, intents: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first ``width`` entries of each key from packed arrays; see `TopCounts.rows`."""
    if not len(known):
        return np.full((len(keys), width), -1, np.int32), np.zeros((len(keys), width), np.int64)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found = known[place] == keys
    begin = offsets[place]
    length = np.where(found, np.minimum(offsets[place + 1] - begin, width), 0)
    inside = np.arange(width) < length[:, None]
    at = np.where(inside, begin[:, None] + np.arange(width), 0)
    return np.where(inside, intents[at], -1).astype(np.int32), np.where(inside, counts[at], 0).astype(np.int64)


def top_counts(keys: np.ndarray, intents: np.ndarray, keep: int) -> TopCounts:
    """Count the intents of each key and keep the most frequent ones.

    Args:
        keys: any ordered type, [N].
        intents: int [N].
        keep: entries of a key at most.
    """
    order = np.lexsort((intents, keys))
    keys, intents = keys[order], intents[order]
    change = np.ones(len(keys), bool)
    change[1:] = (keys[1:] != keys[:-1]) | (intents[1:] != intents[:-1])
    first = np.flatnonzero(change)
    return merge_counts(keys[first], intents[first], np.diff(np.append(first, len(keys))), keep)


def merge_counts(keys: np.ndarray, intents: np.ndarray, counts: np.ndarray, keep: int) -> TopCounts:
    """Rank entries that are counted already, one for each pair of key and intent, [N] each."""
    order = np.lexsort((intents, -counts, keys))
    keys, intents, counts = keys[order], intents[order], counts[order]
    distinct, begins = np.unique(keys, return_index=True)
    lengths = np.diff(np.append(begins, len(keys)))
    totals = np.add.reduceat(counts, begins) if len(keys) else np.zeros(0, np.int64)
    kept = np.arange(len(keys)) - np.repeat(begins, lengths) < keep
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths, keep))])
    return TopCounts(
        distinct,
        offsets.astype(np.int64),
        intents[kept].astype(np.int32),
        counts[kept].astype(np.int64),
        totals.astype(np.int64),
    )


def first_distinct(candidates: np.ndarray, width: int) -> np.ndarray:
    """Return the places of the first ``width`` distinct entries of each row, int64 [N, width].

    Args:
        candidates: int [N, M], -1 where there is none.
        width: at most M; a place of -1 says that the row has no more.
    """
    if len(candidates) <= _FEW:
        return np.array([_first_distinct(row, width) for row in candidates.tolist()], np.int64).reshape(-1, width)
    order = np.argsort(candidates, axis=1, kind="stable")
    ranked = np.take_along_axis(candidates, order, 1)
    again = np.zeros(candidates.shape, bool)
    again[:, 1:] = ranked[:, 1:] == ranked[:, :-1]
    drop = np.empty_like(again)
    np.put_along_axis(drop, order, again | (ranked < 0), 1)
    places = np.argsort(drop, axis=1, kind="stable")[:, :width]
    return np.where(np.take_along_axis(drop, places, 1), -1, places)


def _first_distinct(candidates: list[int], width: int) -> list[int]:
    """Return the places of one row: a request is answered before arrays are warm."""
    places: dict[int, int] = {}
    for place, candidate in enumerate(candidates):
        if candidate >= 0 and candidate not in places:
            places[candidate] = place
            if len(places) == width:
                break
    return [*places.values(), *[-1] * (width - len(places))]
