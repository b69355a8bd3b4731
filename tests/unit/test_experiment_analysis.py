"""Does an analysis say what was simulated, in words that tell what to do, and refuse what it cannot read?"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from frontdesk.errors import DataError
from frontdesk.experiments.analysis import analyse
from frontdesk.experiments.definition import Definition
from frontdesk.experiments.report import render, write_result
from frontdesk.experiments.rows import from_columns, read_rows
from frontdesk.simulation.experiments import experiment, simulate, write
from tests.unit.test_experiment_definition import declared

SHORT = experiment(ab_days=10)


def result(table: pa.Table, definition: Definition = SHORT, **more: Any) -> dict[str, Any]:
    """Analyse a table in memory."""
    return analyse(definition, from_columns({name: table[name] for name in table.column_names}, definition), **more)


@pytest.fixture(scope="module")
def shipped() -> pa.Table:
    """An experiment with an effect that ten days show well."""
    return simulate(SHORT, per_day=1_000, effect=-0.12, seed=1)


def changed(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, from_pandas=True))


def test_a_real_effect_is_shipped(shipped: pa.Table) -> None:
    found = result(shipped)
    assert found["decision"]["verdict"] == "ship"
    assert found["decision"]["headline"].startswith("Ship v2: handle time is 1")
    figures = found["ab"]["handle_time"]
    assert figures["low"] < -0.12 < figures["high"] < 0
    assert figures["outcome"] == "better"
    assert figures["variance_explained"] > 0.05
    assert found["guardrails"]["satisfaction"]["state"] == "held"
    assert found["aa"]["handle_time"]["low"] < 0 < found["aa"]["handle_time"]["high"]
    assert found["sample_ratio"]["alarm"] is False
    assert len(found["daily"]["accuracy"]) == 17
    assert [one["phase"] for one in found["daily"]["accuracy"]] == ["aa"] * 7 + ["ab"] * 10
    assert found == result(shipped)


def test_the_opposite_is_kept_at_once(shipped: pa.Table) -> None:
    found = result(simulate(SHORT, per_day=1_000, effect=0.3, seed=1), today=date(2026, 1, 16))
    assert found["decision"]["verdict"] == "keep"
    assert "higher" in found["decision"]["headline"]
    assert found["over"] is False


def test_no_difference_is_kept_at_the_end_and_gone_on_with_before() -> None:
    table = simulate(SHORT, per_day=300, effect=0.0, seed=3)
    early = result(table, today=date(2026, 1, 15))
    assert early["decision"]["verdict"] == "go on"
    assert "3 of 10 days" in early["decision"]["headline"]
    end = result(table)
    assert end["decision"]["verdict"] == "keep"
    assert "no difference" in end["decision"]["headline"]
    assert "ruled out" in end["decision"]["reasons"][-1]
    only_aa = result(table, today=date(2026, 1, 12))
    assert only_aa["decision"]["verdict"] == "go on"
    assert only_aa["ab"] == {}


def test_nothing_is_shipped_before_a_week_was_seen(shipped: pa.Table) -> None:
    table = simulate(SHORT, per_day=1_000, effect=-0.4, seed=1)
    assert result(table, today=date(2026, 1, 16))["decision"]["verdict"] == "go on"
    assert result(table, today=date(2026, 1, 19))["decision"]["verdict"] == "ship"


def test_weekly_looks_and_a_single_one(shipped: pa.Table) -> None:
    weekly = declared_like(SHORT, looks="weekly")
    assert [one["day"] for one in result(shipped, weekly)["ab"]["handle_time"]["looks"]] == ["2026-01-18", "2026-01-21"]
    once = declared_like(SHORT, looks="once")
    before = result(shipped, once, today=date(2026, 1, 20))
    assert before["decision"]["verdict"] == "go on"
    assert before["ab"]["handle_time"]["low"] is None
    assert result(shipped, once)["ab"]["handle_time"]["critical"] == pytest.approx(1.959964, abs=1e-5)


def declared_like(definition: Definition, **changes: Any) -> Definition:
    return declared(**{**definition.content(), **changes})


def test_a_guardrail_that_breaks_keeps_the_control(shipped: pa.Table) -> None:
    compared = (shipped["arm"].to_numpy() == "v2") & (shipped["day"].to_numpy() >= np.datetime64("2026-01-12"))
    mood = shipped["satisfaction"].to_numpy()
    found = result(changed(shipped, "satisfaction", np.where(compared, mood - 0.5, mood)))
    assert found["decision"]["verdict"] == "keep"
    assert "satisfaction suffers" in found["decision"]["headline"]
    unknown = result(changed(shipped, "satisfaction", np.full(len(shipped), np.nan)))
    assert unknown["decision"]["verdict"] == "keep"
    assert "nothing was measured" in " ".join(unknown["decision"]["reasons"])


def test_a_sample_ratio_mismatch_makes_it_invalid(shipped: pa.Table) -> None:
    treated = shipped["arm"].to_numpy() == "v2"
    lost = treated & (np.random.default_rng(1).random(len(treated)) < 0.08)
    found = result(shipped.filter(pa.array(~lost)))
    assert found["decision"]["verdict"] == "invalid"
    assert "sample-ratio mismatch" in found["decision"]["headline"]
    assert found["sample_ratio"]["always_valid_p"] < 0.001


def test_units_in_both_arms_are_left_out_and_too_many_invalidate(shipped: pa.Table) -> None:
    some = shipped.slice(0, 40)
    other = np.where(some["arm"].to_numpy() == "v2", "v1", "v2")
    found = result(pa.concat_tables([shipped, changed(some, "arm", other)]))
    assert found["sample_ratio"]["crossed"] == 40
    assert found["decision"]["verdict"] == "ship"
    many = shipped.slice(0, 2_000)
    other = np.where(many["arm"].to_numpy() == "v2", "v1", "v2")
    assert result(pa.concat_tables([shipped, changed(many, "arm", other)]))["decision"]["verdict"] == "invalid"


def test_an_old_difference_is_found_in_the_control_phase(shipped: pa.Table) -> None:
    treated = shipped["arm"].to_numpy() == "v2"
    minutes = shipped["handle_time"].to_numpy()
    found = result(changed(shipped, "handle_time", np.where(treated, 0.8 * minutes, minutes)))
    assert found["decision"]["verdict"] == "invalid"
    assert "same model" in found["decision"]["headline"]


def test_rows_of_one_unit_are_put_together() -> None:
    """Operators with a hundred rows each are no more operators for it; the A/A phase and the days before help."""
    definition = declared(
        recipe="intent", unit="operator", guardrails=[], primary={"metric": "accuracy", "minimum_effect": 0.05}
    )
    rng = np.random.default_rng(2)
    days = np.arange(np.datetime64("2026-11-10"), np.datetime64("2027-01-07"))
    operator, day = (part.ravel() for part in np.meshgrid(np.arange(200), np.arange(len(days))))
    skill, arm = rng.normal(0.6, 0.1, 200), np.where(rng.random(200) < 0.5, "v2", "v1")
    lift = (arm[operator] == "v2") & (days[day] >= np.datetime64("2026-12-08"))
    value = (rng.random(len(operator)) < skill[operator] + 0.05 * lift).astype(float)
    table = pa.table(
        {
            "unit": pa.array([f"o{number}" for number in operator]),
            "arm": pa.array(np.where(days[day] < np.datetime64("2026-12-01"), None, arm[operator])),
            "day": pa.array(days[day]),
            "accuracy": value,
        }
    )
    found = result(table, definition)
    assert found["sample_ratio"]["control"] + found["sample_ratio"]["treatment"] == 200
    assert found["ab"]["accuracy"]["variance_explained"] > 0.2
    assert "two_proportion" not in found["ab"]["accuracy"]["single_look"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_every_form_of_table_gives_the_same_result(shipped: pa.Table, tmp_path: Path, ending: str) -> None:
    small = shipped.slice(0, 3_000)
    write(small, tmp_path / f"e.{ending}")
    found = analyse(SHORT, read_rows(str(tmp_path / f"e.{ending}"), SHORT))
    assert found["ab"] == result(small)["ab"]


GOOD = "unit,arm,day,handle_time\na,v1,2026-12-09,10\nb,v2,2026-12-09,12\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unit,day,handle_time\na,2026-12-09,1\n", "no column 'arm'"),
        ("unit,arm,day\na,v1,2026-12-09\n", "no column 'handle_time'"),
        (GOOD + "c,v3,2026-12-09,1\n", "row 3, arm"),
        (GOOD + "c,,2026-12-09,1\n", "row 3, arm"),
        (GOOD + ",v1,2026-12-09,1\n", "row 3, unit"),
        (GOOD + "c,v1,,1\n", "row 3, day"),
        (GOOD + "c,v1,yesterday,1\n", "row 3, day"),
        (GOOD + "c,v1,2026-12-09,long\n", "row 3, handle_time"),
        (GOOD + "c,v1,2026-12-09,inf\n", "row 3, handle_time"),
        (GOOD + "c,v1\n", "row 3"),
        ("unit,arm,day,handle_time\n", "no data row"),
        ("unit,arm,day,handle_time\na,v1,2026-12-09,\n", "no row has a value of handle_time"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=re.escape(words)):
        read_rows(str(tmp_path / "x.csv"), declared())


@pytest.mark.parametrize(
    "lines",
    [
        ["a,v1,2026-12-09,10"],
        ["a,v1,2026-12-09,10", "b,v2,2026-12-09,12"],
        ["a,v1,2026-12-02,10", "b,v2,2026-12-02,12"],
        ["a,v1,2020-01-01,10"],
        ["a,v1,2030-01-01,10"],
        [f"{'ab'[n % 2]}{n},v{1 + n % 2},2026-12-{9 + n % 9:02d},0" for n in range(40)],
        [f"{'ab'[n % 2]}{n},v{1 + n % 2},2026-12-{9 + n % 9:02d},{n - 20}" for n in range(40)],
    ],
)
def test_few_and_strange_rows_give_a_page_all_the_same(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "x.csv").write_text("\n".join(["unit,arm,day,handle_time", *lines]))
    found = analyse(declared(), read_rows(str(tmp_path / "x.csv"), declared()))
    assert found["decision"]["verdict"] in ("go on", "keep", "invalid")
    write_result(found, tmp_path)
    assert orjson.loads((tmp_path / "result.json").read_bytes())["experiment"] == "ticket-v2"


def test_the_page_is_whole_and_says_first_what_to_do(shipped: pa.Table) -> None:
    found = result(shipped)
    page = render(found)
    assert found["decision"]["headline"] in page
    assert page.index("What to do") < page.index("Day by day")
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert "url(http" not in page
    assert page.count("<svg") == 2 * 5
    assert "A/A" in page
    assert render(found) == page
    evil = found | {"decision": found["decision"] | {"headline": "<script>alert(1)</script>"}}
    assert "<script>alert" not in render(evil)
