"""Is a new label suggested where a text is like its examples, without ever crowding out the model?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frontdesk.decisions import HeadPolicy, decide
from frontdesk.taxonomy import LabelTree, Prototypes, hold_back, introduce
from frontdesk.taxonomy.prototypes import MOST

LABELS = ("a", "b", "c", "new")
CENTRES = np.eye(4, 16) * 4 + 10  # what all texts share is large
WIDTH = 16


def _texts(rows: int, label: int, seed: int) -> np.ndarray:
    return CENTRES[label] + np.random.default_rng(seed).normal(size=(rows, WIDTH))


def _known() -> Prototypes:
    vectors = np.concatenate([_texts(60, label, label) for label in range(3)])
    return Prototypes.fit(vectors, ["a"] * 60 + ["b"] * 60 + ["c"] * 60)


def _prototypes(examples: int = 2) -> Prototypes:
    return _known().extended(_texts(examples, 3, 3), ["new"] * examples)


def test_the_nearest_mean_is_found_beside_a_large_common_part() -> None:
    prototypes = _prototypes()
    assert prototypes.labels == LABELS
    for label in range(4):
        scores = prototypes.scores(_texts(50, label, 9 + label))
        assert scores.shape == (50, 4)
        assert (scores.argmax(1) == label).mean() >= 0.9
    assert prototypes.scores(CENTRES).dtype == np.float32


def test_the_temperature_says_how_far_labels_lie_apart() -> None:
    near = Prototypes.fit(
        np.concatenate([_texts(60, 0, 0), _texts(60, 0, 1)]), ["a"] * 60 + ["b"] * 60
    )  # one cloud, two names
    assert near.temperature > 5 * _prototypes().temperature
    assert near.probabilities(_texts(40, 0, 5)).max() < 0.8
    assert Prototypes.fit(np.eye(2), ["a", "b"]).temperature == 1


def test_a_new_label_is_suggested_and_known_ones_stay() -> None:
    prototypes = _prototypes()
    model = np.tile([0.9, 0.05, 0.05, 0.0], (40, 1))
    new, old = _texts(40, 3, 20), _texts(40, 0, 21)
    found = introduce(model, LABELS, prototypes, new)
    assert (np.argsort(-found)[:, :2] == 3).any(1).mean() >= 0.9, "among the first two"
    kept = introduce(model, LABELS, prototypes, old)
    assert (kept.argmax(1) == 0).all()
    assert kept[:, 3].mean() < 0.2
    assert np.allclose(found.sum(1), 1)


def test_the_rule_as_it_is_stated() -> None:
    prototypes, vectors = _prototypes(), np.concatenate([_texts(5, 3, 1), _texts(5, 1, 1)])
    model = np.random.default_rng(0).dirichlet(np.ones(4), 10)
    likely = prototypes.probabilities(vectors)[:, 3]
    taken = np.minimum(likely, MOST)
    expected = model * (1 - taken[:, None])
    expected[:, 3] += taken
    assert introduce(model, LABELS, prototypes, vectors) == pytest.approx(expected, abs=1e-6)


def test_without_new_labels_nothing_changes() -> None:
    model = np.random.default_rng(0).dirichlet(np.ones(4), 10).astype(np.float32)
    assert (introduce(model, LABELS, _known(), _texts(10, 0, 0)) == model).all()


def test_they_come_back_from_arrays() -> None:
    known, vectors = _known(), _texts(9, 1, 4)
    again = Prototypes.of(known.labels, known.arrays())
    assert (again.scores(vectors) == known.scores(vectors)).all()
    assert again.temperature == pytest.approx(known.temperature, rel=1e-6)


@given(
    arrays(np.float64, (6, 3), elements=st.floats(-5, 5)),
    arrays(np.float64, (4, 3), elements=st.floats(-5, 5)),
    st.lists(st.sampled_from("abn"), min_size=6, max_size=6),
    arrays(np.float64, (4, 3), elements=st.floats(0.001, 1)),
)
@settings(max_examples=80, deadline=None)
def test_a_distribution_comes_out_of_any_vectors(
    known: np.ndarray, asked: np.ndarray, labels: list[str], weights: np.ndarray
) -> None:
    model = weights / weights.sum(1, keepdims=True)
    made = introduce(model, ("a", "b", "n"), Prototypes.fit(known[:5], labels[:5]).extended(known[5:], ["n"]), asked)
    assert np.isfinite(made).all()
    assert made.min() >= 0
    assert np.allclose(made.sum(1), 1, atol=1e-5)
    assert (made[:, 2] <= MOST + model[:, 2] + 1e-6).all()


def test_a_new_label_is_never_automatic() -> None:
    found = introduce(np.full((20, 4), 0.25), LABELS, _prototypes(), _texts(20, 3, 20))
    answers = decide(found, [True] * 20, LabelTree(LABELS), HeadPolicy(auto=0.3))
    automatic = [place for place, answer in enumerate(answers) if (answer.label, answer.decision) == ("new", "auto")]
    assert automatic, "else nothing is shown"
    held = hold_back(answers, np.zeros(20), auto=0.3, new_labels={"new"})
    assert {(held[place].decision, held[place].reason) for place in automatic} == {("suggest", "prototype")}
    assert not any((answer.label, answer.decision) == ("new", "auto") for answer in held)
