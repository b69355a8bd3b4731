"""Does the gate hold what is worse, pass what is not, and say why?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.errors import FrontdeskError, UnreadableFile
from frontdesk.evaluation.gate import Verdict, gate, holm
from frontdesk.evaluation.slices import SLICE_COLUMN

HEADS = ("contact_type", "reply")
LABELS = np.array([f"Branch {index % 3} > Leaf {index}" for index in range(12)])


class Desk:
    """Test rows with known truths, and models that are right with a chosen chance."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rows = rows
        self.truth = {head: self.rng.integers(0, len(LABELS), rows) for head in HEADS}
        self.channel = self.rng.choice(["web", "phone", "mail"], rows)

    def answers(self, right: Mapping[str, Any], confidence: float = 0.0) -> pa.Table:
        """Return a table of predictions; ``right`` holds the chance per head, a number or one per row."""
        parts = []
        for head, chance in right.items():
            hit = self.rng.random(self.rows) < chance
            wrong = (self.truth[head] + self.rng.integers(1, len(LABELS), self.rows)) % len(LABELS)
            columns = {
                "row": pa.array(np.arange(self.rows)),
                "head": pa.array([head] * self.rows),
                "label": pa.array(LABELS[self.truth[head]]),
                "predicted": pa.array(LABELS[np.where(hit, self.truth[head], wrong)]),
                "confidence": pa.array(np.full(self.rows, confidence or np.mean(chance)), pa.float32()),
                SLICE_COLUMN + "channel": pa.array(self.channel),
            }
            parts.append(pa.table(columns))
        return pa.concat_tables(parts)


def _metrics(model_id: str, heads: tuple[str, ...] = HEADS) -> dict[str, Any]:
    return {"model_id": model_id, "test": {head: {} for head in heads}}


def _judge(folder: Path, candidate: pa.Table, champion: pa.Table) -> Verdict:
    pq.write_table(candidate, folder / "candidate.parquet")
    pq.write_table(champion, folder / "champion.parquet")
    heads = [tuple(sorted(set(table["head"].to_pylist()))) for table in (candidate, champion)]
    return gate(
        _metrics("new", heads[0]), folder / "candidate.parquet", _metrics("old", heads[1]), folder / "champion.parquet"
    )


def test_a_better_candidate_is_promoted_and_the_reasons_say_so(tmp_path: Path) -> None:
    desk = Desk(1500, 0)
    verdict = _judge(tmp_path, desk.answers(dict.fromkeys(HEADS, 0.8)), desk.answers(dict.fromkeys(HEADS, 0.7)))
    assert verdict.decision == "promote"
    assert any("better beyond chance" in reason for reason in verdict.reasons)
    assert verdict.details["heads"]["reply"]["accuracy"]["low"] > 0


def test_a_clearly_worse_head_holds_even_when_the_other_is_better(tmp_path: Path) -> None:
    desk = Desk(1500, 1)
    ours = desk.answers({"contact_type": 0.9, "reply": 0.6})
    verdict = _judge(tmp_path, ours, desk.answers(dict.fromkeys(HEADS, 0.7)))
    assert verdict.decision == "hold"
    assert verdict.reasons[0].startswith("reply: accuracy -")
    assert "worse beyond chance" in verdict.reasons[0]


def test_a_difference_within_the_margin_does_not_hold(tmp_path: Path) -> None:
    desk = Desk(20_000, 2)
    champion = desk.answers(dict.fromkeys(HEADS, 0.7))
    predicted = np.array(champion["predicted"].to_pylist())
    right = np.flatnonzero(predicted == np.array(champion["label"].to_pylist()))[:60]  # 0.3 points, all one way
    predicted[right] = "Branch 9 > Leaf 99"
    ours = champion.set_column(champion.column_names.index("predicted"), "predicted", pa.array(predicted))
    verdict = _judge(tmp_path, ours, champion)
    assert verdict.details["heads"]["contact_type"]["accuracy"]["high"] < 0
    assert not any("accuracy" in reason and "worse" in reason for reason in verdict.reasons)


def test_a_slice_holds_where_the_average_would_hide_it(tmp_path: Path) -> None:
    desk = Desk(2000, 3)
    phone = desk.channel == "phone"
    ours = desk.answers({"contact_type": np.where(phone, 0.55, 0.8), "reply": 0.75})
    verdict = _judge(tmp_path, ours, desk.answers({"contact_type": np.where(phone, 0.75, 0.7), "reply": 0.75}))
    assert verdict.decision == "hold"
    assert [reason for reason in verdict.reasons if "channel = phone" in reason]
    worse = [row for row in verdict.details["slices"] if row["worse"]]
    assert [(row["head"], row["value"]) for row in worse] == [("contact_type", "phone")]


