"""The Markov table: which intents followed the last one to five tokens, and the back-off that reads it.

Every prefix of every training session is a sample (the article drops tokens from the right one by one), and the next
opened intent is counted under each of its last 1, 2, ... 5 tokens. A request asks the longest key first and fills up
from shorter ones, then from TopPop. Scores are shares of a key's count, lowered by a fixed factor at each step back
(Brants et al. 2007), and never rise along a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from frontdesk.intent.counts import TopCounts, first_distinct, top_counts
from frontdesk.intent.keys import NO_KEY, backoff_keys, suffix_keys, windows
from frontdesk.intent.sessions import SessionSet

PER_KEY = 15
STEP_BACK = 0.4
_PLACES = np.arange(PER_KEY)
MARKOV, TOPPOP = 0, 1
"""Where a ranked intent comes from."""

Backoff = Literal["oldest", "newest"]
Level = tuple[list[int], list[int], int]
"""What followed one key: intents, best first, how often each, and how often any did."""


@dataclass(frozen=True)
class Found:
    """What a store holds for N requests of M keys each.

    Attributes:
        intents: int32 [N, M, PER_KEY], best first, -1 where there is none.
        counts: int64 [N, M, PER_KEY].
        totals: int64 [N, M], of all intents that followed the key.
    """

    intents: np.ndarray
    counts: np.ndarray
    totals: np.ndarray

    def levels(self, row: int) -> Iterator[Level]:
        """Yield what followed each key of one request."""
        for intents, counts, total in zip(self.intents[row], self.counts[row], self.totals[row], strict=True):
            kept = int((intents >= 0).sum())
            yield intents[:kept].tolist(), counts[:kept].tolist(), int(total)


class NextIntents(Protocol):
    """A store of the Markov table: in the bundle, or in Redis."""

    def look_up(self, keys: np.ndarray) -> Found:
        """Return what followed the keys, uint64 [N, M]; `NO_KEY` finds nothing."""
        ...


@dataclass(frozen=True)
class MarkovTable:
    """The table as packed arrays, in memory or mapped from the bundle.

    Attributes:
        keys: uint64 [K], ascending.
        offsets: int64 [K + 1] into the entries.
        intents, counts: int32 [E], best first within a key.
        totals: int64 [K].
    """

    keys: np.ndarray
    offsets: np.ndarray
    intents: np.ndarray
    counts: np.ndarray
    totals: np.ndarray

    @classmethod
    def of(cls, counted: TopCounts) -> MarkovTable:
        """Take the counts of keys."""
        return cls(counted.keys, counted.offsets, counted.intents, counted.counts.astype(np.int32), counted.totals)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> MarkovTable:
        """Build from what `arrays` returned."""
        return cls(*(arrays[name] for name in ("keys", "offsets", "intents", "counts", "totals")))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for `mapped.write_arrays`."""
        return {
            "keys": self.keys,
            "offsets": self.offsets,
            "intents": self.intents,
            "counts": self.counts,
            "totals": self.totals,
        }

    def look_up(self, keys: np.ndarray) -> Found:
        """Return what followed the keys, uint64 [N, M]."""
        if not len(self.keys):
            shape = (*keys.shape, PER_KEY)
            return Found(np.full(shape, -1, np.int32), np.zeros(shape, np.int64), np.zeros(keys.shape, np.int64))
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = self.keys[place] == keys
        begin = self.offsets[place]
        length = np.where(known, self.offsets[place + 1] - begin, 0)
        inside = length[:, :, None] > _PLACES
        at = np.where(inside, begin[:, :, None] + _PLACES, 0)
        return Found(
            np.where(inside, self.intents[at], np.int32(-1)),
            np.where(inside, self.counts[at], np.int64(0)),
            np.where(known, self.totals[place], 0),
        )

    def level(self, key: int) -> Level:
        """Return what followed one key."""
        place = int(self.keys.searchsorted(np.uint64(key)))
        if place == len(self.keys) or int(self.keys[place]) != key:
            return [], [], 0
        entries = slice(int(self.offsets[place]), int(self.offsets[place + 1]))
        return self.intents[entries].tolist(), self.counts[entries].tolist(), int(self.totals[place])


