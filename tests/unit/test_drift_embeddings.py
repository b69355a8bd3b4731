"""Is the distance of two samples of embeddings quiet where nothing moved, and sure where something did?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from frontdesk.bundle.labels import LabelBundle
from frontdesk.monitoring.comparison import Watched, compare
from frontdesk.monitoring.embeddings import discrepancy, kernel_of, lonely_share, places_column
from tests.bundles import EmailRun, TicketBundles

PLACES = (Watched("places", "text", "places"),)
WIDTH = 24


def window(rng: np.random.Generator, rows: int, *, share: float = 0.0) -> pa.Table:
    """Return texts of eight subjects in a model's space; a share of them is of a ninth one."""
    subjects = np.random.default_rng(7).normal(0, 2.0, (9, WIDTH))
    of = np.where(rng.random(rows) < share, 8, rng.integers(0, 8, rows))
    return pa.table({"places": places_column((subjects[of] + rng.normal(0, 1, (rows, WIDTH))).astype(np.float32))})


@pytest.mark.parametrize(("rows", "runs"), [(60, 100), (200, 30)])
def test_nothing_is_found_where_nothing_moved(rows: int, runs: int) -> None:
    rate = 0.05
    found = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, rows])
        reference, current = window(rng, 3 * rows), window(rng, rows)
        found += bool(compare(reference, current, PLACES, false_alarm_rate=rate, seed=seed).causes)
    assert found <= binom.ppf(0.999, runs, rate)


def test_a_new_subject_is_found_by_its_share() -> None:
    for share, level in ((0.02, "stable"), (0.1, "watch"), (0.5, "drift")):
        rng = np.random.default_rng(3)
        verdict = compare(window(rng, 1200), window(rng, 600, share=share), PLACES)
        assert verdict.verdict == level, (share, verdict.checks)
    (cause,) = verdict.causes
    said = float(cause.words.partition("places: ")[2].partition(" %")[0])
    assert 40 < said < 60, "who is new is lonely"


def test_the_score_grows_with_the_share() -> None:
    rng = np.random.default_rng(5)
    reference, other = (np.stack(window(rng, 800, share=share)["places"].to_pylist()) for share in (0.0, 1.0))
    scores = []
    for share in (0.25, 0.5, 1.0):
        mixed = np.concatenate([other[: int(800 * share)], reference[int(800 * share) :]])
        kernel = kernel_of(np.concatenate([reference, mixed]).astype(np.float32))
        sides = np.repeat([1 / 800, -1 / 800], 800).astype(np.float32)
        scores.append(float(discrepancy(kernel, sides[None])[0]))
    assert scores[0] / scores[2] == pytest.approx(0.25, abs=0.04)
    assert scores[1] / scores[2] == pytest.approx(0.5, abs=0.04)


def test_rows_that_are_all_alike_say_nothing() -> None:
    same = pa.table({"places": places_column(np.ones((50, 3), np.float32))})
    verdict = compare(same, same, PLACES)
    assert verdict.verdict == "stable"
    assert lonely_share(kernel_of(np.ones((20, 3), np.float32)), 10, 0.01) == 0.0
    few = compare(same, same.slice(0, 5), PLACES)
    assert "fewer than 30" in few.notes[0]


def test_every_model_of_texts_has_places(ticket_bundles: TicketBundles, email_run: EmailRun) -> None:
    bundles: list[Path] = [ticket_bundles.network, ticket_bundles.classical, email_run.bundle]
    for folder in bundles:
        bundle = LabelBundle.load(folder)
        texts = ["where is my card", "where is my card", "the app does not open", None]
        columns = bundle.prepare({bundle.spec.text[-1]: texts}, len(texts))
        assert bundle.embedding is not None
        found = bundle.embedding(columns, len(texts))
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert np.array_equal(found[0], found[1])
        assert not np.allclose(found[0], found[2])
        again = bundle.embedding({bundle.spec.text[-1]: columns[bundle.spec.text[-1]][2:3]}, 1)
        assert np.allclose(found[2], again[0], atol=1e-6), "a text's place does not depend on its neighbours"
