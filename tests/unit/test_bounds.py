"""Do the bounds hold at every look, as often as they say, and close in on the truth?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.bounds import quantile_bounds, share_bounds
from frontdesk.evidence import LATENCY_EDGES


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.floats(1e-6, 0.5))
def test_the_observed_share_lies_inside(hits: int, misses: int, alpha: float) -> None:
    calls = hits + misses
    low, high = share_bounds(hits, calls, alpha)
    assert 0 <= low <= high <= 1
    if calls:
        assert low <= hits / calls <= high


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_smaller_chance_gives_wider_bounds(hits: int, misses: int) -> None:
    narrow, wide = (share_bounds(hits, hits + misses, alpha) for alpha in (0.1, 0.001))
    assert wide[0] <= narrow[0] + 1e-9
    assert narrow[1] <= wide[1] + 1e-9


def test_the_mixture_is_the_integral_that_it_says() -> None:
    """Integrate numerically: at both bounds, the likelihood is ``alpha`` times its mean."""
    hits, calls, alpha = 7, 60, 0.02
    grid = (np.arange(400_000) + 0.5) / 400_000
    likelihood = grid**hits * (1 - grid) ** (calls - hits)
    near_zero = grid**-0.5 * (1 - grid) ** 49
    mean = 0.5 * likelihood.mean() + 0.5 * (likelihood * near_zero).sum() / near_zero.sum()
    for share in share_bounds(hits, calls, alpha):
        assert share**hits * (1 - share) ** (calls - hits) == pytest.approx(alpha * mean, rel=0.01)


@pytest.mark.parametrize("truth", [0.002, 0.05, 0.5])
def test_watched_without_end_the_truth_stays_inside(truth: float) -> None:
    """600 streams of 2,000 calls, looked at after each of the first 50 and then every 25: alpha bounds all looks."""
    alpha, streams = 0.1, 600
    random = np.random.default_rng(7)
    looks = [*range(1, 51), *range(75, 2_001, 25)]
    hits = np.cumsum(random.random((streams, 2_000)) < truth, axis=1)[:, np.array(looks) - 1]
    inside = np.ones(streams, bool)
    for place, calls in enumerate(looks):
        for count in np.unique(hits[:, place]):
            low, high = share_bounds(int(count), calls, alpha)
            if not low <= truth <= high:
                inside[hits[:, place] == count] = False
    left = streams - int(inside.sum())
    assert left <= streams * alpha + 3 * math.sqrt(streams * alpha * (1 - alpha))


def test_a_thousand_good_calls_leave_little_room() -> None:
    assert share_bounds(0, 1_000, 0.01)[1] < 0.01
    assert share_bounds(20, 20, 0.01)[0] > 0.5
    assert share_bounds(0, 0, 0.01) == (0.0, 1.0)


def test_quantiles_are_bounded_by_edges() -> None:
    random = np.random.default_rng(3)
    seconds = random.lognormal(math.log(0.02), 0.5, 4_000)
    places = np.searchsorted(LATENCY_EDGES, seconds)
    counts = {int(place): int(count) for place, count in zip(*np.unique(places, return_counts=True), strict=True)}
    low, high = quantile_bounds(counts, LATENCY_EDGES, 0.95, 0.01)
    truth = 0.02 * math.exp(0.5 * 1.6449)
    assert low < truth <= high
    assert high / low < 1.6
    assert quantile_bounds({}, LATENCY_EDGES, 0.95, 0.01) == (0.0, math.inf)


def test_nonsense_is_refused() -> None:
    for hits, calls, alpha in ((3, 2, 0.1), (-1, 2, 0.1), (1, 2, 0.0), (1, 2, 1.0)):
        with pytest.raises(ValueError, match="expected"):
            share_bounds(hits, calls, alpha)
