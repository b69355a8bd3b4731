"""From sums to effects: Welch's test at each look, the relative change its interval, cross-checks at the end."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.experiments.moments import Moments

_RESAMPLES = 2_000
_BUCKETS = 500
_AT_ONCE = 100


@dataclass(frozen=True)
class Effects:
    """Treatment against control at each look, float64 [..., K]; NaN where nothing can be said yet.

    Attributes:
        control, treatment: means.
        difference, error: of the means, and its standard error.
        freedom: degrees of freedom by Welch and Satterthwaite.
        z: the normal deviate as unlikely as Welch's t.
        reduction: share of the variance that the time before explains.
    """

    control: np.ndarray
    treatment: np.ndarray
    errors: tuple[np.ndarray, np.ndarray]
    difference: np.ndarray
    error: np.ndarray
    freedom: np.ndarray
    z: np.ndarray
    reduction: np.ndarray

    @property
    def information(self) -> np.ndarray:
        """1 / SE²; 0 where nothing can be said."""
        known = np.isfinite(self.error) & (self.error > 0)
        return np.where(known, 1 / np.where(known, self.error, 1.0) ** 2, 0.0)

    @property
    def relative(self) -> np.ndarray:
        """The difference as a share of the control's mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.control != 0, self.difference / self.control, np.nan)

    def interval(self, critical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the interval of the relative change at each look, for a critical value of |z|.

        Fieller's (1954): it leaves zero out exactly where the test of the difference rejects. Infinite where the
        control's mean itself may be zero.
        """
        from scipy.special import ndtr, stdtrit

        with np.errstate(divide="ignore", invalid="ignore"):
            t = -stdtrit(self.freedom, ndtr(-critical))
            bounded = (t * self.errors[0] / self.control) ** 2
            centre = self.treatment / self.control
            spread = np.abs(t / self.control) * np.sqrt(
                self.errors[1] ** 2 * (1 - bounded) + (centre * self.errors[0]) ** 2
            )
            low, high = (centre - spread) / (1 - bounded) - 1, (centre + spread) / (1 - bounded) - 1
            known = (bounded < 1) & np.isfinite(t)
        return np.where(known, low, -np.inf), np.where(known, high, np.inf)


def effects(moments: Moments) -> Effects:
    """Test the difference of the means at each look (Welch 1947)."""
    from scipy.special import ndtri, stdtr

    means, variances, reduction = moments.adjusted()
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = variances / moments.units
        error = np.sqrt(squares.sum(axis=-1))
        freedom = error**4 / (squares**2 / (moments.units - 1)).sum(axis=-1)
        difference = means[..., 1] - means[..., 0]
        t = difference / error
        z = -np.sign(t) * ndtri(stdtr(freedom, -np.abs(t)))
    known = np.isfinite(t)
    return Effects(
        control=means[..., 0],
        treatment=means[..., 1],
        errors=(np.sqrt(squares[..., 0]), np.sqrt(squares[..., 1])),
        difference=difference,
        error=np.where(known, error, np.nan),
        freedom=freedom,
        z=np.where(known, np.clip(np.nan_to_num(z, posinf=38.0, neginf=-38.0), -38.0, 38.0), np.nan),
        reduction=reduction,
    )


def cross_checks(control: np.ndarray, treatment: np.ndarray, alpha: float, seed: int) -> dict[str, Any]:
    """Return the same comparison by tests that look once, without the time before.

    Args:
        control, treatment: values of the units, each at least two.
        seed: of the bootstrap.
    """
    found: dict[str, Any] = {"welch": _welch(control, treatment, alpha)}
    if np.isin(control, (0.0, 1.0)).all() and np.isin(treatment, (0.0, 1.0)).all():
        found["two_proportion"] = _two_proportion(control, treatment, alpha)
    found["bootstrap"] = _bootstrap(control, treatment, alpha, seed)
    return found


def _welch(control: np.ndarray, treatment: np.ndarray, alpha: float) -> dict[str, float | None]:
    from statsmodels.stats.weightstats import CompareMeans

    compared = CompareMeans.from_data(treatment, control)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic, p, _ = compared.ttest_ind(usevar="unequal")
        low, high = compared.tconfint_diff(alpha=alpha, usevar="unequal")
    difference = float(treatment.mean() - control.mean())
    return _plain({"difference": difference, "low": low, "high": high, "t": statistic, "p": p})


def _two_proportion(control: np.ndarray, treatment: np.ndarray, alpha: float) -> dict[str, float | None]:
    from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

    said = (int(treatment.sum()), len(treatment), int(control.sum()), len(control))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = test_proportions_2indep(*said, method="score").pvalue
        low, high = confint_proportions_2indep(*said, method="newcomb", alpha=alpha)
    difference = float(treatment.mean() - control.mean())
    return _plain({"difference": difference, "low": low, "high": high, "p": p})


def _bootstrap(control: np.ndarray, treatment: np.ndarray, alpha: float, seed: int) -> dict[str, float | None]:
    """Return the percentile interval of the relative change; many units are resampled as buckets of random ones."""
    from scipy.stats import DegenerateDataWarning, bootstrap

    random = np.random.default_rng(seed)
    if control.mean() == 0:
        return _plain({"relative": None, "low": None, "high": None})

    def relative(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
        base = first.mean(axis=axis)
        return np.asarray((second.mean(axis=axis) - base) / base)

    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # a mean near 0: the interval is told as none
        interval = bootstrap(
            (_bucketed(control, random), _bucketed(treatment, random)),
            relative,
            n_resamples=_RESAMPLES,
            batch=_AT_ONCE,
            vectorized=True,
            paired=False,
            method="percentile",
            confidence_level=1 - alpha,
            rng=random,
        ).confidence_interval
    change = treatment.mean() / control.mean() - 1
    return _plain({"relative": change, "low": interval.low, "high": interval.high})


def _bucketed(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if len(values) <= _BUCKETS:
        return values
    starts = np.arange(_BUCKETS) * len(values) // _BUCKETS
    sums = np.add.reduceat(random.permutation(values), starts)
    return np.asarray(sums / np.diff(starts, append=len(values)))


def _plain(values: dict[str, Any]) -> dict[str, float | None]:
    return {name: None if value is None or not np.isfinite(value) else float(value) for name, value in values.items()}
