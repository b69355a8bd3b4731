"""Looking every day without paying for it: group-sequential boundaries with a spending function.

The alpha that may be spent follows the calendar, whose end is declared; the correlation between looks follows the
information that has come in, so no number of cases needs to be known beforehand (Lan and DeMets 1983; Lan, Reboussin
and DeMets 1994 for calendar time). The spending function is the one of O'Brien and Fleming's kind: almost nothing at
first, almost all of alpha at the end, so that the last look is nearly a fixed test. Boundaries come from the recursion
of Armitage, McPherson and Rowe (1969) over the density of the statistic that has not crossed yet; see Jennison and
Turnbull, Group Sequential Methods (2000), chapters 7, 9 (repeated confidence intervals) and 19.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

_LEAST_NODES, _MOST_NODES, _NODES_STEP = 64, 384, 32
_WIDTH = 8.0
"""Standard deviations beyond which no density is left."""
_LEAST_STEP = 1.003
"""Information is taken to grow at least by this factor between looks: the grid cannot tell closer ones apart."""
_TINY, _SMALL = 1e-300, 1e-9
"""Alpha of a step: less than the first is nothing, less than the second is not worth a grid."""


def spent(time: np.ndarray, alpha: float) -> np.ndarray:
    """Return the two-sided alpha that may be spent until each time: half of it on each side.

    Args:
        time: share of the horizon that has passed, in (0, 1].
    """
    from scipy.special import ndtr, ndtri

    share = np.clip(np.asarray(time, np.float64), 1e-12, 1.0)
    return np.asarray(4 * ndtr(ndtri(alpha / 4) / np.sqrt(share)))


def boundaries(information: Sequence[float], time: Sequence[float], alpha: float) -> np.ndarray:
    """Return the critical value of |z| at each look, float64 [K]: crossed anywhere with probability alpha in all.

    Args:
        information: at each look, 1 / SE² of the estimate up to any factor, > 0.
        time: share of the horizon that has passed at each look, rising.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    amounts, total = _growing(information), spent(np.asarray(time), alpha)
    increments = np.diff(total, prepend=0.0)
    critical = np.full(len(amounts), np.inf)
    density = _Density()
    for look, (amount, following) in enumerate(zip(amounts, [*amounts[1:], None], strict=True)):
        step = density.towards(amount)
        if increments[look] >= _TINY:
            # Between the values of a test that spends at this look alone all that was spent so far, and this step;
            # the first with room for the grid's error.
            least, most = -0.9 * ndtri(total[look] / 2), -ndtri(increments[look] / 2) + 1e-6
            outside = functools.partial(_excess, step, np.sqrt(amount), increments[look])
            exact = increments[look] > _SMALL
            critical[look] = brentq(outside, least, most, xtol=1e-5) if exact else most
        density.stop(amount, critical[look], step, following)
    return critical


def _excess(step: _Step, scale: float, wanted: float, critical: float) -> float:
    return 2 * step.above(critical * scale) - wanted  # without a drift, both sides are alike


def crossing(information: Sequence[float], critical: np.ndarray, drift: float) -> tuple[float, float]:
    """Return the probabilities that z first leaves the boundaries below, and above.

    Args:
        information: at each look; z at the last one has the mean ``drift``.
    """
    amounts = _growing(information)
    effect = drift / np.sqrt(amounts[-1])
    density, below, above = _Density(effect), 0.0, 0.0
    for amount, following, limit in zip(amounts, [*amounts[1:], None], critical, strict=True):
        step = density.towards(amount)
        if np.isfinite(limit):
            below += step.below(-limit * np.sqrt(amount))
            above += step.above(limit * np.sqrt(amount))
        density.stop(amount, limit, step, following)
    return below, above


@functools.lru_cache(maxsize=256)
def inflation(looks: int, alpha: float, power: float) -> float:
    """Return by which factor a fixed test's sample grows so that it may be looked at ``looks`` times, evenly apart."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    if looks == 1:
        return 1.0
    share = np.arange(1, looks + 1) / looks
    critical = boundaries(share.tolist(), share.tolist(), alpha)
    fixed = float(ndtri(1 - alpha / 2) + ndtri(power))
    drift = brentq(lambda drift: sum(crossing(share.tolist(), critical, drift)) - power, fixed, 1.3 * fixed)
    return float(drift / fixed) ** 2


class _Step:
    """The way from one look to the next: where the statistic was, and how far it moves.

    Attributes:
        places, weights: nodes [N] of the old density and their mass.
        mean, spread: of the move.
    """

    def __init__(self, places: np.ndarray, weights: np.ndarray, mean: float, spread: float) -> None:
        self.places, self.weights, self.mean, self.spread = places, weights, mean, spread

    def above(self, limit: float) -> float:
        """Return the mass that lands above a limit."""
        from scipy.special import ndtr

        return float(ndtr((self.places + (self.mean - limit)) / self.spread) @ self.weights)

    def below(self, limit: float) -> float:
        """Return the mass that lands below a limit."""
        from scipy.special import ndtr

        return float(ndtr(((limit - self.mean) - self.places) / self.spread) @ self.weights)

    def density(self, at: np.ndarray) -> np.ndarray:
        """Return the density at new places [M]."""
        away = (at[:, None] - self.places[None] - self.mean) / self.spread
        return np.asarray(np.exp(-0.5 * away**2) @ self.weights / (self.spread * np.sqrt(2 * np.pi)))


class _Density:
    """The density of the score statistic z √I of those paths that have not crossed yet.

    Args:
        effect: the score's mean is ``effect`` times the information.
    """

    def __init__(self, effect: float = 0.0) -> None:
        self._effect, self._amount = effect, 0.0
        self._places, self._weights = np.zeros(1), np.ones(1)

    def towards(self, amount: float) -> _Step:
        """Return the step to a look with more information."""
        more = amount - self._amount
        return _Step(self._places, self._weights, self._effect * more, float(np.sqrt(more)))

    def stop(self, amount: float, critical: float, step: _Step, following: float | None) -> None:
        """Move on, without what lies outside of the critical value; ``following`` is the next look's information."""
        if following is None:
            return
        scale, centre = np.sqrt(amount), self._effect * amount
        low = max(-critical * scale, centre - _WIDTH * scale)
        high = min(critical * scale, centre + _WIDTH * scale)
        half = (high - low) / 2
        # Nodes lie as close as the next move is wide: the kernel is then integrated to nine digits.
        nodes, weights = _gauss_legendre(_count(np.pi * half / np.sqrt(following - amount)))
        places = low + half * (nodes + 1)
        self._places, self._weights = places, step.density(places) * weights * half
        self._amount = amount


def _growing(information: Sequence[float]) -> list[float]:
    """Return information that grows, as the true one does.

    What few units claim is capped by what more of them say later: two units that happen to be alike know nothing.
    """
    amounts: list[float] = []
    for amount in np.minimum.accumulate(np.asarray(information, np.float64)[::-1])[::-1]:
        amounts.append(max(float(amount), amounts[-1] * _LEAST_STEP) if amounts else float(amount))
    return amounts


def _count(wanted: float) -> int:
    return int(min(max(-(-wanted // _NODES_STEP) * _NODES_STEP, _LEAST_NODES), _MOST_NODES))


@functools.cache
def _gauss_legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights
