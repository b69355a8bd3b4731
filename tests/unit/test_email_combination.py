"""How the models' answers are put together: what was fitted is applied, the heads speak to each other."""

from __future__ import annotations

import numpy as np
import pytest

from frontdesk.email.combination import Combination, Scores, combine, fit_combination

ROWS = 600


def _desk(seed: int = 0, noise: float = 1.5) -> tuple[Scores, dict[str, np.ndarray]]:
    """A topic belongs to one line; of the topic the models know more than of the line."""
    random = np.random.default_rng(seed)
    topic = random.choice(6, ROWS, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05])
    labels = {"business_line": topic // 2, "topic": topic}
    scores: Scores = {}
    for head, size, loud in (("business_line", 3, 2.0), ("topic", 6, 1.0)):
        truth = np.eye(size)[labels[head]]
        scores[head] = [(truth * 2 + loud * noise * random.normal(size=truth.shape)).astype(np.float32) for _ in "ab"]
    return scores, labels


def _accuracy(found: np.ndarray, labels: np.ndarray) -> float:
    return float((found.argmax(1) == labels).mean())


def test_both_models_and_the_other_head_add_to_the_answer() -> None:
    scores, labels = _desk()
    together, _ = fit_combination(scores, labels, cross=True, seed=0)
    alone, _ = fit_combination({head: found[:1] for head, found in scores.items()}, labels, cross=False, seed=0)
    fresh, truth = _desk(seed=1)
    best = combine(fresh, together)["business_line"]
    single = combine({head: found[:1] for head, found in fresh.items()}, alone)["business_line"]
    assert _accuracy(best, truth["business_line"]) > _accuracy(single, truth["business_line"]) + 0.05
    assert together["business_line"].cross_weight > 0
    assert alone["business_line"].cross.shape == (0, 3)
    np.testing.assert_allclose(best.sum(1), 1, atol=1e-5)


def test_a_model_that_knows_nothing_gets_little_weight() -> None:
    scores, labels = _desk()
    noise = np.random.default_rng(5)
    scores = {head: [noise.normal(size=one.shape).astype(np.float32), one] for head, (one, _) in scores.items()}
    fitted, _ = fit_combination(scores, labels, cross=False, seed=0)
    for one in fitted.values():
        assert one.weights[0] <= 0.4 * one.weights[1]


def test_held_out_answers_are_those_of_rows_with_the_label() -> None:
    scores, labels = _desk()
    labels["topic"][::3] = -1
    fitted, held_out = fit_combination(scores, labels, cross=True, seed=0)
    assert held_out["topic"].shape == ((labels["topic"] >= 0).sum(), 6)
    known = labels["topic"] >= 0
    again = combine(scores, fitted)["topic"][known]
    assert np.abs(again - held_out["topic"]).mean() < 0.02, "only a row's own labels keep them apart"


@pytest.mark.parametrize("rows", [0, 1, 19])
def test_few_rows_leave_the_plain_mean(rows: int) -> None:
    scores, labels = _desk()
    scores = {head: [one[:rows] for one in found] for head, found in scores.items()}
    fitted, held_out = fit_combination(scores, {head: one[:rows] for head, one in labels.items()}, cross=True, seed=0)
    for head, one in fitted.items():
        np.testing.assert_array_equal(one.weights, [0.5, 0.5])
        assert held_out[head].shape == scores[head][0].shape


def test_a_label_that_no_row_has_and_rows_without_the_other_head_are_taken() -> None:
    scores, labels = _desk()
    labels["topic"][labels["topic"] == 5] = -1
    labels["business_line"][labels["topic"] >= 0] = -1
    fitted, _ = fit_combination(scores, labels, cross=True, seed=0)
    for values in combine(scores, fitted).values():
        assert np.isfinite(values).all()


def test_it_comes_back_from_its_arrays() -> None:
    scores, labels = _desk()
    fitted, _ = fit_combination(scores, labels, cross=True, seed=0)
    again = {head: Combination.of(one.arrays()) for head, one in fitted.items()}
    for head, values in combine(scores, again).items():
        np.testing.assert_allclose(values, combine(scores, fitted)[head], atol=1e-5)
