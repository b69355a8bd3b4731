"""Are the distances Evidently's, and are the thresholds those of chance?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial import distance
from scipy.stats import wasserstein_distance

from frontdesk.monitoring.comparison import Watched, compare_windows
from frontdesk.monitoring.statistics import (
    Chance,
    chance_of_counts,
    chance_of_numbers,
    chance_of_shares,
    jensen_shannon,
    unseen_beyond_chance,
    wasserstein,
)
from frontdesk.monitoring.windows import window_of
from frontdesk.simulation.streams import Change, stream


def test_the_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.integers(0, 50, 31), rng.integers(0, 50, 31)
    assert float(jensen_shannon(p, q)) == pytest.approx(distance.jensenshannon(p, q))
    for a, b in ((rng.normal(size=200), rng.lognormal(size=90)), (rng.poisson(2, 300) * 1.0, rng.poisson(3, 50) * 1.0)):
        assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b) / max(a.std(), 0.001))
    assert wasserstein(np.ones(9), np.ones(5)) == 0.0


@pytest.mark.slow  # Evidently takes half a minute to import and to write its page
def test_the_scores_are_those_of_evidently(tmp_path: Path) -> None:
    from frontdesk.monitoring.evidently_report import write_html

    rng = np.random.default_rng(0)
    before, now = stream(2_000, rng), stream(800, rng, change=Change("share", 0.2))
    watched = [
        Watched("channel", "input", "categorical"),
        Watched("product", "input", "categorical", called="the product"),
        Watched("amount", "input", "numeric"),
        Watched("total", "input", "numeric"),
        Watched("visits", "input", "numeric"),
    ]
    windows = [window_of(table, watched, None, rows=10_000, seed=0, where="") for table in (before, now)]
    verdict = compare_windows(windows[0], windows[1], watched)
    theirs = write_html(windows[0], windows[1], watched, verdict, tmp_path / "page.html")
    ours = {check.column: check.score for check in verdict.checks if check.method in ("jensenshannon", "wasserstein")}
    assert theirs.keys() == ours.keys()
    for column, score in ours.items():
        # Evidently divides by the rows of a column, the missing ones among them; scores are written with six digits.
        assert theirs[column] == pytest.approx(score, rel=1e-5), column
    page = (tmp_path / "page.html").read_text()
    assert "channel" in page
    assert 'src="http' not in page


def share_beyond(chance: Chance, scores: list[float], level: float) -> float:
    return float(np.mean(np.array(scores) > chance.quantile(level)))


def test_chance_is_what_two_samples_of_one_population_do() -> None:
    """The threshold of one sample holds for others of its population: at 5 %, and far out at 0.5 %."""
    rng = np.random.default_rng(1)
    weights = 1 / np.arange(1, 32)
    counts = [[rng.multinomial(n, weights / weights.sum()) for n in (900, 300)] for _ in range(600)]
    chance = chance_of_counts(*counts[0], rng)
    scores = [float(jensen_shannon(*pair)) for pair in counts]
    assert share_beyond(chance, scores, 0.05) < 0.09
    assert share_beyond(chance, scores, 0.005) < 0.02

    samples = [[rng.lognormal(size=n) for n in (600, 200)] for _ in range(400)]
    chance = chance_of_numbers(*samples[0], rng)
    scores = [wasserstein(*pair) for pair in samples]
    assert share_beyond(chance, scores, 0.05) < 0.12
    assert 0 < share_beyond(chance, scores, 0.5) < 0.9


def test_chance_of_shares_and_of_levels_that_nobody_saw() -> None:
    rng = np.random.default_rng(2)
    draws = np.abs(rng.binomial(400, 0.1, 2_000) / 400 - rng.binomial(200, 0.1, 2_000) / 200)
    assert share_beyond(chance_of_shares(0.1, 400, 200), list(draws), 0.05) == pytest.approx(0.05, abs=0.02)
    weights = 1 / np.arange(1, 3_001)
    counts = [[rng.multinomial(n, weights / weights.sum()) for n in (2_000, 500)] for _ in range(300)]
    assert np.mean([now[before == 0].sum() / 500 for before, now in counts]) > 0.1, "too few rare levels for this test"
    assert np.mean([unseen_beyond_chance(*pair, 0.02)[1] > 0 for pair in counts]) < 0.04
    assert unseen_beyond_chance(np.array([2_000, 0]), np.array([480, 20]), 0.01)[1] == 20


def test_nothing_varies() -> None:
    assert Chance(0.0, 0.0).quantile(0.01) == 0.0
    same = np.array([0, 50, 0])
    assert chance_of_counts(same, same, np.random.default_rng(0)).quantile(0.01) == 0.0
    table = pa.table({"x": np.ones(100)})
    windows = [window_of(table, [Watched("x", "input", "numeric")], None, rows=10, seed=0, where="") for _ in "ab"]
    assert compare_windows(windows[0], windows[1], [Watched("x", "input", "numeric")]).verdict == "stable"
