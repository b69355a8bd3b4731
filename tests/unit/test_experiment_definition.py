"""Is an experiment what its file says, and does every unit stay where its hash puts it?"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.errors import UnreadableFile, UsageError
from frontdesk.experiments.assignment import arm_of, model_of, position
from frontdesk.experiments.definition import Definition, from_content, load_definition

CONTENT: dict[str, Any] = {
    "name": "ticket-v2",
    "recipe": "ticket",
    "control": {"name": "v1", "model": "ticket-1a2b3c4d"},
    "treatment": {"name": "v2"},
    "phases": {
        "aa": {"from": "2026-12-01", "until": "2026-12-08"},
        "ab": {"from": "2026-12-08", "until": "2027-01-07"},
    },
    "primary": {"metric": "handle_time", "minimum_effect": 0.066},
    "guardrails": [{"metric": "satisfaction", "bound": 0.02}],
}


def declared(**changes: Any) -> Definition:
    """Return a definition with some keys of its own."""
    return from_content({**CONTENT, **changes}, "test")


def test_a_file_says_what_an_experiment_is(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    found = load_definition(path)
    assert found == declared()
    assert found.begin == date(2026, 12, 1)
    assert found.phases.ab.days == 30
    assert from_content(found.content(), "again") == found
    assert from_content(found.content(), "again").digest == found.digest
    assert (found.sign("handle_time"), found.sign("accuracy")) == (-1, 1)


def test_the_digest_holds_everything() -> None:
    changes: list[dict[str, Any]] = [
        {"salt": "other"}, {"alpha": 0.01}, {"share": 0.4}, {"guardrails": []}, {"looks": "weekly"},
        {"treatment": {"name": "v2", "model": "x"}}, {"primary": {"metric": "handle_time", "minimum_effect": 0.05}},
    ]  # fmt: skip
    assert len({declared(**change).digest for change in [{}, *changes]}) == len(changes) + 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sald": "x"}, "sald: unknown key"),
        ({"name": "a b"}, "name: "),
        ({"unit": "operator"}, "operators are known of intents only"),
        ({"recipe": "intent", "unit": "customer"}, "by case"),
        ({"share": 1.0}, "share: "),
        ({"alpha": 0}, "alpha: "),
        ({"treatment": {"name": "v1"}}, "two names"),
        ({"primary": {"metric": "calls", "minimum_effect": 0.1}}, "say better"),
        ({"primary": {"metric": "satisfaction", "minimum_effect": 0.1}}, "named twice"),
        ({"phases": {"ab": {"from": "2026-12-08", "until": "2026-12-08"}}}, "until must be"),
        ({"phases": {"ab": {"from": "soon", "until": "2026-12-08"}}}, "phases.ab.from"),
        (
            {"phases": CONTENT["phases"] | {"aa": {"from": "2026-12-01", "until": "2026-12-09"}}},
            "aa must end before ab begins",
        ),
    ],
)
def test_a_wrong_definition_is_refused_with_its_key(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        declared(**changes)


@pytest.mark.parametrize("text", ["- a\n- b", "name: [", "\x00", "42"])
def test_what_is_no_definition_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises((UsageError, UnreadableFile)):
        load_definition(tmp_path / "x.yaml")


def test_vectors_of_the_hash() -> None:
    """These never change: running experiments depend on them."""
    assert position("ticket-v2", "case-1") == pytest.approx(VECTORS["case-1"], abs=1e-15)
    assert position("ticket-v2", "Ärger 7") == pytest.approx(VECTORS["Ärger 7"], abs=1e-15)
    assert position("other", "case-1") == pytest.approx(VECTORS["other"], abs=1e-15)


VECTORS = {"case-1": 0.06265197040829673, "Ärger 7": 0.6812201604552027, "other": 0.9676273096038776}


def test_another_process_assigns_alike() -> None:
    code = "from frontdesk.experiments.assignment import position; print([position('s', str(i)) for i in range(50)])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str([position("s", str(number)) for number in range(50)])


@given(salt=st.text(max_size=30), unit=st.text(max_size=60), share=st.floats(0.01, 0.99))
def test_a_unit_stays_in_its_arm(salt: str, unit: str, share: float) -> None:
    definition = declared(salt=salt, share=share)
    arm = arm_of(definition, unit)
    assert arm == arm_of(from_content(definition.content(), "again"), unit)
    assert 0 <= position(salt, unit) < 1
    larger = declared(salt=salt, share=min(0.99, share + 0.1))
    if arm is definition.treatment:  # a larger share takes nobody's treatment away
        assert arm_of(larger, unit) is larger.treatment


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_shares_are_as_declared_and_experiments_independent(share: float) -> None:
    first, second = declared(salt="a", share=share), declared(salt="b", share=0.5)
    count = 20_000
    together = Counter(
        (arm_of(first, f"case {unit}").name, arm_of(second, f"case {unit}").name) for unit in range(count)
    )
    for names, expected in {
        ("v2", "v2"): share / 2, ("v2", "v1"): share / 2, ("v1", "v2"): (1 - share) / 2, ("v1", "v1"): (1 - share) / 2,
    }.items():  # fmt: skip
        assert abs(together[names] / count - expected) < 5 * (expected * (1 - expected) / count) ** 0.5


def test_in_the_control_phase_both_arms_have_one_model() -> None:
    definition = declared()
    treated = next(str(unit) for unit in range(99) if arm_of(definition, str(unit)).name == "v2")
    assert model_of(definition, treated, date(2026, 11, 30)) is None
    assert model_of(definition, treated, date(2026, 12, 7)) == ("v2", "ticket-1a2b3c4d")
    assert model_of(definition, treated, date(2026, 12, 8)) == ("v2", None)
    assert model_of(definition, treated, date(2027, 1, 6)) == ("v2", None)
    assert model_of(definition, treated, date(2027, 1, 7)) is None