def test_small_slices_do_not_vote(tmp_path: Path) -> None:
    desk = Desk(280, 4)
    verdict = _judge(tmp_path, desk.answers(dict.fromkeys(HEADS, 0.7)), desk.answers(dict.fromkeys(HEADS, 0.7)))
    sizes = {value: int((desk.channel == value).sum()) for value in ("web", "phone", "mail")}
    voted = {row["value"] for row in verdict.details["slices"]}
    assert voted == {value for value, rows in sizes.items() if rows >= 100}
    assert voted != set(sizes)


def test_confidence_that_means_less_holds(tmp_path: Path) -> None:
    desk = Desk(1500, 5)
    champion = desk.answers(dict.fromkeys(HEADS, 0.7))
    boasting = champion.set_column(4, "confidence", pa.array(np.full(len(champion), 0.95), pa.float32()))
    verdict = _judge(tmp_path, boasting, champion)
    assert verdict.decision == "hold"
    assert all("calibration error" in reason for reason in verdict.reasons[:2])


def test_chance_alone_is_not_held_in_95_of_100_cases(tmp_path: Path) -> None:
    held = 0
    for seed in range(60):
        desk = Desk(300, 100 + seed)
        ours, theirs = (desk.answers(dict.fromkeys(HEADS, 0.7)) for _ in range(2))
        held += _judge(tmp_path, ours, theirs).decision == "hold"
    assert held <= 3


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_nothing(tmp_path: Path, seed: int) -> None:
    desk = Desk(600, 200 + seed)
    ours, theirs = desk.answers(dict.fromkeys(HEADS, 0.66)), desk.answers(dict.fromkeys(HEADS, 0.7))
    before = _judge(tmp_path, ours, theirs)
    mixed = [table.take(pa.array(desk.rng.permutation(len(table)))) for table in (ours, theirs)]
    assert _judge(tmp_path, *mixed) == before


def test_the_same_model_is_unchanged(tmp_path: Path) -> None:
    verdict = gate(_metrics("same"), tmp_path / "none", _metrics("same"), tmp_path / "none")
    assert verdict.decision == "promote"
    assert verdict.reasons[0].startswith("Unchanged")


def test_a_lost_head_holds_and_a_new_one_does_not(tmp_path: Path) -> None:
    desk = Desk(300, 6)
    both, one = desk.answers(dict.fromkeys(HEADS, 0.7)), desk.answers({"contact_type": 0.7})
    lost = _judge(tmp_path, one, both)
    assert lost.decision == "hold"
    assert lost.reasons[0] == "The champion answers reply, the candidate does not."
    assert not any("does not" in reason for reason in _judge(tmp_path, both, one).reasons)


def test_other_rows_are_refused(tmp_path: Path) -> None:
    desk = Desk(200, 7)
    ours = desk.answers(dict.fromkeys(HEADS, 0.7))
    with pytest.raises(FrontdeskError, match="not answered the same rows"):
        _judge(tmp_path, ours, ours.slice(1))
    relabelled = ours.set_column(2, "label", pa.array([*ours["label"].to_pylist()[1:], "Branch 0 > Leaf 0"]))
    with pytest.raises(FrontdeskError, match="not answered the same rows"):
        _judge(tmp_path, ours, relabelled)


def test_predictions_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "candidate.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(UnreadableFile, match=r"candidate\.parquet"):
        gate(_metrics("a"), tmp_path / "candidate.parquet", _metrics("b"), tmp_path / "champion.parquet")


def test_without_a_champion_only_a_model_below_the_majority_is_held(tmp_path: Path) -> None:
    metrics = _metrics("first") | {
        "test": {head: {"accuracy": 0.4} for head in HEADS},
        "comparison": {"majority": {"contact_type": {"difference": -0.02, "low": -0.05, "high": 0.01}, "reply": None}},
    }
    passed = gate(metrics, tmp_path / "none")
    assert passed.decision == "promote"
    assert "no champion" in passed.reasons[0]
    metrics["comparison"]["majority"]["contact_type"]["high"] = -0.01
    held = gate(metrics, tmp_path / "none")
    assert held.decision == "hold"
    assert "worse than a constant answer" in held.reasons[0]


def test_heads_without_labels_are_told_and_not_compared(tmp_path: Path) -> None:
    table = Desk(150, 8).answers({"contact_type": 0.7})
    for name in ("candidate", "champion"):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    verdict = gate(_metrics("a"), tmp_path / "candidate.parquet", _metrics("b"), tmp_path / "champion.parquet")
    assert verdict.decision == "promote"
    assert any(reason.startswith("reply: no test row") for reason in verdict.reasons)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])
    assert len(holm(np.zeros(0))) == 0
