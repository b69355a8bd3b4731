"""Fitted numbers are exact, and finite whatever a column holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.preprocessing.numbers import fit_number, fit_time, quantile

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def histogram(values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    found, counts = np.unique(np.array(values, np.float64), return_counts=True)
    return found, counts


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_quantile_is_numpys(values: list[float], share: float) -> None:
    assert quantile(*histogram(values), share) == pytest.approx(np.quantile(values, share), rel=1e-12, abs=1e-9)


@given(st.lists(FINITE, max_size=40), st.integers(0, 5))
def test_fitted_values_are_finite_and_the_scale_positive(values: list[float], missing: int) -> None:
    number = fit_number(*histogram(values), len(values) + missing)
    assert all(math.isfinite(value) for value in (number.fill, number.mean, number.scale))
    assert number.scale > 0


def test_mean_and_population_deviation_count_missing_rows_as_the_median() -> None:
    number = fit_number(*histogram([1.0, 2.0, 6.0]), 5)
    assert number.fill == 2.0
    filled = np.array([1.0, 2.0, 6.0, 2.0, 2.0])
    assert number.mean == pytest.approx(filled.mean())
    assert number.scale == pytest.approx(filled.std())


@pytest.mark.parametrize("rows", [30, 1000])
def test_one_huge_value_changes_neither_mean_nor_scale(rows: int) -> None:
    ordinary = [float(value % 10) for value in range(rows + 1)]
    plain = fit_number(*histogram(ordinary), rows + 1)
    spoilt = fit_number(*histogram([*ordinary[1:], 1e308]), rows + 1)
    assert spoilt.fill == pytest.approx(plain.fill, abs=1)
    assert spoilt.mean == pytest.approx(plain.mean, abs=0.5)
    assert spoilt.scale == pytest.approx(plain.scale, rel=0.1)


def test_the_outer_half_per_cent_is_drawn_in() -> None:
    number = fit_number(*histogram([-1e6, -1e6, *[0.0] * 198, *[1.0] * 198, 1e9, 1e9]), 400)
    assert number.mean == pytest.approx(0.5)
    assert number.scale == pytest.approx(0.5)


@pytest.mark.parametrize("values", [[], [7.0, 7.0, 7.0], [1e308], [5e-324, 0.0]])
def test_without_spread_the_scale_is_one(values: list[float]) -> None:
    assert fit_number(*histogram(values), max(1, len(values))).scale == 1.0


def test_a_column_without_values_is_zero() -> None:
    number = fit_number(np.array([]), np.array([], np.int64), 3)
    assert (number.fill, number.mean, number.scale) == (0.0, 0.0, 1.0)


def test_time_is_clamped_to_the_training_range_and_now_is_the_newest() -> None:
    number = fit_time(*histogram([100.0 + step for step in range(9)]), 9)
    assert (number.low, number.high, number.fill) == (100.0, 108.0, 108.0)
    assert number.knots == (101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0)


def test_knots_are_distinct_and_below_the_newest() -> None:
    number = fit_time(*histogram([100.0] * 90 + [200.0] * 10), 100)
    assert number.knots == (100.0,)
    assert fit_time(*histogram([50.1, 50.9]), 2).knots == ()  # one day


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=50))
def test_knots_lie_inside_the_range(values: list[float]) -> None:
    number = fit_time(*histogram(values), len(values))
    assert list(number.knots) == sorted(set(number.knots))
    assert all(number.low <= knot < number.high for knot in number.knots)
