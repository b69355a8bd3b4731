"""Levels of automation, the policy file, the coverage simulation, out-of-scope and routing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.coverage import policy_content, simulate, simulate_head
from frontdesk.decisions import LEVELS, HeadPolicy, LabelRule, Policy, decide
from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.policy_file import load_policy, served_policy
from frontdesk.records import LabelPrediction
from frontdesk.routing import Agent, Roster, load_roster, route
from frontdesk.scope import learn_scope
from frontdesk.taxonomy import LabelTree, Taxonomy

TREE = LabelTree(("A > a", "A > b", "B > c"), " > ")
OWN = HeadPolicy(auto=0.9, preselect=0.6, suggest=0.3, coverage=[{"precision": 0.99, "threshold": 0.95, "share": 0.1}])


def level(policy: HeadPolicy, first: float, *, has_text: bool = True) -> tuple[str, str, str]:
    """Return decision, level and reason of an answer whose best label has a probability."""
    rest = 1 - first
    values = np.array([[first, rest * 0.7, rest * 0.3]], np.float32)
    (said,) = decide(values, [has_text], TREE, policy)
    return said.decision, said.level, said.reason


def test_each_level_has_its_threshold() -> None:
    assert level(OWN, 0.95) == ("auto", "automatic", "confident")
    assert level(OWN, 0.7) == ("suggest", "preselect", "likely")
    assert level(OWN, 0.55) == ("suggest", "suggest", "likely")
    assert level(replace(OWN, preselect=None), 0.7) == ("suggest", "suggest", "likely")
    assert level(OWN, 0.95, has_text=False) == ("suggest", "suggest", "no_text")
    assert level(replace(OWN, needs_text=True), 0.95, has_text=False) == ("abstain", "none", "no_text")
    assert level(replace(OWN, suggest=1.1), 0.7) == ("abstain", "none", "uncertain")


def test_a_head_or_a_label_can_be_held_back() -> None:
    assert level(replace(OWN, at_most="preselect"), 0.95) == ("suggest", "preselect", "held")
    assert level(replace(OWN, at_most="none"), 0.95) == ("abstain", "none", "held")
    ruled = replace(OWN, labels={"A > a": LabelRule(at_most="suggest")})
    assert level(ruled, 0.95) == ("suggest", "suggest", "held")
    assert level(replace(OWN, labels={"A > b": LabelRule(at_most="suggest")}), 0.95)[1] == "automatic"
    easier = replace(OWN, labels={"A > a": LabelRule(automatic=0.65)})
    assert level(easier, 0.7) == ("auto", "automatic", "confident")


@given(first=st.floats(0.34, 1), most=st.sampled_from(LEVELS), auto=st.floats(0, 1), share=st.floats(0, 1))
def test_no_answer_is_above_its_ceiling_and_decision_and_level_agree(
    first: float, most: str, auto: float, share: float
) -> None:
    policy = HeadPolicy(auto=auto, preselect=auto * share, suggest=0.2, at_most=most)
    decision, reached, _ = level(policy, first)
    assert LEVELS.index(reached) <= LEVELS.index(most)
    assert decision == {"automatic": "auto", "none": "abstain"}.get(reached, "suggest")


def test_a_policy_travels_as_plain_values() -> None:
    policy = Policy({"reply": replace(OWN, labels={"r": LabelRule(automatic=0.5, at_most="preselect")})})
    assert Policy.from_json(policy.to_json()) == policy
    old = policy.to_json()
    for name in ("preselect", "at_most", "labels"):
        del old["heads"]["reply"][name]
    assert Policy.from_json(old).heads["reply"] == replace(OWN, preselect=None)


TAXONOMY = Taxonomy({"contact_type": TREE, "reply": LabelTree(("hours", "refund"), None)})
POLICY = Policy({"contact_type": OWN, "reply": OWN})
FILE = """
version: "2026-11-22"
recipes:
  ticket:
    heads:
      contact_type: {automatic: 0.8, labels: {"A > a": {at_most: suggest}}}
    information_only: {replies: [hours], confidence: 0.97}
