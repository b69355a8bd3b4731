"""Are the tests of experiments the textbook's, and do sums say what the values say?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from frontdesk.errors import UsageError
from frontdesk.experiments.effects import cross_checks, effects
from frontdesk.experiments.mismatch import always_valid_p, sample_ratio
from frontdesk.experiments.moments import cumulate
from frontdesk.experiments.power import Plan, detectable_effect, power_of, units_needed
from frontdesk.experiments.sequential import boundaries, crossing, inflation, spent


def even(looks: int) -> list[float]:
    return [look / looks for look in range(1, looks + 1)]


def test_boundaries_are_the_published_ones() -> None:
    """Lan and DeMets' O'Brien-Fleming spending at five looks, two-sided 5 % (Reboussin et al. 2000; R's ldbounds)."""
    found = boundaries(even(5), even(5), 0.05)
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    assert boundaries([1.0], [1.0], 0.05) == pytest.approx([1.959964], abs=1e-5)


@pytest.mark.parametrize("looks", [2, 30, 90, 366])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_boundaries_spend_alpha_and_no_more(looks: int, alpha: float) -> None:
    critical = boundaries(even(looks), even(looks), alpha)
    assert np.all(np.diff(critical[np.isfinite(critical)]) < 0)
    assert sum(crossing(even(looks), critical, 0.0)) == pytest.approx(alpha, rel=1e-3)
    assert spent(np.array([1.0]), alpha)[0] == pytest.approx(alpha)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.05, 5.0), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_uneven_information_spends_alpha_too(steps: list[float], random: object) -> None:
    amounts = np.cumsum(steps)
    critical = boundaries(amounts.tolist(), even(len(steps)), 0.05)
    paths = np.random.default_rng(len(steps)).normal(size=(20_000, len(steps))) * np.sqrt(steps)
    crossed = (np.abs(paths.cumsum(axis=1) / np.sqrt(amounts)) > critical).any(axis=1).mean()
    assert abs(crossed - 0.05) < 0.0075


def test_information_that_does_not_grow_is_borne() -> None:
    found = boundaries([1.0, 1.0, 1.0, 0.9], even(4), 0.05)
    assert np.isfinite(found).all()
    assert found[-1] > 1.959


def test_looking_every_day_costs_a_few_percent() -> None:
    assert inflation(1, 0.05, 0.8) == 1.0
    assert inflation(5, 0.05, 0.8) == pytest.approx(1.028, abs=0.004)  # Jennison and Turnbull, table 7.6's neighbour
    assert 1.03 < inflation(30, 0.05, 0.8) < 1.06


def rows(seed: int, units: int, days: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 2, units)
    unit, day = np.nonzero(rng.random((units, days)) < 0.3)
    count = rng.integers(1, 4, len(unit)).astype(float)
    total = count * (10 + rng.lognormal(0, 1, len(unit)) + arm[unit])
    return arm, unit, day, total, count


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sums_after_each_day_are_those_of_the_units_means(seed: int) -> None:
    arm, unit, day, total, count = rows(seed, 40, 9)
    moments = cumulate(arm, np.full(40, np.nan), unit, day, total, count, 9)
    means, variances, explained = moments.adjusted()
    for today in range(9):
        so_far = day <= today
        sums, counts = np.bincount(unit[so_far], total[so_far], 40), np.bincount(unit[so_far], count[so_far], 40)
        for side in (0, 1):
            mine = (counts > 0) & (arm == side)
            values = sums[mine] / counts[mine]
            assert moments.units[today, side] == mine.sum()
            assert means[today, side] == pytest.approx(values.mean())
            assert variances[today, side] == pytest.approx(values.var(ddof=1))
    assert np.allclose(explained, 0)


def test_welch_is_scipys_at_every_look_and_the_interval_agrees_with_it() -> None:
    arm, unit, day, total, count = rows(4, 60, 12)
    found = effects(cumulate(arm, np.full(60, np.nan), unit, day, total, count, 12))
    low, high = found.interval(np.full(12, 1.959964))
    for today in range(2, 12):
        so_far = day <= today
        sums, counts = np.bincount(unit[so_far], total[so_far], 60), np.bincount(unit[so_far], count[so_far], 60)
        values = [sums[(counts > 0) & (arm == side)] / counts[(counts > 0) & (arm == side)] for side in (0, 1)]
        expected = stats.ttest_ind(values[1], values[0], equal_var=False)
        assert 2 * stats.norm.sf(abs(found.z[today])) == pytest.approx(expected.pvalue, rel=1e-6)
        assert np.sign(found.z[today]) == np.sign(expected.statistic)
        assert (low[today] > 0 or high[today] < 0) == (expected.pvalue < 0.05)
        assert low[today] < found.relative[today] < high[today]


