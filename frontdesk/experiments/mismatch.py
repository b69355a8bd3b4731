"""Did the arms get the share of units that was declared? If not, something chose who is measured: nothing counts.

Units are counted by the day on which they came in. The alarm is always valid, so that it may be read every day: the
posterior odds of Lindon and Malek, Anytime-Valid Inference for Multinomial Count Data (2022), with a Dirichlet prior
around the declared shares. At the end, when nobody will look again, the chi-square test counts too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

STRICT = 0.001
"""Error rate of the alarm: far below the usual one, because an alarm stops an experiment."""
_CONCENTRATION = 100.0


@dataclass(frozen=True)
class SampleRatio:
    """How the units fell.

    Attributes:
        control, treatment: units.
        expected: share of the treatment that was declared.
        observed: None without units.
        always_valid_p: the smallest so far, good at any time.
        chi_square_p: good once, at the end.
        alarm: the shares are not those declared.
    """

    control: int
    treatment: int
    expected: float
    observed: float | None
    always_valid_p: float
    chi_square_p: float
    alarm: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def always_valid_p(control: np.ndarray, treatment: np.ndarray, share: float) -> np.ndarray:
    """Return the p-value after each day, never rising, from the units so far, int [..., D] each."""
    from scipy.special import betaln

    first, second = _CONCENTRATION * (1 - share), _CONCENTRATION * share
    against = betaln(first + control, second + treatment) - betaln(first, second)
    log_odds = against - control * np.log1p(-share) - treatment * np.log(share)
    return np.asarray(np.minimum.accumulate(np.exp(-np.maximum(log_odds, 0.0)), axis=-1))


def sample_ratio(control: np.ndarray, treatment: np.ndarray, share: float, *, over: bool) -> SampleRatio:
    """Compare the units so far with the declared share.

    Args:
        control, treatment: new units of each day, int [D].
        over: whether the experiment has ended.
    """
    from scipy.stats import chisquare

    counts = np.array([control.sum(), treatment.sum()])
    total = int(counts.sum())
    if total == 0:
        return SampleRatio(0, 0, share, None, 1.0, 1.0, False)
    always = float(always_valid_p(np.cumsum(control), np.cumsum(treatment), share)[-1])
    once = float(chisquare(counts, total * np.array([1 - share, share])).pvalue)
    alarm = always < STRICT or (over and once < STRICT)
    return SampleRatio(int(counts[0]), int(counts[1]), share, float(counts[1] / total), always, once, alarm)