"""


def said(label: str, confidence: float, reached: str = "automatic") -> LabelPrediction:
    """Return an answer."""
    return LabelPrediction(
        label=label, confidence=confidence, alternatives=[], decision="auto", reason="", level=reached
    )


def test_a_policy_file_overrides_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FILE)
    served = served_policy(load_policy(path), "ticket", POLICY, TAXONOMY)
    assert served is not None
    head = served.policy.heads["contact_type"]
    assert (head.auto, head.preselect, head.suggest) == (0.8, 0.6, 0.3)
    assert head.labels == {"A > a": LabelRule(at_most="suggest")}
    assert served.policy.heads["reply"] == OWN
    assert served_policy(load_policy(path), "email", POLICY, TAXONOMY) is None


def test_only_information_is_sent_without_a_person_and_only_when_all_is_sure(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FILE)
    served = served_policy(load_policy(path), "ticket", POLICY, TAXONOMY)
    assert served is not None
    sure = {"contact_type": said("A > b", 0.9), "reply": said("hours", 0.98)}
    assert served.automatic_reply(sure) == "hours"
    assert served.automatic_reply(sure | {"reply": said("refund", 0.99)}) is None
    assert served.automatic_reply(sure | {"reply": said("hours", 0.96)}) is None
    assert served.automatic_reply(sure | {"contact_type": said("A > b", 0.9, "preselect")}) is None
    unproven = {"contact_type": OWN, "reply": replace(OWN, coverage=[])}
    never = served_policy(load_policy(path), "ticket", Policy(unproven), TAXONOMY)
    assert never is not None
    assert never.automatic_reply(sure) is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("automatic: 0.8", "automatic: 1.8", "automatic"),
        ("automatic: 0.8", "automatic: 0.5, preselect: 0.6", "preselect must not"),
        ("automatic: 0.8", "automat: 0.8", "unknown key"),
        ("contact_type:", "topic:", "topic"),
        ('"A > a"', '"A > x"', "A > x"),
        ("[hours]", "[hours, gone]", "gone"),
        ("suggest}", "sometimes}", "at_most"),
        ("recipes:", "recipes: [", "YAML"),
    ],
)
def test_a_wrong_policy_file_is_refused_by_name(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(FrontdeskError, match=words):
        served_policy(load_policy(path), "ticket", POLICY, TAXONOMY)


def test_the_simulation_keeps_its_word_on_new_rows() -> None:
    draw = np.random.default_rng(5)
    confidence = draw.random(8_000)
    correct = draw.random(8_000) < confidence
    fresh = draw.random(100_000)
    hits = draw.random(100_000) < fresh
    for precision in (0.8, 0.9, 0.95):
        found = simulate(confidence, correct, precision)
        assert found.threshold is not None
        taken = fresh >= found.threshold
        assert found.share_interval[0] <= taken.mean() <= found.share_interval[1] + 0.02
        assert found.reached is not None
        assert found.reached_interval[0] - 0.01 <= hits[taken].mean() <= found.reached_interval[1] + 0.01
        assert hits[taken].mean() >= precision - 0.02


def test_what_cannot_be_reached_is_never_automatic() -> None:
    confidence = np.linspace(0.3, 0.9, 200)
    found = simulate_head(confidence, np.zeros(200, bool))
    assert found["levels"]["automatic"]["threshold"] is None
    assert found["levels"]["automatic"]["share"] == 0
    assert found["levels"]["automatic"]["reached"] is None
    empty = simulate_head(np.zeros(0), np.zeros(0, bool))
    assert empty["rows"] == 0
    assert empty["accuracy"] is None


def test_more_precision_automates_less() -> None:
    draw = np.random.default_rng(3)
    confidence = draw.random(4_000)
    curve = simulate_head(confidence, draw.random(4_000) < confidence)["curve"]
    thresholds = [one["threshold"] or 1.0 for one in curve]
    assert thresholds == sorted(thresholds)


def test_a_simulation_becomes_a_policy_file(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    confidence = draw.random(4_000)
    heads = {
        "contact_type": simulate_head(confidence, draw.random(4_000) < confidence),
        "reply": simulate_head(confidence, np.zeros(4_000, bool)),
    }
    scope = {"doubt": [0.0, 1.0], "unknown": [0.0, 1.0], "together": [0.0, 1.0]}
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(policy_content("v", "ticket", heads, scope)))
    served = served_policy(load_policy(path), "ticket", POLICY, TAXONOMY)
    assert served is not None
    assert served.policy.heads["contact_type"].auto == heads["contact_type"]["levels"]["automatic"]["threshold"]
    assert served.policy.heads["reply"].at_most == "suggest"


def test_rows_like_those_of_the_history_are_in_scope_but_for_the_share_allowed() -> None:
    draw = np.random.default_rng(1)
    usual = learn_scope(draw.beta(1, 6, 5_000), draw.beta(1, 9, 5_000))
    shares = usual.share(draw.beta(1, 6, 20_000), draw.beta(1, 9, 20_000))
    assert (shares < 0.01).mean() == pytest.approx(0.01, abs=0.006)
    assert (shares < 0.1).mean() == pytest.approx(0.1, abs=0.02)
    assert usual.share(np.array([0.99]), np.array([0.99]))[0] < 0.01
    assert shares.min() > 0
    assert shares.max() <= 1


ROSTER = Roster(
    version="1",
    agents={
        "anna": Agent(nodes=("Billing", "Hardware > Router"), capacity=3),
        "ben": Agent(nodes=("Hardware",), capacity=1),
        "eve": Agent(nodes=("Billing",), capacity=1),
    },
)


def test_a_case_goes_to_who_knows_its_type() -> None:
    found = route([("Hardware > Phone", 0.7), ("Billing > Refund", 0.2)], ROSTER, case="1")
    assert (found[0].agent, found[0].skill, found[0].node) == ("ben", 0.7, "Hardware")
    assert {entry.agent for entry in found[1:]} == {"anna", "eve"}
    router = route([("Hardware > Router > Red light", 0.8)], ROSTER, case="1")
    assert {entry.agent: entry.node for entry in router} == {"anna": "Hardware > Router", "ben": "Hardware"}
    assert route([("Hardwarehouse", 0.9), ("Travel", 0.1)], ROSTER, case="1") == []
    full = route([("Hardware > Phone", 0.7)], ROSTER, case="1", open_cases={"ben": 1})
    assert full == []


def test_equals_share_the_cases_by_capacity_and_a_case_stays() -> None:
    firsts = Counter(route([("Billing > Refund", 0.9)], ROSTER, case=str(case))[0].agent for case in range(4_000))
    assert firsts["anna"] / 4_000 == pytest.approx(0.75, abs=0.03)
    assert firsts["eve"] / 4_000 == pytest.approx(0.25, abs=0.03)
    again = [route([("Billing > Refund", 0.9)], ROSTER, case="7")[0].agent for _ in range(3)]
    assert len(set(again)) == 1


def test_a_roster_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "agents.yaml"
    path.write_text('version: "1"\nagents: {anna: {nodes: [Billing], capacity: 0}}')
    with pytest.raises(UsageError, match=r"agents\.anna\.capacity"):
        load_roster(path)
    path.write_text('version: "1"\nagents: {anna: {nodes: [Billing]}}')
    assert load_roster(path).agents["anna"].capacity == 1
