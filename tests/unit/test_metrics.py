"""Are the figures those of scikit-learn and of the definitions?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from frontdesk.evaluation.intervals import accuracy_difference, macro_f1_difference, wilson
from frontdesk.evaluation.metrics import (
    NO_CANDIDATE,
    OTHER,
    brier,
    classification,
    confused_pairs,
    confusion,
    negative_log_likelihood,
    per_label,
    top_three,
)
from frontdesk.preprocessing.spec import NO_LABEL, UNSEEN_LABEL

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=60)


def _tops(predicted: np.ndarray) -> np.ndarray:
    return np.stack([predicted, np.full_like(predicted, NO_CANDIDATE), np.full_like(predicted, NO_CANDIDATE)], axis=1)


@settings(deadline=None)
@given(PAIRS)
def test_averages_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    found = classification(truth, predicted, _tops(predicted), known=5)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, predicted), abs=1e-6)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        truth, predicted, average="macro", zero_division=0
    )
    weighted = reference.f1_score(truth, predicted, average="weighted", zero_division=0)
    names = ("macro_precision", "macro_recall", "macro_f1", "weighted_f1")
    assert [found[name] for name in names] == pytest.approx([precision, recall, f1, weighted], abs=1e-6)
    report = per_label(truth, predicted)
    figures = reference.precision_recall_fscore_support(truth, predicted, zero_division=0)
    for ours, theirs in zip((report.precision, report.recall, report.f1, report.support), figures, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_unseen_labels_are_errors_and_classes_of_their_own() -> None:
    truth = np.array([0, 1, UNSEEN_LABEL, 7, NO_LABEL])
    predicted = np.array([0, 1, 0, 1, 0])
    found = classification(truth, predicted, _tops(predicted), known=2)
    assert (found["n"], found["unseen"], found["accuracy"]) == (4, 2, 0.5)
    as_text = reference.f1_score(["a", "b", "x", "y"], ["a", "b", "a", "b"], average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(as_text, abs=1e-6)


def test_a_head_without_labels_has_no_figures() -> None:
    found = classification(np.array([NO_LABEL] * 3), np.zeros(3, int), np.zeros((3, 3), int), known=2)
    assert found["n"] == 0
    assert found["accuracy"] is None
    assert found["macro_f1"] is None


def test_top_three_breaks_ties_by_index_and_pads_short_catalogues() -> None:
    probabilities = np.array([[0.2, 0.3, 0.3, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2, 0.2]], np.float32)
    assert top_three(probabilities).tolist() == [[1, 2, 0], [0, 1, 2]]
    assert top_three(probabilities[:, :1]).tolist() == [[0, NO_CANDIDATE, NO_CANDIDATE]] * 2
    found = classification(np.array([2, 4]), np.array([1, 0]), top_three(probabilities), known=5)
    assert found["top3"] == 0.5


def test_likelihood_and_brier_by_their_definitions() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    truth = np.arange(50) % 4
    of_truth = probabilities[np.arange(50), truth]
    assert negative_log_likelihood(of_truth) == pytest.approx(
        reference.log_loss(truth, probabilities, labels=[0, 1, 2, 3])
    )
    distances = ((probabilities - np.eye(4)[truth]) ** 2).sum(axis=1).mean()
    assert brier(of_truth, (probabilities**2).sum(axis=1)) == pytest.approx(distances)
    assert negative_log_likelihood(np.zeros(0)) is None
    assert brier(np.zeros(0), np.zeros(0)) is None


@settings(deadline=None)
@given(PAIRS, st.integers(1, 8))
def test_a_confusion_matrix_holds_every_row_once(pairs: list[tuple[int, int]], limit: int) -> None:
    truth, predicted = np.array(pairs).T
    classes, counts = confusion(truth, predicted, limit)
    assert counts.sum() == len(pairs)
    assert (classes[-1] == OTHER) == (len(np.union1d(truth, predicted)) > limit)
    support = [int((truth == label).sum()) for label in classes if label != OTHER]
    assert support == sorted(support, reverse=True)
    assert counts.sum(axis=1)[: len(support)].tolist() == support
    assert sum(rows for *_, rows in confused_pairs(truth, predicted, 100)) == (truth != predicted).sum()


def test_the_confusion_of_known_pairs() -> None:
    truth, predicted = np.array([0, 0, 0, 1, 2, 3]), np.array([0, 1, 1, 1, 3, 2])
    classes, counts = confusion(truth, predicted, 2)
    assert classes.tolist() == [0, 1, OTHER]
    assert counts.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 2]]
    assert confused_pairs(truth, predicted, 2) == [(0, 1, 2), (2, 3, 1)]


def test_wilson_agrees_with_scipy() -> None:
    from scipy.stats import binomtest

    for hits, rows in ((0, 5), (3, 10), (950, 1000), (7, 7)):
        theirs = binomtest(hits, rows).proportion_ci(0.95, "wilson")
        assert wilson(hits, rows) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


def test_bootstrap_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        first, second = rng.random((2, 400)) < [[0.7], [0.6]]
        difference = accuracy_difference(first, second, seed=trial)
        held += difference.low <= 0.1 <= difference.high
    assert 0.91 <= held / 200 <= 0.985


def test_the_macro_f1_difference_is_that_of_scikit_learn_and_ignores_the_order_of_rows() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 6, 300)
    first, second = (np.where(rng.random(300) < share, truth, rng.integers(0, 8, 300)) for share in (0.8, 0.5))
    found = macro_f1_difference(truth, first, second, seed=3)
    scores = [reference.f1_score(truth, guess, average="macro", zero_division=0) for guess in (first, second)]
    assert found.value == pytest.approx(scores[0] - scores[1])
    assert found.low < found.value < found.high
    order = rng.permutation(300)
    assert macro_f1_difference(truth[order], first[order], second[order], seed=3) == found
    same = macro_f1_difference(truth, first, first, seed=3)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_macro_f1_bootstrap_is_that_of_resampled_rows() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 4, 120)
    first, second = (np.where(rng.random(120) < share, truth, rng.integers(0, 4, 120)) for share in (0.8, 0.6))
    found = macro_f1_difference(truth, first, second, seed=0, resamples=4000)
    plain = []
    for _ in range(1000):
        rows = rng.integers(0, 120, 120)
        scores = [per_label(truth[rows], guess[rows]).f1.mean() for guess in (first, second)]
        plain.append(scores[0] - scores[1])
    assert np.quantile(plain, [0.025, 0.975]) == pytest.approx([found.low, found.high], abs=0.012)
