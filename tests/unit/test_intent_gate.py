"""Does the gate hold what is worse beyond chance, and let pass what is not?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.errors import FrontdeskError, UnreadableFile
from frontdesk.evaluation.slices import SLICE_COLUMN
from frontdesk.intent.evaluation import baselines, evaluate, write_predictions
from frontdesk.intent.gate import gate
from frontdesk.intent.metrics import Requests
from tests.intent_data import Split, simulated

Model = tuple[dict[str, Any], Path]


def model(
    folder: Path, name: str, places: np.ndarray, *, diversity: float = 0.8, coverage: float = 1.0, line: Any = "cards"
) -> Model:
    """Write a model's answers: 10 requests per session, places [N] of the truth."""
    rows = len(places)
    lines = np.broadcast_to(np.array(line, object), rows)
    path = folder / f"{name}.parquet"
    pq.write_table(
        pa.table(
            {
                "row": np.arange(rows),
                "session": np.arange(rows) // 10,
                "truth": np.zeros(rows, np.int32),
                "rank": places,
                "diversity": np.full(rows, diversity) + np.arange(rows) % 7 / 1000,
                f"{SLICE_COLUMN}line": pa.array(lines.tolist(), pa.string()),
            }
        ),
        path,
    )
    hit = float(((places > 0) & (places <= 6)).mean())
    test = {"hr@6": hit, "coverage@10": coverage, "churn@6": 0.5}
    return {"model_id": name, "test": test, "baselines": {"toppop": {"hr@6": 0.5}}}, path


def places(seed: int, rate: float, rows: int = 4_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(rows) < rate, rng.integers(1, 7, rows), 0)


def better(of: np.ndarray, share: float) -> np.ndarray:
    """Return places with a share of the misses turned into hits."""
    missed = np.flatnonzero(of == 0)
    result = of.copy()
    result[missed[: int(share * len(missed))]] = 1
    return result


@pytest.fixture
def champion(tmp_path: Path) -> Model:
    return model(tmp_path, "champion", places(0, 0.7))


def decide(candidate: Model, champion: Model) -> tuple[str, str]:
    verdict = gate(candidate[0], candidate[1], champion[0], champion[1])
    return verdict.decision, verdict.reasons[0]


def test_a_better_model_is_promoted(tmp_path: Path, champion: Model) -> None:
    decision, _ = decide(model(tmp_path, "new", better(places(0, 0.7), 0.2)), champion)
    assert decision == "promote"


def test_chance_holds_nobody(tmp_path: Path) -> None:
    held = 0
    for seed in range(20):
        first = model(tmp_path, "a", places(seed, 0.7))
        held += decide(model(tmp_path, "b", places(1_000 + seed, 0.7)), first)[0] == "hold"
    assert held <= 3


def test_a_lower_hit_rate_is_held(tmp_path: Path, champion: Model) -> None:
    worse = places(0, 0.7)
    worse[::12] = 0
    decision, reason = decide(model(tmp_path, "new", worse), champion)
    assert (decision, reason[:4]) == ("hold", "HR@1")


@pytest.mark.parametrize(("change", "word"), [({"coverage": 0.9}, "Coverage@10"), ({"diversity": 0.7}, "ILD@10")])
def test_a_gain_in_hit_rate_does_not_pay_for_coverage_or_diversity(
    tmp_path: Path, champion: Model, change: dict[str, float], word: str
) -> None:
    decision, reason = decide(model(tmp_path, "new", better(places(0, 0.7), 0.3), **change), champion)
    assert (decision, reason.split(" ")[0]) == ("hold", word)


def test_a_gain_in_hit_rate_does_not_pay_for_an_important_slice(tmp_path: Path) -> None:
    lines = np.array(["cards"] * 3_500 + ["loans"] * 500, object)
    before = places(0, 0.7)
    after = better(before, 0.5)
    after[3_500:3_600] = 0
    first, second = model(tmp_path, "old", before, line=lines), model(tmp_path, "new", after, line=lines)
    verdict = gate(second[0], second[1], first[0], first[1])
    assert second[0]["test"]["hr@6"] > first[0]["test"]["hr@6"]
    assert verdict.decision == "hold"
    assert verdict.reasons[0].startswith("line = loans: HR@6 -")
    assert len([row for row in verdict.details["slices"] if row["worse"]]) == 1


def test_requests_of_one_session_are_not_independent(tmp_path: Path) -> None:
    """Forty misses in four sessions say less than forty misses in forty."""
    base = np.ones(2_000, np.int64)
    together, apart = base.copy(), base.copy()
    together[:40] = 0
    apart[: 40 * 10 : 10] = 0
    champion = model(tmp_path, "old", base)
    assert decide(model(tmp_path, "a", together), champion)[0] == "promote"
    assert decide(model(tmp_path, "b", apart), champion)[0] == "hold"


def test_without_a_champion_toppop_is_the_bar(tmp_path: Path) -> None:
    for rate, decision in ((0.7, "promote"), (0.3, "hold")):
        made = model(tmp_path, "new", places(0, rate))
        assert gate(*made).decision == decision


def test_other_requests_and_unreadable_files_are_errors(tmp_path: Path, champion: Model) -> None:
    with pytest.raises(FrontdeskError, match="same requests"):
        decide(model(tmp_path, "new", places(0, 0.7, 3_000)), champion)
    (tmp_path / "broken.parquet").write_bytes(b"no")
    with pytest.raises(UnreadableFile, match=r"broken\.parquet"):
        decide(({"model_id": "new"}, tmp_path / "broken.parquet"), champion)


@pytest.fixture(scope="module")
def data() -> Split:
    return simulated()


def test_real_predictions_pass_through_the_gate(tmp_path: Path, data: Split) -> None:
    lists = baselines(data.train, data.test, Requests.of(data.test), data.tokenizer)
    reports = {}
    for name in ("markov-intents", "toppop"):
        report = evaluate(lists, name, data.train, data.test, data.tokenizer)
        report["baselines"]["toppop"] = report["baselines"].get("toppop", report["test"])
        reports[name] = report | {"model_id": name}
        write_predictions(tmp_path / name, lists[name], data.train, data.test, data.tokenizer)
    files = {name: tmp_path / name for name in reports}
    down = gate(reports["toppop"], files["toppop"], reports["markov-intents"], files["markov-intents"])
    assert down.decision == "hold"
    assert any("HR@6" in reason for reason in down.reasons)
    same = gate(reports["toppop"], files["toppop"], reports["toppop"], files["toppop"])
    assert same.decision == "promote"
    assert same.reasons[0].startswith("Unchanged")