def walk(levels: Iterable[Level]) -> Iterator[tuple[int, float]]:
    """Yield one request's intents with their scores, best first: what `rank` says before TopPop fills the list.

    A screen takes six of them, so nothing is looked up or computed for those behind.

    Args:
        levels: what followed the context, the longest key first.
    """
    seen: set[int] = set()
    least = math.inf
    for level, (intents, counts, total) in enumerate(levels):
        for intent, count in zip(intents, counts, strict=True):
            if intent not in seen:
                seen.add(intent)
                least = min(least, count / total * STEP_BACK**level)
                yield intent, least


def samples(sessions: SessionSet, *, intents_only: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the prefix samples' keys and next intents: uint64 [N, ORDER] (`NO_KEY` padded) and int32 [N].

    An intent that ended in an error, or that is outside the catalogue, is no target: the one after it is.
    """
    targets = np.flatnonzero(sessions.is_target & (sessions.intents >= 0))
    ends = np.flatnonzero(sessions.is_intent) if intents_only else np.arange(len(sessions.tokens))
    following = np.searchsorted(targets, ends, side="right")  # the next target after the context's last row
    place = sessions.session_of
    has = following < len(targets)
    has[has] = place[targets[following[has]]] == place[ends[has]]
    ends, following = ends[has], following[has]
    window = windows(sessions, place[ends], ends + 1, intents_only=intents_only)
    return suffix_keys(window), sessions.intents[targets[following]]


def build_table(sessions: SessionSet, *, intents_only: bool = False) -> MarkovTable:
    """Count training's sessions; see `frontdesk.preprocessing.spark_intents` for logs that do not fit in memory."""
    keys, following = samples(sessions, intents_only=intents_only)
    flat, intents = keys.ravel(), np.repeat(following, keys.shape[1])
    used = flat != NO_KEY
    return MarkovTable.of(top_counts(flat[used], intents[used], PER_KEY))


@dataclass(frozen=True)
class Ranking:
    """Ranked intents of N requests, best first.

    Attributes:
        intents: int32 [N, W], -1 where the list has ended.
        scores: float32 [N, W], falling.
        sources: int8 [N, W], `MARKOV` or `TOPPOP`.
    """

    intents: np.ndarray
    scores: np.ndarray
    sources: np.ndarray


def rank(
    store: NextIntents, window: np.ndarray, rest: tuple[np.ndarray, np.ndarray], width: int, backoff: Backoff = "oldest"
) -> Ranking:
    """Return the lists of N requests.

    Args:
        store: where the table lies.
        window: int32 [N, ORDER] of `keys.windows`.
        rest: TopPop's intents and scores [N, at least ``width``], which fill the list.
        width: entries of a list.
        backoff: see `keys.backoff_keys`.
    """
    found = store.look_up(backoff_keys(window, backoff))
    rows, levels, per_key = found.intents.shape
    shares = found.counts / np.maximum(found.totals, 1)[:, :, None] * STEP_BACK ** np.arange(levels)[:, None]
    intents = np.concatenate([found.intents.reshape(rows, -1), rest[0]], axis=1)
    scores = np.concatenate([shares.reshape(rows, -1), rest[1] * STEP_BACK**levels], axis=1)
    places = first_distinct(intents, width)
    some = np.maximum(places, 0)
    scores = np.minimum.accumulate(np.take_along_axis(scores, some, 1), axis=1)
    return Ranking(
        np.where(places >= 0, np.take_along_axis(intents, some, 1), -1).astype(np.int32),
        np.where(places >= 0, scores, 0).astype(np.float32),
        np.where(some < levels * per_key, MARKOV, TOPPOP).astype(np.int8),
    )
