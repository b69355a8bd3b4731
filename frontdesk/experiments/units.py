"""Rows to units: who was in which arm, since when, with which values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frontdesk.experiments.definition import Definition, Phase
from frontdesk.experiments.moments import Moments, cumulate
from frontdesk.experiments.rows import Rows, day_number


@dataclass(frozen=True)
class Units:
    """The units of an experiment.

    Attributes:
        arm: 0 or 1 of each unit; -1 for one that is left out: never assigned, or seen in both arms.
        first: day on which each unit came in, of those with an arm.
        crossed: units that were seen in both arms.
    """

    rows: Rows
    definition: Definition
    arm: np.ndarray
    first: np.ndarray
    crossed: int

    def new(self, days: int) -> np.ndarray:
        """Return how many units came in on each day since the begin, int [2, D]."""
        begin = day_number(self.definition.begin)
        return np.stack(
            [np.bincount(self.first[self.arm == arm] - begin, minlength=days)[:days] for arm in (0, 1)]
        ).astype(np.int64)

    def moments(self, metric: str, phase: Phase, days: int) -> Moments:
        """Return the sums of a metric after each of the first days of a phase."""
        unit, day, total, count = self._by_day(metric, phase, days)
        return cumulate(np.maximum(self.arm, 0), self.before(metric, phase), unit, day, total, count, days)

    def of_phase(self, metric: str, phase: Phase, days: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of the units of control and of treatment: each unit's mean over the phase."""
        unit, _, total, count = self._by_day(metric, phase, days)
        sums = np.bincount(unit, total, self.rows.units)
        counts = np.bincount(unit, count, self.rows.units)
        means = sums / np.maximum(counts, 1)
        return means[(counts > 0) & (self.arm == 0)], means[(counts > 0) & (self.arm == 1)]

    def daily(self, metric: str, phase: Phase, days: int) -> dict[str, np.ndarray]:
        """Return each day's mean over the units of that day, its standard error, and their number, float64 [D, 2]."""
        unit, day, total, count = self._by_day(metric, phase, days)
        value, place = total / count, 2 * day + self.arm[unit]
        number = np.bincount(place, minlength=2 * days)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(place, value, 2 * days) / number
            square = np.bincount(place, (value - mean[place]) ** 2, 2 * days)
            error = np.sqrt(square / (number - 1) / number)
        error[number < 2] = np.nan
        return {name: array.reshape(days, 2) for name, array in (("mean", mean), ("error", error), ("units", number))}

    def before(self, metric: str, phase: Phase) -> np.ndarray:
        """Return each unit's value from before a phase, NaN for none."""
        if metric in self.rows.before:
            said = self.rows.before[metric]
            seen = ~np.isnan(said)
        else:
            said = self.rows.values[metric]
            since, until = day_number(self.definition.pre_begin), day_number(phase.begin)
            seen = ~np.isnan(said) & (self.rows.day >= since) & (self.rows.day < until)
        counts = np.bincount(self.rows.unit[seen], minlength=self.rows.units)
        sums = np.bincount(self.rows.unit[seen], said[seen], self.rows.units)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def _by_day(self, metric: str, phase: Phase, days: int) -> tuple[np.ndarray, ...]:
        """Return unit, day since the phase's begin, sum and number of the values, one row per unit and day."""
        values, day = self.rows.values[metric], self.rows.day - day_number(phase.begin)
        chosen = ~np.isnan(values) & (day >= 0) & (day < days) & (self.arm[self.rows.unit] >= 0)
        keys, place = np.unique(self.rows.unit[chosen] * days + day[chosen], return_inverse=True)
        total = np.bincount(place, values[chosen], len(keys))
        count = np.bincount(place, minlength=len(keys)).astype(np.float64)
        return keys // days, keys % days, total, count


def assigned(rows: Rows, definition: Definition) -> Units:
    """Find the arm of each unit from the rows of the phases."""
    inside = np.zeros(len(rows.day), bool)
    for phase in (definition.phases.aa, definition.phases.ab):
        if phase is not None:
            inside |= (rows.day >= day_number(phase.begin)) & (rows.day < day_number(phase.until))
    inside &= rows.arm >= 0
    seen = np.stack([np.bincount(rows.unit[inside & (rows.arm == arm)], minlength=rows.units) > 0 for arm in (0, 1)])
    crossed = seen.all(axis=0)
    arm = np.where(crossed | ~seen.any(axis=0), -1, seen[1].astype(np.int64))
    first = np.full(rows.units, np.iinfo(np.int64).max)
    np.minimum.at(first, rows.unit[inside], rows.day[inside])
    return Units(rows, definition, arm, first, int(crossed.sum()))
