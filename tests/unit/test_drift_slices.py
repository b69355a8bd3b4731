"""Do parts that are compared by themselves show what the whole hides, and cost no more false alarms?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.errors import UsageError
from frontdesk.monitoring.comparison import compare_windows
from frontdesk.monitoring.slices import LEAST_ROWS, columns_named, compare_parts
from frontdesk.monitoring.verdict import Slice, Verdict
from frontdesk.monitoring.windows import Watched, Window, window_of
from frontdesk.recipes import simulation
from tests.unit.test_drift_command import drift, without_evidently  # noqa: F401

WATCHED = (
    Watched("language", "input", "categorical"),
    Watched("queue", "label", "categorical", given="language"),
    Watched("amount", "input", "numeric"),
)
LANGUAGES = ("de", "en", "fr", "pt")


def window(rng: np.random.Generator, rows: int, *, shift: float = 0.0) -> Window:
    """Return rows of four languages, the last one rare; ``shift`` moves the amount of that one alone."""
    language = rng.choice(len(LANGUAGES), rows, p=(0.4, 0.3, 0.2, 0.1))
    amount = rng.normal(0, 1, rows) + shift * (language == 3)
    table = pa.table(
        {
            "language": np.array(LANGUAGES)[language],
            "queue": np.array(["a", "b", "c"])[rng.integers(0, 3, rows)],
            "amount": pa.array(amount, mask=rng.random(rows) < 0.1),
        }
    )
    return window_of(table, WATCHED, None, rows=20_000, seed=0, where="here")


def compared(reference: Window, current: Window, rate: float = 0.01) -> tuple[Verdict, tuple[Slice, ...]]:
    given = {"time": None, "false_alarm_rate": rate / 2, "seed": 0}
    verdict = compare_windows(reference, current, WATCHED, **given)  # type: ignore[arg-type]
    slices, _ = compare_parts(reference, current, WATCHED, WATCHED[:1], **given)  # type: ignore[arg-type]
    return verdict, slices


def test_the_whole_and_its_parts_share_one_rate() -> None:
    runs, rate, wolf = 60, 0.1, 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 11])
        verdict, slices = compared(window(rng, 4_500), window(rng, 1_500), rate)
        wolf += bool(verdict.causes or any(one.causes for one in slices))
        assert len(slices) == 4
    assert wolf <= binom.ppf(0.999, runs, rate)


def test_a_change_of_one_part_is_found_there_and_named_first() -> None:
    rng = np.random.default_rng(1)
    reference, current = window(rng, 9_000), window(rng, 3_000, shift=0.4)
    verdict, slices = compared(reference, current)
    assert verdict.verdict == "stable", "a tenth of the rows moved by 0.4 deviations"
    assert slices[0].part == "language=pt"
    assert (slices[0].verdict, slices[0].causes[0].column) == ("drift", "amount")
    assert {one.verdict for one in slices[1:]} == {"stable"}
    assert slices[0].rows == {
        side: w.levels["language"].counts["pt"] for side, w in (("reference", reference), ("current", current))
    }


def test_small_parts_are_noted_and_unknown_columns_named() -> None:
    rng = np.random.default_rng(2)
    few = window(rng, 5 * LEAST_ROWS)
    slices, notes = compare_parts(few, few, WATCHED, WATCHED[:1], time=None, false_alarm_rate=0.01, seed=0)
    assert {one.part for one in slices} == {"language=de", "language=en"} | {
        f"language={name}" for name in LANGUAGES if few.levels["language"].counts[name] >= LEAST_ROWS
    }
    assert "parts by language" in notes[0]
    with pytest.raises(UsageError, match="no levels 'amount'") as raised:
        columns_named(["amount"], WATCHED)
    assert "language, queue" in str(raised.value)


def test_the_command_says_which_channel_changed(ticket_bundle: Path, tmp_path: Path) -> None:
    tickets = simulation("ticket")
    table = tickets.simulate(1_500, 1)
    tickets.write(table, tmp_path / "a.parquet")
    now = tickets.simulate(1_500, 2)
    counts = {one["values"]: one["counts"] for one in pc.value_counts(now["channel"]).to_pylist()}
    rare = min((name for name in counts if counts[name] >= 150), key=lambda name: counts[name])
    mute = pc.if_else(pc.equal(now["channel"], rare), "zzz qqq", now["body"])
    pq.write_table(now.set_column(now.column_names.index("body"), "body", mute), tmp_path / "b.parquet")
    bundle = ("--bundle", str(ticket_bundle))
    found = drift(
        "ticket", tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "out", "--by", "channel", *bundle
    )
    assert found["slices"][0]["part"] == f"channel={rare}"
    assert found["slices"][0]["verdict"] == "drift"
    assert found["slices"][0]["rows"]["current"] == counts[rare]
    assert found["slices"][0]["causes"][0]["kind"] == "text"
    assert {one["verdict"] for one in found["slices"][1:]} <= {"stable"}, found["slices"][1:]
    assert found["false_alarm_rate"] == 0.01
    assert Verdict.from_json(found).slices[0].part == f"channel={rare}"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Parts by themselves, worst first" in page
    arguments = [
        "drift",
        "ticket",
        "--reference",
        str(tmp_path / "a.parquet"),
        "--current",
        str(tmp_path / "b.parquet"),
    ]
    wrong = CliRunner().invoke(app, [*arguments, "--by", "weather", "--out", str(tmp_path / "no")])
    assert isinstance(wrong.exception, UsageError)
    assert not (tmp_path / "no").exists()


def test_sessions_by_line(tmp_path: Path) -> None:
    intents = simulation("intent")
    for seed, name in ((1, "a"), (2, "b")):
        intents.write(intents.simulate(9_000, seed), tmp_path / f"{name}.parquet")
    found = drift("intent", tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "out", "--by", "line")
    assert found["slices"]
    assert {one["verdict"] for one in found["slices"]} == {"stable"}, json.dumps(found["slices"])
