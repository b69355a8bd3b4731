"""The network and the counts of the log, stacked: what many sessions did at the same place corrects the network.

A network generalises and blurs; a count under the last tokens is exact and knows nothing else. The counts are smoothed
towards the network, from the shortest path to the longest (hierarchical Dirichlet smoothing, MacKay and Peto 1995), and
both are multiplied with a weight for each length of the longest path that was found. Weights and strength come from
held-out sessions (stacking, Wolpert 1992).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from frontdesk.intent.counts import top_counts
from frontdesk.intent.keys import NO_KEY, ORDER, suffix_keys, windows
from frontdesk.intent.markov import PER_KEY, Found, MarkovTable
from frontdesk.intent.sessions import SessionSet

_STRENGTHS = (1.0, 3.0, 10.0)
_WEIGHTS = tuple(round(0.05 * step, 2) for step in range(15))
_LEAST_ROWS = 100
_TINY = np.float32(1e-12)


def opening_counts(sessions: SessionSet) -> MarkovTable:
    """Count which intents were opened right after the last one to `ORDER` tokens.

    Other than the Markov table, events that come long before an opening count nothing: what an operator does in
    between is known when the list is asked for, and the network is better at looking ahead.
    """
    rows = np.flatnonzero(sessions.is_target & (sessions.intents >= 0))
    keys = suffix_keys(windows(sessions, sessions.session_of[rows], rows))
    flat, intents = keys.ravel(), np.repeat(sessions.intents[rows], keys.shape[1])
    used = flat != NO_KEY
    return MarkovTable.of(top_counts(flat[used], intents[used], PER_KEY))


@dataclass(frozen=True)
class Stacking:
    """How the counts are weighed.

    Attributes:
        strength: opened intents that the smoothing's prior is worth.
        weights: `ORDER` + 1 weights of the counts by the length of the longest path found; 0 for none.
    """

    strength: float = 1.0
    weights: tuple[float, ...] = (0.0,) * (ORDER + 1)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Stacking:
        """Rebuild from plain values."""
        return cls(content["strength"], tuple(content["weights"]))

    @classmethod
    def fit(cls, logits: np.ndarray, found: Found, labels: np.ndarray) -> Stacking:
        """Choose strength and weights that make the held-out intents likeliest.

        Args:
            logits: float32 [N, K] of the network.
            found: counts of the last 1, 2, ... `ORDER` tokens, without the held-out sessions.
            labels: int [N], negative ones are left out.
        """
        rows = np.flatnonzero(labels >= 0)
        if not len(rows):
            return cls()
        length, at = _longest(found), np.arange(len(logits))
        network = shares(logits)
        best: tuple[float, Stacking] | None = None
        for strength in _STRENGTHS:
            counted = _smoothed(network, found, strength)
            losses = np.stack(
                [-np.log(_mixed(network, counted, np.full(len(at), w))[at, labels] + _TINY) for w in _WEIGHTS]
            )  # [W, N]
            common = int(losses[:, rows].sum(1).argmin())
            chosen = [0]
            for depth in range(1, ORDER + 1):
                own = rows[length[rows] == depth]
                chosen.append(int(losses[:, own].sum(1).argmin()) if len(own) >= _LEAST_ROWS else common)
            total = float(losses[np.array(chosen)[length[rows]], rows].sum())
            if best is None or total < best[0]:
                best = (total, cls(strength, tuple(_WEIGHTS[place] for place in chosen)))
        assert best is not None
        return best[1]

    def mix(self, logits: np.ndarray, found: Found, valid: np.ndarray | None = None) -> np.ndarray:
        """Return shares of the next intent, float32 [N, K].

        Args:
            logits: float32 [N, K] of the network.
            found: counts of the last 1, 2, ... `ORDER` tokens.
            valid: bool [K] or [N, K], the intents that exist now; others get 0. None for all.
        """
        network = shares(logits)
        weights = np.array(self.weights, np.float32)[_longest(found)]
        mixed = _mixed(network, _smoothed(network, found, self.strength), weights)
        if valid is not None:
            mixed = mixed * valid
            mixed /= np.maximum(mixed.sum(1, keepdims=True), _TINY)
        return mixed


def shares(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits, float32 [N, K]."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float32)


def _longest(found: Found) -> np.ndarray:
    """Return the length of the longest path that was found, int [N]."""
    return np.asarray(((found.totals > 0) * np.arange(1, found.totals.shape[1] + 1)).max(1))


def _smoothed(network: np.ndarray, found: Found, strength: float) -> np.ndarray:
    """Return the counts' shares, smoothed towards shorter paths and last the network, float32 [N, K].

    What a key counted beyond its kept intents is spread like the shorter path's shares.
    """
    result = network
    rows, which = np.arange(len(network))[:, None], np.maximum(found.intents, 0)
    for level in range(found.totals.shape[1]):
        counts = found.counts[:, level].astype(np.float32)
        totals = found.totals[:, level, None].astype(np.float32)
        result = result * (totals - counts.sum(1, keepdims=True) + np.float32(strength))
        np.add.at(result, (rows, which[:, level]), counts)
        result /= result.sum(1, keepdims=True)
    return result


def _mixed(network: np.ndarray, counted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the normalised product of both, float32 [N, K]; weights [N] are those of the counts."""
    weight = weights[:, None].astype(np.float32)
    return shares((1 - weight) * np.log(network + _TINY) + weight * np.log(counted + _TINY))
