"""Distances between two samples, and what chance alone makes of them.

The distances are those of Evidently's methods of the same name, so that a report of either says the same figure. What
chance makes of one is found by permutation: rows change sides at random, sizes stay. A squared distance of two samples
of one population is a weighted sum of chi-squared variables, so its tail is read off a gamma distribution with the
permutations' mean and variance (Satterthwaite 1946): two hundred permutations are enough for a level of 1 in 10,000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PERMUTATIONS = 200
_STEPS, _END_STEPS = 400, 100
_LEAST_DEVIATION = 0.001


@dataclass(frozen=True)
class Chance:
    """The distribution of a score where nothing changed: its `power` is gamma distributed.

    Attributes:
        mean, variance: of ``score ** power``.
        power: 2 for a distance, 1 for a share.
    """

    mean: float
    variance: float
    power: float = 2.0

    def quantile(self, level: float, scale: float = 1.0) -> float:
        """Return what the score passes with probability ``level``; ``scale`` multiplies the mean of the power."""
        from scipy.special import gammainccinv

        if self.mean <= 0 or self.variance <= 0:
            return float((max(self.mean, 0.0) * scale) ** (1 / self.power))
        shape = self.mean**2 / self.variance
        value = float(gammainccinv(shape, level)) * self.variance / self.mean * scale
        return float(value ** (1 / self.power))


def chance_of(squares: Floats) -> Chance:
    """Return the chance of a distance from the squares that permutations gave."""
    return Chance(float(squares.mean()), float(squares.var()))


def jensen_shannon(reference: npt.ArrayLike, current: npt.ArrayLike) -> Floats:
    """Return the Jensen-Shannon distance (natural logarithm) of counts along the last axis."""
    p, q = (np.asarray(counts, np.float64) for counts in (reference, current))
    p = p / np.maximum(p.sum(-1, keepdims=True), 1e-300)
    q = q / np.maximum(q.sum(-1, keepdims=True), 1e-300)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log(p / middle), 0.0).sum(-1)
        right = np.where(q > 0, q * np.log(q / middle), 0.0).sum(-1)
    return np.asarray(np.sqrt(np.maximum((left + right) / 2, 0.0)))


def total_variation(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """Return the share of rows that would have to change their level for equal shares."""
    p, q = (np.asarray(counts, np.float64) for counts in (reference, current))
    return float(np.abs(p / max(p.sum(), 1e-300) - q / max(q.sum(), 1e-300)).sum() / 2)


def permuted_counts(
    reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the counts [B, levels] of both sides after rows changed sides at random."""
    pooled = reference + current
    drawn = rng.multivariate_hypergeometric(pooled, int(current.sum()), size=PERMUTATIONS, method="marginals")
    return pooled[None] - drawn, drawn


def chance_of_counts(
    reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64], rng: np.random.Generator
) -> Chance:
    """Return the chance of the Jensen-Shannon distance of two sets of counts."""
    return chance_of(jensen_shannon(*permuted_counts(reference, current, rng)) ** 2)


def wasserstein(reference: Floats, current: Floats) -> float:
    """Return the first Wasserstein distance over the reference's standard deviation (at least 0.001)."""
    both = np.concatenate([reference, current])
    order = np.argsort(both, kind="stable")
    steps = np.where(order < len(reference), 1 / len(reference), -1 / len(current))
    distance = np.abs(np.cumsum(steps)[:-1]) @ np.diff(both[order])
    return float(distance / max(float(reference.std()), _LEAST_DEVIATION))


def chance_of_numbers(reference: Floats, current: Floats, rng: np.random.Generator) -> Chance:
    """Return the chance of the distance `wasserstein` of two samples.

    Of many values, those that follow each other in size change sides as groups of one middle: four hundred steps, and
    the hundred values at either end one by one, tell the distance of two distributions as well as all values do.
    """
    values = np.sort(np.concatenate([reference, current]))
    values -= values.mean()
    ends = min(_END_STEPS, len(values))
    inner = np.linspace(ends, len(values) - ends, _STEPS + 1).astype(np.int64)
    whole = np.arange(len(values) + 1)
    bounds = np.unique([*whole[: ends + 1], *inner[inner >= ends], *whole[-ends - 1 :]])
    sizes = np.diff(bounds)
    middles, squares = (np.add.reduceat(powers, bounds[:-1]) / sizes for powers in (values, values**2))
    drawn = rng.multivariate_hypergeometric(sizes, len(current), size=PERMUTATIONS, method="marginals")
    left, right = (sizes - drawn) / len(reference), drawn / len(current)
    distances = np.abs(np.cumsum(left - right, axis=1)[:, :-1]) @ np.diff(middles)
    deviations = np.sqrt(np.maximum(left @ squares - (left @ middles) ** 2, 0.0))
    return chance_of(np.asarray(distances / np.maximum(deviations, _LEAST_DEVIATION)) ** 2)


def chance_of_bags(matrix: npt.NDArray[np.float32], rows: int, rng: np.random.Generator) -> Chance:
    """Return the chance of the Jensen-Shannon distance of bags: whole rows change sides, with all that is in them.

    Args:
        matrix: counts [n + m, levels], the reference's rows first.
        rows: n.
    """
    sides = np.zeros((PERMUTATIONS, len(matrix)), np.float32)
    for side in sides:
        side[rng.permutation(len(matrix))[:rows]] = 1
    left = np.asarray(sides @ matrix, np.float64)
    return chance_of(jensen_shannon(left, np.maximum(matrix.sum(0, dtype=np.float64)[None] - left, 0)) ** 2)


def unseen_beyond_chance(
    reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64], level: float
) -> tuple[npt.NDArray[np.int64], int]:
    """Return the rows of levels that only the current window has, as far as chance does not explain them.

    A level with t rows in both windows together falls into the current one as a whole with probability f^t, where f is
    the current window's share of all rows. So a new level of many rows is none by chance, and of the rows of the others
    as many as chance may bring are taken off.

    Args:
        reference, current: rows per level, in one order.
        level: probability of more than nothing where nothing changed.

    Returns:
        The places of all new levels, and the number of rows.
    """
    new = np.flatnonzero((reference == 0) & (current > 0))
    together = (reference + current).astype(np.float64)
    f = current.sum() / max(together.sum(), 1)
    if not len(new) or f == 1:
        return new, int(current[new].sum())
    alone = f**together
    sure = alone[new] < level / (2 * len(together))
    by_chance = Chance(float(together @ alone), float(together**2 @ (alone * (1 - alone))), 1.0).quantile(level / 2)
    rest = max(int(current[new][~sure].sum()) - int(np.ceil(by_chance)), 0)
    return new, int(current[new][sure].sum()) + rest


def chance_of_shares(share: float, reference: int, current: int) -> Chance:
    """Return the chance of the difference of two shares of one population's rows."""
    variance = share * (1 - share) * (1 / max(reference, 1) + 1 / max(current, 1))
    return Chance(variance, 2 * variance**2)
