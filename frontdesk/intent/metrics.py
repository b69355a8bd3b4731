"""Figures of ranked lists: hit rate, reciprocal rank, coverage, diversity, churn and repeats.

Protocol: at every opened intent of a test session the list is built from all earlier tokens, over the full catalogue,
with repeats allowed. An intent that training never saw is a miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from frontdesk.intent.sessions import SessionSet
from frontdesk.intent.toppop import is_first

LONGEST, SHOWN = 10, 6
LENGTHS = ((1, 9), (10, 29), (30, 59), (60, None))
"""Slices by a session's rows, both ends included."""
LISTS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Requests:
    """The moments at which a list is asked for: just before each opened intent that did not end in an error.

    Attributes:
        rows: places of those intents in the session set, int64 [N].
        sessions: places of their sessions, int64 [N].
        truth: their ids, int32 [N]; -1 for an intent that training never saw.
        operators, lines: who asks, int32 [N].
        first: no intent was open yet, bool [N].
    """

    rows: np.ndarray
    sessions: np.ndarray
    truth: np.ndarray
    operators: np.ndarray
    lines: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, sessions: SessionSet) -> Requests:
        """Return every request of a session set, session after session."""
        rows = np.flatnonzero(sessions.is_target)
        return cls(
            rows,
            sessions.session_of[rows],
            sessions.intents[rows],
            sessions.operators[rows],
            sessions.lines[rows],
            is_first(sessions, rows),
        )


@dataclass(frozen=True)
class Similarity:
    """How alike intents are: cosines of their session-incidence vectors in training.

    Attributes:
        cosines: sparse [I, I].
    """

    cosines: sparse.csr_array

    @classmethod
    def of(cls, sessions: SessionSet, intents: int) -> Similarity:
        """Take which intents occur together in training's sessions."""
        used = np.flatnonzero(sessions.intents >= 0)
        pairs = np.unique(np.stack([sessions.intents[used], sessions.session_of[used]]), axis=1)
        shape = (intents, len(sessions))
        incidence = sparse.csr_array((np.ones(pairs.shape[1], np.float32), (pairs[0], pairs[1])), shape=shape)
        norms = np.sqrt(np.maximum(incidence.sum(axis=1), 1))
        scaled = sparse.diags_array(1 / norms) @ incidence
        return cls(sparse.csr_array(scaled @ scaled.T))

    def diversity(self, lists: np.ndarray) -> np.ndarray:
        """Return 1 - the mean cosine over the pairs of each list, float64 [N]; NaN for a list of fewer than two.

        Args:
            lists: int32 [N, W], -1 padded.
        """
        left, right = np.triu_indices(lists.shape[1], 1)
        result = np.full(len(lists), np.nan)
        for begin in range(0, len(lists), LISTS_AT_ONCE):
            some = lists[begin : begin + LISTS_AT_ONCE]
            first, second = some[:, left], some[:, right]
            there = (first >= 0) & (second >= 0)
            cosines = self.cosines[np.maximum(first, 0).ravel(), np.maximum(second, 0).ravel()]
            alike = np.where(there, np.asarray(cosines).reshape(there.shape), 0)
            pairs = there.sum(1)
            result[begin : begin + len(some)] = np.where(pairs > 0, 1 - alike.sum(1) / np.maximum(pairs, 1), np.nan)
        return result


