"""Do the experiments keep their promises? Thousands of simulated ones, by the functions that judge real ones.

    python -m benchmarks.experiments [--runs 1000] [--seed 1]

Handle times are lognormal with a standard deviation as large as their mean, as in the calculator's example. A line's
share lies within the binomial bounds where the promise may be true (99 %, exact); the promise is alpha or the power.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from frontdesk.experiments.analysis import critical_values
from frontdesk.experiments.definition import Definition
from frontdesk.experiments.effects import Effects, effects
from frontdesk.experiments.mismatch import STRICT, always_valid_p
from frontdesk.experiments.moments import Moments, cumulate
from frontdesk.experiments.power import Plan, units_needed
from frontdesk.simulation.experiments import EFFECT, experiment

DAYS = 30
ALPHA, POWER = 0.05, 0.8
_AT_ONCE = 20
_CONFIDENCE = 0.99


@dataclass(frozen=True)
class Line:
    """A share of simulated experiments and what it should be.

    Attributes:
        promised: None where nothing is promised.
    """

    name: str
    units: int
    found: float
    runs: int
    promised: float | None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Exact binomial bounds of the share, where the promise is true."""
        if self.promised is None:
            return None
        low, high = binom.interval(_CONFIDENCE, self.runs, self.promised)
        return float(low) / self.runs, float(high) / self.runs

    @property
    def holds(self) -> bool:
        """Whether the share lies in its bounds."""
        return self.bounds is None or self.bounds[0] <= self.found <= self.bounds[1]


def simulated(
    runs: int, units: int, seed: int, *, change: float = 0.0, scaled: bool = False, correlation: float = 0.0
) -> Moments:
    """Return the sums of many experiments by case, each with its own units, assigned by a fair coin.

    Args:
        units: of both arms together, spread evenly over the days.
        change: relative, of the treatment's mean.
        scaled: whether the spread changes with the mean; else it stays.
        correlation: of the value with the one before, on the logarithm's scale close to that of the values.
    """
    rng = np.random.default_rng(seed)
    starts = np.arange(DAYS) * units // DAYS
    parts = []
    for start in range(0, runs, _AT_ONCE):
        shape = (min(_AT_ONCE, runs - start), units)
        arm = rng.random(shape) < 0.5
        x = rng.standard_normal(shape) if correlation else np.zeros(shape)
        mixed = correlation * x + np.sqrt(1 - correlation**2) * rng.standard_normal(shape)
        value = _lognormal(mixed, 1.0, 1.0)
        if change:
            mean = 1 + change
            value = np.where(arm, _lognormal(mixed, mean, mean if scaled else 1.0), value)
        value -= 1.0
        terms = (np.ones(shape), value, value**2, x, x**2, x * value)
        both = np.array([np.add.reduceat(term, starts, axis=1) for term in terms])
        treated = np.array([np.add.reduceat(term * arm, starts, axis=1) for term in terms])
        parts.append(np.stack([both - treated, treated], axis=-1).cumsum(axis=2).transpose(1, 2, 0, 3))
    return Moments(np.concatenate(parts), 1.0)


def _lognormal(normal: np.ndarray, mean: float, spread: float) -> np.ndarray:
    variance = np.log1p((spread / mean) ** 2)
    return np.asarray(mean * np.exp(np.sqrt(variance) * normal - variance / 2))