def test_the_time_before_narrows_the_interval_and_moves_nothing() -> None:
    rng = np.random.default_rng(5)
    units = 4_000
    arm, before = rng.integers(0, 2, units), rng.normal(10, 2, units)
    value = before + rng.normal(0, 1, units) - 0.5 * arm
    day, each = np.zeros(units, int), np.ones(units)
    plain = effects(cumulate(arm, np.full(units, np.nan), np.arange(units), day, value, each, 1))
    helped = effects(cumulate(arm, before, np.arange(units), day, value, each, 1))
    assert helped.reduction[0] == pytest.approx(0.8, abs=0.03)
    assert helped.error[0] < 0.5 * plain.error[0]
    assert helped.difference[0] == pytest.approx(-0.5, abs=4 * float(helped.error[0]))
    some = np.where(rng.random(units) < 0.5, before, np.nan)  # half of the units are new
    half = effects(cumulate(arm, some, np.arange(units), day, value, each, 1))
    assert helped.error[0] < half.error[0] < plain.error[0]


def test_nothing_is_said_of_too_few_or_equal_values() -> None:
    arm, each = np.array([0, 1, 0, 1]), np.ones(4)
    nothing = np.full(4, np.nan)
    equal = effects(cumulate(arm, nothing, np.arange(4), np.zeros(4, int), np.ones(4), each, 1))
    few = effects(cumulate(arm, nothing, np.arange(2), np.zeros(2, int), np.ones(2), each[:2], 1))
    for found in (equal, few):
        assert np.isnan(found.z).all()
        assert found.information.tolist() == [0.0]


def test_cross_checks_agree_with_each_other() -> None:
    rng = np.random.default_rng(6)
    control, treatment = rng.lognormal(0, 1, 3_000), rng.lognormal(0, 1, 5_000) * 0.9
    found = cross_checks(control, treatment, 0.05, 1)
    assert "two_proportion" not in found
    welch, boot = found["welch"], found["bootstrap"]
    assert boot["low"] == pytest.approx(welch["low"] / control.mean(), abs=0.02)
    assert boot["high"] == pytest.approx(welch["high"] / control.mean(), abs=0.02)
    assert cross_checks(control, treatment, 0.05, 1) == found
    yes = cross_checks((control > 1).astype(float), (treatment > 1).astype(float), 0.05, 1)
    assert yes["two_proportion"]["p"] == pytest.approx(yes["welch"]["p"], rel=0.1)
    nobody = cross_checks(np.zeros(9), np.zeros(9), 0.05, 1)
    assert nobody["bootstrap"]["low"] is None


def test_the_calculator_is_statsmodels_and_its_answers_fit_together() -> None:
    expected = TTestIndPower().solve_power(0.066, alpha=0.05, power=0.8)
    plan = Plan(10.0, 10.0)
    assert units_needed(plan, -0.066, 0.8)["control"] == math.ceil(expected)
    for some in (plan, Plan(0.62, 0.5, is_share=True), Plan(1, 2, looks=14), Plan(1, 1, correlation=0.6, share=0.2)):
        total = units_needed(some, 0.05, 0.9)["total"]
        assert power_of(some, 0.05, total) == pytest.approx(0.9, abs=0.004)
        assert detectable_effect(some, total, 0.9) == pytest.approx(0.05, abs=2e-4)
    less = units_needed(Plan(10.0, 10.0, correlation=0.6), -0.066, 0.8)["total"]
    assert less / units_needed(plan, -0.066, 0.8)["total"] == pytest.approx(0.64, abs=0.002)
    assert detectable_effect(plan, 10, 0.8) > 1


@pytest.mark.parametrize(
    ("plan", "effect"),
    [
        (lambda: Plan(0.0, 1.0), 0.1),
        (lambda: Plan(1.0, math.nan), 0.1),
        (lambda: Plan(1.0, 1.0, alpha=1.0), 0.1),
        (lambda: Plan(1.0, 1.0), 0.0),
        (lambda: Plan(1.0, 1.0), math.inf),
        (lambda: Plan(0.9, 0.3, is_share=True), 0.2),
        (lambda: Plan(1.0, 1e6), 0.0001),
    ],
)
def test_plans_that_cannot_be(plan: object, effect: float) -> None:
    with pytest.raises(UsageError):
        units_needed(plan(), effect, 0.8)  # type: ignore[operator]


def test_the_sample_ratio_alarm() -> None:
    day = np.full(30, 150)
    assert not sample_ratio(day, day + 2, 0.5, over=True).alarm
    assert sample_ratio(day, day + 25, 0.5, over=False).alarm
    assert sample_ratio(day * 4, day, 0.2, over=True).alarm is False
    assert not sample_ratio(np.zeros(3, int), np.zeros(3, int), 0.5, over=True).alarm
    rng = np.random.default_rng(7)
    treated = rng.binomial(100, 0.5, (2_000, 60)).cumsum(axis=1)
    control = 100 * np.arange(1, 61) - treated
    falling = always_valid_p(control, treated, 0.5)
    assert np.all(np.diff(falling, axis=1) <= 0)
    assert (falling[:, -1] < 0.05).mean() < 0.05  # at any time of sixty days together