def ranks(lists: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the place of the truth in each list, from 1; 0 where it is missing. int64 [N]."""
    hits = (lists[:, :LONGEST] == truth[:, None]) & (truth >= 0)[:, None]
    return np.where(hits.any(1), hits.argmax(1) + 1, 0)


def hit_rates(places: np.ndarray) -> dict[str, Any]:
    """Return HR@1, HR@6, HR@10, MRR@10 and n of places (`ranks`); null figures for no request."""
    if not len(places):
        return dict.fromkeys(("hr@1", "hr@6", "hr@10", "mrr@10")) | {"n": 0}
    hit = places > 0
    figures = {f"hr@{most}": float((hit & (places <= most)).mean()) for most in (1, SHOWN, LONGEST)}
    return figures | {"mrr@10": float(np.where(hit, 1 / np.maximum(places, 1), 0).mean()), "n": len(places)}


def churn(lists: np.ndarray, sessions: np.ndarray) -> float | None:
    """Return the share of the shown list that the next request of the session replaces; None without any pair.

    Args:
        lists: int32 [N, at least SHOWN], session after session.
        sessions: int64 [N].
    """
    shown = lists[:, :SHOWN]
    pairs = np.flatnonzero(sessions[1:] == sessions[:-1])
    if not len(pairs):
        return None
    before, after = shown[pairs], shown[pairs + 1]
    kept = ((after[:, :, None] == before[:, None, :]) & (after >= 0)[:, :, None]).any(2).sum(1)
    sizes = np.maximum((after >= 0).sum(1), 1)
    return float((1 - kept / sizes).mean())


def measure(lists: np.ndarray, asked: Requests, test: SessionSet, similarity: Similarity) -> dict[str, Any]:
    """Return every figure of one model on the test sessions, under the names of ``metrics.json``.

    Args:
        lists: int32 [N, LONGEST], best first, -1 padded; one for each of ``asked``.
    """
    places = ranks(lists, asked.truth)
    vocabulary = similarity.cosines.shape[0]
    diversity = similarity.diversity(lists[:, :LONGEST])
    return {
        **hit_rates(places),
        "coverage@10": len(np.unique(lists[lists >= 0])) / vocabulary,
        "ild@10": None if np.isnan(diversity).all() else float(np.nanmean(diversity)),
        "churn@6": churn(lists, asked.sessions),
        "first": hit_rates(places[asked.first]),
        "later": hit_rates(places[~asked.first]),
        "repeats": _repeats(lists, places, asked, test),
    }


def _repeats(lists: np.ndarray, places: np.ndarray, asked: Requests, test: SessionSet) -> dict[str, Any]:
    """Return how often the truth, and the shown suggestions, are intents that the session has opened already."""
    intents = max(int(test.intents.max(initial=0)), int(lists.max(initial=0))) + 1
    width = np.int64(intents)
    opened = np.flatnonzero(test.is_intent & (test.intents >= 0))
    keys, first = np.unique(test.session_of[opened] * width + test.intents[opened], return_index=True)

    def open_before(what: np.ndarray) -> np.ndarray:
        wanted = asked.sessions[:, None] * width + what
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        before = opened[first[place]] < asked.rows[:, None]
        return np.asarray((what >= 0) & (keys[place] == wanted) & before)

    if not len(keys):
        return {**hit_rates(places[:0]), "share": None, "suggested": None}
    again = open_before(asked.truth[:, None])[:, 0]
    shown = lists[:, :SHOWN]
    return {
        **hit_rates(places[again]),
        "share": float(again.mean()) if len(again) else None,
        "suggested": float(open_before(shown).sum() / max((shown >= 0).sum(), 1)),
    }


def slices(asked: Requests, test: SessionSet, lines: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return the slice value of each request, object [N]: phase, line, operator seen or not, session length."""
    length = np.diff(test.offsets)[asked.sessions]
    buckets = np.empty(len(asked.rows), object)
    for low, high in LENGTHS:
        buckets[(length >= low) & (length <= (high or length.max(initial=1)))] = f"{low}-{high}" if high else f"{low}+"
    names = np.array([*lines, "(unseen)"], object)
    return {
        "phase": np.where(asked.first, "first", "later").astype(object),
        "line": names[asked.lines],
        "operator": np.where(asked.operators >= 0, "seen", "unseen").astype(object),
        "length": buckets,
    }


def by_slice(places: np.ndarray, sliced: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Return `hit_rates` of every value of every slice."""
    return {
        name: {str(value): hit_rates(places[values == value]) for value in sorted(set(values.tolist()))}
        for name, values in sliced.items()
    }
