"""Sums that every test is made of, after each day: a unit counts once, with the mean of what it has so far.

Rows of the same unit are never independent, so they are put together first: what is assigned is what is analysed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_COUNT, _Y, _YY, _X, _XX, _XY = range(6)


@dataclass(frozen=True)
class Moments:
    """Sums over the units of each arm, after each day.

    Attributes:
        sums: float64 [..., D, 6, 2]: units, y, y², x, x², xy of control and treatment; y and x less their centres.
        centre: what was taken off y.
    """

    sums: np.ndarray
    centre: float

    @property
    def units(self) -> np.ndarray:
        """Units that have a value, [..., D, 2]."""
        return self.sums[..., _COUNT, :]

    def adjusted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return means and variances of y less what x explains of it, [..., D, 2], and the share explained [..., D].

        CUPED (Deng, Xu, Kohavi and Walker 2013): y - θ(x - mean of x), with θ from the covariance inside the arms.
        Where x says nothing, θ is 0 and nothing changes. NaN where an arm has fewer than two units.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            count = self.units
            mean_y, mean_x = self.sums[..., _Y, :] / count, self.sums[..., _X, :] / count
            yy = np.maximum(self.sums[..., _YY, :] - count * mean_y**2, 0.0)
            xx = np.maximum(self.sums[..., _XX, :] - count * mean_x**2, 0.0)
            xy = self.sums[..., _XY, :] - count * mean_y * mean_x
            total = xx.sum(axis=-1)
            slope = np.where(total > 0, xy.sum(axis=-1) / np.where(total > 0, total, 1.0), 0.0)[..., None]
            overall = (self.sums[..., _X, :].sum(axis=-1) / count.sum(axis=-1))[..., None]
            left = np.maximum(yy - 2 * slope * xy + slope**2 * xx, 0.0)
            whole = yy.sum(axis=-1)
            reduction = np.where(whole > 0, 1 - left.sum(axis=-1) / np.where(whole > 0, whole, 1.0), 0.0)
            few = count < 2
            means = np.where(few, np.nan, mean_y - slope * (mean_x - overall) + self.centre)
            variances = np.where(few, np.nan, left / (count - 1))
        return means, variances, reduction


def cumulate(
    arm: np.ndarray,
    before: np.ndarray,
    unit: np.ndarray,
    day: np.ndarray,
    total: np.ndarray,
    count: np.ndarray,
    days: int,
) -> Moments:
    """Return the sums after each day.

    Args:
        arm: 0 or 1 of each unit, int [U].
        before: what is known of each unit from before the phase, float [U]; NaN for nothing, which adjusts nothing.
        unit, day: of each row, int [R]; a pair comes once.
        total, count: sum and number of the row's values, [R], count > 0.
        days: D.
    """
    centre = float(total.sum() / count.sum()) if len(total) else 0.0
    x = np.where(np.isnan(before), 0.0, before - (np.nanmean(before) if not np.isnan(before).all() else 0.0))
    sums, counts = np.zeros(len(arm)), np.zeros(len(arm))
    state, states = np.zeros((6, 2)), np.zeros((days, 6, 2))
    order = np.argsort(day, kind="stable")
    ends = np.searchsorted(day[order], np.arange(days + 1))
    for today in range(days):
        rows = order[ends[today] : ends[today + 1]]
        who = unit[rows]
        fresh = counts[who] == 0
        old = np.where(fresh, 0.0, sums[who] / np.maximum(counts[who], 1.0))
        sums[who] += total[rows] - count[rows] * centre
        counts[who] += count[rows]
        new = sums[who] / counts[who]
        mine = x[who]
        changes = (fresh, new - old, new**2 - old**2, fresh * mine, fresh * mine**2, mine * (new - old))
        for place, change in enumerate(changes):
            state[place] += np.bincount(arm[who], weights=change.astype(np.float64), minlength=2)
        states[today] = state
    return Moments(states, centre)
