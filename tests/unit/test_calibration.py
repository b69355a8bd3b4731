"""Does the temperature minimise the likelihood, and does the error say how far confidence is from truth?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.evaluation.calibration import (
    automation,
    bins_by_mass,
    bins_by_width,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from frontdesk.evaluation.intervals import calibration_difference
from frontdesk.evaluation.outcomes import without_temperature
from frontdesk.preprocessing.spec import NO_LABEL, UNSEEN_LABEL


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _drawn(rows: int, seed: int = 0, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, and labels drawn from their softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=spread, size=(rows, 6))
    labels = (_softmax(logits).cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    return logits, labels


def _likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    return float(-np.log(_softmax(logits / temperature)[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_the_temperature_that_was_put_in_comes_out(true: float) -> None:
    logits, labels = _drawn(20_000)
    assert fit_temperature((logits * true).astype(np.float32), labels) == pytest.approx(true, rel=0.04)


def test_no_other_temperature_is_more_likely() -> None:
    logits, labels = _drawn(400, seed=3)
    best = fit_temperature(logits * 3, labels)
    grid = [_likelihood(logits * 3, labels, temperature) for temperature in np.geomspace(0.05, 20, 400)]
    assert _likelihood(logits * 3, labels, best) <= min(grid) + 1e-9


def test_rows_without_a_known_label_say_nothing() -> None:
    logits, labels = _drawn(500)
    more = np.concatenate([labels, np.full(50, NO_LABEL), np.full(50, UNSEEN_LABEL)])
    padded = np.concatenate([logits, np.full((100, 6), 9.0)])
    assert fit_temperature(padded, more) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)
    assert fit_temperature(logits[:3], np.full(3, NO_LABEL)) == 1.0


def test_the_temperature_stays_within_bounds() -> None:
    logits = np.eye(4)[np.arange(40) % 4] * 9
    assert fit_temperature(logits, np.arange(40) % 4) >= 0.05
    assert fit_temperature(logits, (np.arange(40) + 1) % 4) == pytest.approx(20, rel=1e-3)
    assert np.isfinite(fit_temperature(logits * 1e6, np.arange(40) % 4))


def test_without_temperature_undoes_the_scaling() -> None:
    logits, _ = _drawn(50)
    scaled = _softmax(logits / 2.5).astype(np.float32)
    np.testing.assert_allclose(without_temperature(scaled, 2.5), _softmax(logits), atol=1e-5)
    certain = np.array([[1, 0, 0]], np.float32)
    np.testing.assert_array_equal(without_temperature(certain, 3), certain)


def test_the_error_of_known_cases() -> None:
    assert expected_calibration_error(np.full(100, 0.8), np.arange(100) < 80) == pytest.approx(0)
    assert expected_calibration_error(np.full(100, 0.8), np.arange(100) < 50) == pytest.approx(0.3)
    assert expected_calibration_error(np.zeros(0), np.zeros(0, bool)) == 0
    logits, labels = _drawn(20_000)
    probabilities = _softmax(logits)
    error = expected_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    assert error < 0.015
    sharp = _softmax(logits * 3)
    assert expected_calibration_error(sharp.max(axis=1), sharp.argmax(axis=1) == labels) > 0.1


CONFIDENCES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=1, max_size=80)


@settings(deadline=None)
@given(CONFIDENCES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_and_ties_stay_together(values: list[float], random: object) -> None:
    confidence = np.array(values)
    correct = np.arange(len(values)) % 3 == 0
    bins = bins_by_mass(confidence)
    for value in set(values):
        assert len(set(bins[confidence == value].tolist())) == 1
    order = np.random.default_rng(random.randrange(1000)).permutation(len(values))  # type: ignore[attr-defined]
    assert expected_calibration_error(confidence[order], correct[order]) == pytest.approx(
        expected_calibration_error(confidence, correct)
    )
    curve = reliability(confidence, correct, bins_by_width(confidence))
    assert curve.rows.sum() == len(values)


@settings(deadline=None)
@given(CONFIDENCES, st.floats(0, 1), st.integers(0, 99))
def test_automation_keeps_its_promise_on_the_same_rows(values: list[float], target: float, seed: int) -> None:
    confidence = np.array(values)
    correct = np.random.default_rng(seed).random(len(values)) < confidence
    share, threshold = automation(confidence, correct).at(target)
    if threshold is None:
        assert share == 0
    else:
        answered = confidence >= threshold
        assert share == pytest.approx(answered.mean())
        assert correct[answered].mean() >= target - 1e-12


def test_automation_of_no_rows() -> None:
    assert automation(np.zeros(0), np.zeros(0, bool)).at(0.9) == (0.0, None)


def test_the_calibration_difference_sees_a_real_one_and_not_chance() -> None:
    logits, labels = _drawn(3000)
    first, second = _softmax(logits), _softmax(logits * 3)
    confidence = (second.max(axis=1), first.max(axis=1))
    correct = (second.argmax(axis=1) == labels, first.argmax(axis=1) == labels)
    found = calibration_difference(confidence, correct, seed=0)
    assert found.low > 0.05
    errors = [expected_calibration_error(*pair) for pair in zip(confidence, correct, strict=True)]
    assert found.value == pytest.approx(errors[0] - errors[1], abs=1e-6)
    same = calibration_difference((confidence[1],) * 2, (correct[1],) * 2, seed=0)
    assert same.value == pytest.approx(0)
    assert same.low <= 0 <= same.high