def repeated(runs: int, operators: int, seed: int) -> Moments:
    """Return the sums of A/A experiments by operator: everybody works on many days, and people differ."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        arm = rng.integers(0, 2, operators)
        works = rng.random((operators, DAYS)) < 0.6
        unit, day = np.nonzero(works)
        value = rng.normal(0, 0.5, operators)[unit] + rng.lognormal(0, 1.0, len(unit))
        nothing = np.full(operators, np.nan)
        found.append(cumulate(arm, nothing, unit, day, value, np.ones(len(unit)), DAYS))
    return Moments(np.stack([one.sums for one in found]), 0.0)


def crossed(definition: Definition, found: Effects) -> np.ndarray:
    """Return whether each experiment crosses a boundary at any of its looks, bool [S]."""
    looks = np.arange(1, DAYS + 1)
    names = vars(found)
    hits = []
    for run in range(len(found.z)):
        one = Effects(**{n: (v[0][run], v[1][run]) if isinstance(v, tuple) else v[run] for n, v in names.items()})
        hits.append(bool(np.any(np.abs(one.z) > critical_values(definition, one, looks))))
    return np.array(hits)


def table(runs: int, seed: int) -> list[Line]:
    """Return every line of the table."""
    definition = experiment(ab_days=DAYS, aa_days=0, alpha=ALPHA)
    plan = Plan(1.0, 1.0, alpha=ALPHA)
    watched = Plan(1.0, 1.0, alpha=ALPHA, looks=DAYS)
    once, daily = units_needed(plan, EFFECT, POWER)["total"], units_needed(watched, EFFECT, POWER)["total"]
    explained = Plan(1.0, 1.0, alpha=ALPHA, looks=DAYS, correlation=_correlation(0.8))
    fewer = units_needed(explained, EFFECT, POWER)["total"]
    limit = 1.959964

    lines = []

    def tell(name: str, units: int, hits: np.ndarray, promised: float | None) -> None:
        lines.append(Line(name, units, float(np.mean(hits)), runs, promised))

    same = effects(simulated(runs, daily, seed))
    tell("A/A, one look at the end", daily, np.abs(same.z[:, -1]) > limit, ALPHA)
    tell("A/A, a look every day, boundaries", daily, crossed(definition, same), ALPHA)
    tell("A/A, a look every day, plain p < 0.05", daily, (np.abs(same.z) > limit).any(axis=1), None)
    explained_same = effects(simulated(runs, fewer, seed + 1, correlation=0.8))
    tell("A/A, every day, with the time before", fewer, crossed(definition, explained_same), ALPHA)
    tell("A/A, every day, 400 operators", 400, crossed(definition, effects(repeated(runs, 400, seed + 2))), ALPHA)
    found = effects(simulated(runs, once, seed + 3, change=EFFECT))
    tell("-6.6 %, one look, units as planned", once, found.z[:, -1] < -limit, POWER)
    found = effects(simulated(runs, daily, seed + 4, change=EFFECT))
    tell("-6.6 %, every day, units as planned", daily, crossed(definition, found), POWER)
    found = effects(simulated(runs, once, seed + 5, change=EFFECT, scaled=True))
    tell("-6.6 %, one look, the spread shrinks too", once, found.z[:, -1] < -limit, None)
    found = effects(simulated(runs, fewer, seed + 6, change=EFFECT, correlation=0.8))
    tell("-6.6 %, every day, with the time before", fewer, crossed(definition, found), POWER)
    for name, share in (("sample ratio as declared", 0.5), ("sample ratio 47 : 53", 0.53)):
        treated = np.random.default_rng(seed + 7).binomial(daily // DAYS, share, (runs, DAYS)).cumsum(axis=1)
        every = daily // DAYS * np.arange(1, DAYS + 1)
        tell(f"{name}, alarm on any day", daily, always_valid_p(every - treated, treated, 0.5)[:, -1] < STRICT, None)
    return lines


def _correlation(normal: float) -> float:
    """Return the correlation of a lognormal value (spread = mean) with a normal one, from that of its logarithm."""
    variance = np.log(2.0)
    return float(normal * np.sqrt(variance) / np.sqrt(np.expm1(variance)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.perf_counter()
    lines = table(asked.runs, asked.seed)
    print("| experiment | units | found | promised | bounds | |\n| --- | ---: | ---: | ---: | --- | --- |")
    for line in lines:
        promised = "" if line.promised is None else f"{100 * line.promised:.0f} %"
        bounds = "" if line.bounds is None else f"{100 * line.bounds[0]:.1f} to {100 * line.bounds[1]:.1f} %"
        mark = "" if line.promised is None else ("holds" if line.holds else "MISSED")
        print(f"| {line.name} | {line.units:,} | {100 * line.found:.1f} % | {promised} | {bounds} | {mark} |")
    print(f"\n{asked.runs:,} runs of each, seed {asked.seed}, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
