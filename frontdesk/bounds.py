"""Bounds of a share that hold at every moment, however often they are looked at.

A rollout is watched while it runs, so an interval for one look would alarm by chance sooner or later. The bounds here
are a *confidence sequence*: the true share lies inside all of them at once, with the stated chance. They come from the
mixture likelihood ratio ``M_n(p) = integral of q^S (1-q)^F dW(q) / (p^S (1-p)^F)``, which is a martingale that starts
at 1 where ``p`` is true, so that it ever reaches ``1 / alpha`` with a chance of at most ``alpha`` (Ville 1939; Robbins,
*Statistical methods related to the law of the iterated logarithm*, 1970; Howard, Ramdas, McAuliffe and Sekhon,
*Time-uniform, nonparametric, nonasymptotic confidence sequences*, 2021, section 3). ``W`` is half the uniform
distribution and half one that expects shares near zero, because errors are rare and must be bounded by few calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

_PRIORS = ((0.5, 1.0, 1.0), (0.5, 0.5, 50.0))
"""Weight and parameters of the Beta distributions in the mixture."""
_HALVINGS = 60
_LEAST_ROUNDING = 1e-12


def share_bounds(hits: int, calls: int, alpha: float) -> tuple[float, float]:
    """Return the lowest and highest share that ``hits`` of ``calls`` leave possible.

    Args:
        hits: calls of a kind.
        calls: all of them.
        alpha: the chance that the true share ever lies outside, over all looks together.

    Raises:
        ValueError: more hits than calls, or an ``alpha`` that is no chance.
    """
    if not 0 <= hits <= calls or not 0 < alpha < 1:
        raise ValueError("hits of calls, and a chance between 0 and 1, are expected")
    if calls == 0:
        return 0.0, 1.0
    misses = calls - hits
    least = _log_mixture(hits, misses) + math.log(alpha)

    def possible(share: float) -> bool:
        return _log_likelihood(share, hits, misses) >= least

    best = hits / calls
    low = 0.0 if hits == 0 else _edge(best, 0.0, possible)
    high = 1.0 if misses == 0 else _edge(best, 1.0, possible)
    return low, high


def quantile_bounds(
    counts: Mapping[int, int], edges: Sequence[float], level: float, alpha: float
) -> tuple[float, float]:
    """Return what a quantile of durations is above, and at most.

    A duration that falls below an edge is a hit, so the bounds of a share bound the quantile: it is above an edge that
    surely fewer than ``level`` of the durations reach, and at most one that surely ``level`` of them do. One chance
    pays for all edges, because a wrong claim at any edge would be a wrong claim at the quantile itself.

    Args:
        counts: ``{place: durations}``: those above ``edges[place - 1]`` and at most ``edges[place]``.
        edges: rising; ``len(edges)`` is the place of what is above all of them.
        level: for example 0.95.
        alpha: the chance that the quantile ever lies outside, over all looks together.
    """
    calls, below = sum(counts.values()), 0
    low, high = 0.0, math.inf
    for place, edge in enumerate(edges):
        below += counts.get(place, 0)
        least, most = share_bounds(below, calls, alpha)
        if most < level:
            low = edge
        if least >= level:
            return low, edge
    return low, high


def _edge(inside: float, outside: float, possible: Callable[[float], bool]) -> float:
    """Return the share between one that is possible and an end where the possible ones stop."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if possible(middle):
            inside = middle
        else:
            outside = middle
        if abs(inside - outside) < _LEAST_ROUNDING:
            break
    return outside


def _log_likelihood(share: float, hits: int, misses: int) -> float:
    """Return ``log(p^S (1-p)^F)``."""
    found = 0.0
    for count, chance in ((hits, share), (misses, 1 - share)):
        if count:
            if chance <= 0:
                return -math.inf
            found += count * math.log(chance)
    return found


def _log_mixture(hits: int, misses: int) -> float:
    """Return the logarithm of the likelihood's mean over the mixture."""
    parts = [math.log(weight) + _log_beta(a + hits, b + misses) - _log_beta(a, b) for weight, a, b in _PRIORS]
    most = max(parts)
    return most + math.log(sum(math.exp(part - most) for part in parts))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
