"""Does a trained model answer in the labels of another version, and only in those?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.decisions import HeadPolicy, decide
from frontdesk.errors import UsageError
from frontdesk.taxonomy import (
    History,
    LabelTree,
    Projection,
    Taxonomy,
    TaxonomyView,
    hold_back,
    parse_taxonomy,
)
from tests.label_files import label_files

MODEL = ("A", "B", "C", "D")


def _history(*changes: dict[str, Any]) -> History:
    dated = [{"date": "2024-02-01", "head": "h"} | change for change in changes]
    return parse_taxonomy({"start": "2024-01-01", "heads": {"h": {"labels": list(MODEL)}}, "changes": dated})


def _apply(history: History, *row: float, **columns: Any) -> tuple[dict[str, float], float]:
    projection = Projection(history, "h", MODEL, "2024-01-01")
    made = projection.apply(np.array([row], np.float32), columns)
    assert made.probabilities.dtype == np.float32
    named = zip(projection.tree.labels, made.probabilities[0].tolist(), strict=True)
    return {label: pytest.approx(value) for label, value in named}, float(made.lost[0])


def test_merged_labels_are_summed_and_a_renamed_one_has_its_new_name() -> None:
    history = _history({"merge": {"labels": ["A", "B"], "into": {"id": "M", "name": "Both"}}},
                       {"rename": {"label": "C", "name": "Z"}})  # fmt: skip
    assert _apply(history, 0.1, 0.2, 0.3, 0.4) == ({"Both": 0.3, "D": 0.4, "Z": 0.3}, 0)


def test_what_was_retired_is_lost_and_the_rest_is_scaled() -> None:
    shares, lost = _apply(_history({"retire": {"label": "A"}}), 0.6, 0.1, 0.1, 0.2)
    assert shares == {"B": 0.25, "C": 0.25, "D": 0.5}
    assert lost == pytest.approx(0.6)
    assert _apply(_history({"retire": {"label": "A"}}), 1, 0, 0, 0) == ({"B": 1 / 3, "C": 1 / 3, "D": 1 / 3}, 1)


def test_a_split_goes_by_its_rules_and_else_leaves_the_choice_open() -> None:
    split = {"label": "A", "into": [{"id": "A1", "name": "A1"}, "B"], "rules": [{"when": {"bank": "X"}, "to": "B"}]}
    history = _history({"split": split})
    assert _apply(history, 0.6, 0.1, 0.1, 0.2, bank=["X"]) == ({"A1": 0, "B": 0.7, "C": 0.1, "D": 0.2}, 0)
    for columns in ({"bank": ["Y"]}, {"bank": [None]}, {}):
        assert _apply(history, 0.6, 0.1, 0.1, 0.2, **columns)[0] == {"A1": 0.3, "B": 0.4, "C": 0.1, "D": 0.2}


def test_an_added_label_has_nothing_and_an_unknown_one_never_comes_out() -> None:
    projection = Projection(_history({"add": "E"}), "h", ("A", "stranger"), "2024-01-01")
    assert projection.kept.tolist() == [True, False]
    made = projection.apply(np.array([[0.25, 0.75]], np.float32))
    assert dict(zip(projection.tree.labels, made.probabilities[0], strict=True)) == {
        "A": 1, "B": 0, "C": 0, "D": 0, "E": 0,
    }  # fmt: skip
    assert made.lost[0] == 0.75


def test_the_same_labels_are_the_same_bits() -> None:
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    assert Projection(_history(), "h", MODEL, None).apply(probabilities).probabilities is probabilities


def test_a_version_without_labels_cannot_be_served() -> None:
    history = _history(*({"retire": {"label": label}} for label in MODEL))
    with pytest.raises(UsageError, match="h has no label in version 2024-02-01"):
        Projection(history, "h", MODEL, "2024-01-01")


@given(label_files(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_distribution_over_the_versions_labels_comes_out(content: dict[str, Any], data: st.DataObject) -> None:
    history = parse_taxonomy(content)
    trained, to = (data.draw(st.sampled_from(history.versions())) for _ in range(2))
    labels = trained.labels("h")
    weights = data.draw(st.lists(st.integers(0, 5), min_size=3 * len(labels), max_size=3 * len(labels)))
    weights = np.array(weights, np.float64).reshape(3, -1) + 1e-9
    probabilities = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    projection = Projection(history, "h", labels, trained, to)
    assert set(projection.tree.labels) == set(to.labels("h"))
    made = projection.apply(probabilities, {"bank": ["A", "B", None]})
    assert np.allclose(made.probabilities.sum(1), 1, atol=1e-5)
    assert made.probabilities.min() >= 0
    assert ((made.lost >= 0) & (made.lost <= 1)).all()
    gone = probabilities[:, ~projection.kept].sum(1)
    assert (made.lost >= gone - 1e-5).all()
    if trained == to:
        assert (made.probabilities == probabilities).all()
    for answer in decide(made.probabilities, [True] * 3, projection.tree, HeadPolicy(auto=0.0)):
        assert {answer.label, *(other.label for other in answer.alternatives)} <= set(to.labels("h"))


def test_a_view_of_a_model_with_several_heads() -> None:
    history = _history({"merge": {"labels": ["A", "B"], "into": "B"}})
    model = Taxonomy({"h": LabelTree(MODEL, " > "), "reply": LabelTree(("yes", "no"))})
    view = TaxonomyView(history, model, "2024-01-01")
    assert view.version == "2024-02-01"
    assert view.taxonomy == Taxonomy({"h": LabelTree(("B", "C", "D"), " > "), "reply": LabelTree(("yes", "no"))})
    reply = np.array([[0.7, 0.3]], np.float32)
    made = view.apply({"h": np.array([[0.5, 0.25, 0.25, 0]], np.float32), "reply": reply})
    assert made["h"].probabilities.tolist() == [[0.75, 0.25, 0]]
    assert made["reply"].probabilities is reply
    assert made["reply"].lost.tolist() == [0]


def test_decisions_are_held_back() -> None:
    tree = LabelTree(("A", "B"))
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]], np.float32)
    answers = decide(probabilities, [True] * 5, tree, HeadPolicy(auto=0.8))
    lost = np.array([0, 0.2, 0.6, 0, 0])
    held = hold_back(answers, lost, auto=0.8, new_labels={"B"})
    assert [(answer.decision, answer.reason) for answer in held] == [
        ("auto", "confident"),
        ("suggest", "retired"),
        ("abstain", "retired"),
        ("suggest", "prototype"),
        ("suggest", "ambiguous"),
    ]
    assert [answer.label for answer in held] == [answer.label for answer in answers]
    assert answers[2].decision == "auto", "the answers given are left as they are"
