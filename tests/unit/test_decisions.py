"""Thresholds keep their promise on the rows they were learnt from; every answer carries a decision and a reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.decisions import (
    ALTERNATIVES,
    MIN_SUPPORT,
    HeadPolicy,
    Policy,
    coverage,
    decide,
    learn_policy,
    learn_threshold,
    learn_withholding,
    top_labels,
    wilson_lower,
)
from frontdesk.errors import BundleError
from frontdesk.taxonomy import LabelTree, Taxonomy

TREE = LabelTree(("A > x", "A > y", "B > x", "B > y", "C"), " > ")
POLICY = HeadPolicy(auto=0.8, suggest=0.5, backoff=0.9, gap=0.1)


def one(values, policy=POLICY, has_text=True):
    return decide(np.array([values], np.float32), [has_text], TREE, policy)[0]


def test_wilson_interval_of_a_known_case():
    # 45 of 50: 0.7864, e.g. in Brown, Cai and DasGupta (2001).
    assert wilson_lower(np.array([45.0]), np.array([50.0]))[0] == pytest.approx(0.7864, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.8, 0.9, 0.95]))
def test_a_threshold_keeps_its_precision_and_is_the_smallest(seed, precision):
    generator = np.random.default_rng(seed)
    confidence = np.round(generator.random(300), 2)  # many ties
    right = generator.random(300) < confidence**0.3
    threshold = learn_threshold(confidence, right, precision)
    if threshold is not None:
        taken = confidence >= threshold
        assert taken.sum() >= MIN_SUPPORT
        assert right[taken].mean() >= precision
    for lower in np.unique(confidence):
        taken = confidence >= lower
        if threshold is None or lower < threshold:
            n = taken.sum()
            enough = n >= MIN_SUPPORT and right[taken].mean() >= precision
            assert not enough or wilson_lower(right[taken].sum(), n) < precision - 0.05


def test_nothing_is_automatic_without_support():
    assert learn_threshold(np.full(29, 0.99), np.ones(29, bool), 0.95) is None
    assert learn_threshold(np.zeros(0), np.zeros(0, bool), 0.95) is None
    assert learn_threshold(np.full(200, 0.99), np.ones(200, bool), 0.95) == 0.99


def test_useless_suggestions_are_withheld():
    mass = np.repeat([0.1, 0.4, 0.9], 40)
    hit = np.repeat([False, True, True], 40)
    hit[40:60] = False  # of those at 0.4, half
    assert learn_withholding(mass, hit) == 0.9
    assert learn_withholding(mass, np.ones(120, bool)) == 0.0


def test_coverage_falls_with_the_precision_asked_for():
    confidence = np.linspace(0, 1, 2000)
    right = np.random.default_rng(0).random(2000) < confidence
    table = coverage(confidence, right)
    shares = [row["share"] for row in table]
    assert [row["precision"] for row in table] == [0.90, 0.95, 0.99]
    assert shares == sorted(shares, reverse=True)
    assert 0.1 < shares[0] < 0.4  # a calibrated model of this shape reaches 0.90 on the upper fifth


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 1000))
def test_top_labels_are_those_of_a_sort(width, count, seed):
    values = np.random.default_rng(seed).permutation(width * 3).reshape(3, width).astype(np.float32)
    indices, best = top_labels(values, count)
    assert (indices == np.argsort(-values, axis=1, kind="stable")[:, :count]).all()
    assert (best == np.sort(values, axis=1)[:, ::-1][:, :count]).all()


@pytest.mark.parametrize(
    ("values", "has_text", "decision", "reason"),
    [
        ([0.9, 0.05, 0.05, 0, 0], True, "auto", "confident"),
        ([0.7, 0.2, 0.1, 0, 0], True, "suggest", "likely"),
        ([0.45, 0.4, 0.15, 0, 0], True, "suggest", "ambiguous"),
        ([0.16, 0.16, 0.16, 0, 0], True, "abstain", "uncertain"),
        ([0.9, 0.05, 0.05, 0, 0], False, "suggest", "no_text"),
        ([0.16, 0.16, 0.16, 0, 0], False, "abstain", "no_text"),
    ],
)
def test_decisions_and_reasons(values, has_text, decision, reason):
    answer = one(values, has_text=has_text)
    assert (answer.decision, answer.reason) == (decision, reason)
    assert answer.label == "A > x"
    assert answer.confidence == pytest.approx(values[0])
    assert len(answer.alternatives) == ALTERNATIVES


def test_a_head_that_needs_text_abstains_without_it():
    policy = HeadPolicy(auto=0.8, needs_text=True)
    answer = one([0.9, 0.05, 0.05, 0, 0], policy, has_text=False)
    assert (answer.decision, answer.reason) == ("abstain", "no_text")
    assert one([0.9, 0.05, 0.05, 0, 0], policy).decision == "auto"


def test_a_head_without_a_threshold_is_never_automatic():
    assert one([1, 0, 0, 0, 0], HeadPolicy()).decision == "suggest"


def test_backoff_names_the_deepest_safe_ancestor():
    assert one([0.5, 0.45, 0.05, 0, 0]).backoff.model_dump() == {"label": "A", "confidence": pytest.approx(0.95)}
    assert one([0.5, 0.2, 0.3, 0, 0]).backoff is None
    assert one([0.9, 0.1, 0, 0, 0]).backoff is None  # automatic: the leaf itself is safe


def test_a_learnt_policy_survives_json_and_counts_unseen_labels_as_errors():
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 5, 400).astype(np.int32)
    probabilities = np.full((400, 5), 0.01, np.float32)
    probabilities[np.arange(400), labels] = 0.96
    taxonomy = Taxonomy({"contact_type": TREE, "reply": LabelTree(("x", "y"))})
    policy = learn_policy({"contact_type": (probabilities, labels)}, taxonomy)
    assert policy.heads["contact_type"].auto == pytest.approx(0.96)
    assert policy.heads["contact_type"].rows == 400
    assert policy.heads["reply"] == HeadPolicy()
    assert Policy.from_json(policy.to_json()) == policy

    unseen = labels.copy()
    unseen[:60] = -2
    assert learn_policy({"contact_type": (probabilities, unseen)}, taxonomy).heads["contact_type"].auto is None
    unseen[:60] = -1
    assert learn_policy({"contact_type": (probabilities, unseen)}, taxonomy).heads["contact_type"].rows == 340
    with pytest.raises(BundleError, match="format 7"):
        Policy.from_json({"format": 7})
