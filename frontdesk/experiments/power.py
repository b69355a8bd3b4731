"""How many units an experiment needs, what it can see, and how surely: before it starts.

Textbook assumptions: two-sided test, the same spread in both arms. A change that also shrinks the spread, as fewer
minutes per ticket do, is found a little more often than said here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from frontdesk.errors import UsageError

_MOST_UNITS = 1e10
_MANY = 20_000


@dataclass(frozen=True)
class Plan:
    """What is known of an experiment beforehand.

    Attributes:
        mean, spread: of the metric under the control, standard deviation over units; shares have
            the spread that their mean gives.
        is_share: each unit is a yes or a no.
        alpha: two-sided, over all looks.
        share: of the units that get the treatment.
        looks: at even distances; 1 for a fixed test.
        correlation: of a unit's value with its value before the experiment.
    """

    mean: float
    spread: float
    is_share: bool = False
    alpha: float = 0.05
    share: float = 0.5
    looks: int = 1
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if self.mean == 0 or not math.isfinite(self.mean) or not (self.spread > 0 and math.isfinite(self.spread)):
            raise UsageError("mean and spread of the metric must be numbers other than 0")
        if self.is_share and not 0 < self.mean < 1:
            raise UsageError("a share must lie between 0 and 1")
        if not (0 < self.alpha < 1 and 0 < self.share < 1 and -1 < self.correlation < 1 and self.looks >= 1):
            raise UsageError("alpha and split must lie between 0 and 1, the correlation between -1 and 1")

    @property
    def kept(self) -> float:
        """Share of the variance that is left when the time before is taken into account."""
        return 1 - self.correlation**2


def units_needed(plan: Plan, effect: float, power: float) -> dict[str, Any]:
    """Return the units of each arm that find a relative effect with a power.

    Returns:
        ``{"control", "treatment", "total", "fixed_total", "inflation", ...}``: the fixed total is that of one look.

    Raises:
        UsageError: an effect of 0, a power that is no power, or more units than any desk has.
    """
    from scipy.optimize import brentq

    from frontdesk.experiments.sequential import inflation

    _require(plan, effect)
    if not plan.alpha < power < 1:
        raise UsageError("the power must lie between alpha and 1")

    def missing(log_total: float) -> float:
        return _fixed_power(plan, effect, math.exp(log_total)) - power

    least, most = math.log(8.0), math.log(_MOST_UNITS)
    if missing(most) < 0:
        raise UsageError("the effect is too small to be found", remedy="Take a larger minimum effect")
    fixed = math.exp(least if missing(least) >= 0 else brentq(missing, least, most, xtol=1e-10))
    factor = inflation(plan.looks, plan.alpha, power)
    return _told(plan, effect, power, fixed * factor) | {"fixed_total": math.ceil(fixed), "inflation": factor}


def power_of(plan: Plan, effect: float, total: float) -> float:
    """Return the probability that an experiment on so many units finds a relative effect."""
    from frontdesk.experiments.sequential import inflation

    _require(plan, effect)
    if total < 8:
        raise UsageError("an experiment needs at least 8 units")
    fixed = _fixed_power(plan, effect, total)
    if plan.looks == 1:
        return fixed
    # The inflation hardly depends on the power; one pass is exact to the third decimal.
    factor = inflation(plan.looks, plan.alpha, round(min(max(fixed, 0.3), 0.99), 2))
    return _fixed_power(plan, effect, total / factor)


def detectable_effect(plan: Plan, total: float, power: float) -> float:
    """Return the smallest relative effect, > 0, that so many units find with a power."""
    from scipy.optimize import brentq

    from frontdesk.experiments.sequential import inflation

    fixed = total / inflation(plan.looks, plan.alpha, power)
    if fixed < 8:
        raise UsageError("an experiment needs at least 8 units")
    most = 0.999 * ((1 - plan.mean) / plan.mean if plan.is_share else 1e6)
    if _fixed_power(plan, most, fixed) < power:
        raise UsageError("so few units find no effect at all with that power", remedy="Take more units")
    return float(brentq(lambda effect: _fixed_power(plan, effect, fixed) - power, 1e-9, most, xtol=1e-12))


def _require(plan: Plan, effect: float) -> None:
    if effect == 0 or not math.isfinite(effect) or effect <= -1:
        raise UsageError("the effect must be a number other than 0, above -1: -0.066 for 6.6 % less")
    if plan.is_share and not 0 < plan.mean * (1 + effect) < 1:
        raise UsageError("with this effect, the share would leave 0 to 1")


def _fixed_power(plan: Plan, effect: float, total: float) -> float:
    """Return the power of one look: t test of means, or normal test of two shares."""
    control, treatment = total * (1 - plan.share), total * plan.share
    if plan.is_share:
        from statsmodels.stats.proportion import power_proportions_2indep

        return float(
            power_proportions_2indep(
                effect * plan.mean,
                plan.mean,
                treatment / plan.kept,
                ratio=control / treatment,
                alpha=plan.alpha,
                return_results=False,
            )
        )
    from statsmodels.stats.power import NormalIndPower, TTestIndPower

    size = abs(effect * plan.mean) / (plan.spread * math.sqrt(plan.kept))
    asked = {"effect_size": size, "nobs1": control, "alpha": plan.alpha, "ratio": treatment / control}
    exact = TTestIndPower().power(**asked) if total < _MANY else math.nan
    # The noncentral t distribution has no value in places far out; there, and for many units, it is the normal one.
    return float(NormalIndPower().power(**asked) if math.isnan(exact) else exact)


def _told(plan: Plan, effect: float, power: float, total: float) -> dict[str, Any]:
    control, treatment = math.ceil(total * (1 - plan.share)), math.ceil(total * plan.share)
    return {
        "control": control,
        "treatment": treatment,
        "total": control + treatment,
        "effect": effect,
        "power": power,
        "alpha": plan.alpha,
        "looks": plan.looks,
        "variance_left": plan.kept,
    }
