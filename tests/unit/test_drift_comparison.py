"""Does a comparison find what changed, name it first, and keep silent where nothing did?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.errors import BadColumns, EmptyTable, UnreadableFile
from frontdesk.monitoring.comparison import Watched, compare
from frontdesk.monitoring.verdict import Verdict
from frontdesk.simulation.streams import Change, stream

WATCHED = (
    Watched("paid", "input", "categorical"),
    Watched("channel", "input", "categorical"),
    Watched("product", "input", "categorical"),
    Watched("queue", "label", "categorical", given="channel"),
    Watched("amount", "input", "numeric"),
    Watched("total", "input", "numeric"),
    Watched("visits", "input", "numeric"),
)


def tables(rows: int, seed: int, change: Change | None = None) -> tuple[pa.Table, pa.Table]:
    rng = np.random.default_rng(seed)
    return stream(3 * rows, rng, days=90), stream(rows, rng, change=change, first_day=90)


@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_no_change_is_no_cause(rows: int) -> None:
    for seed in range(4):
        verdict = compare(*tables(rows, seed), WATCHED)
        assert verdict.verdict == "stable", verdict.causes
        assert all(check.score is not None for check in verdict.checks if not check.reason)


@pytest.mark.parametrize(
    ("change", "column", "method", "words"),
    [
        (Change("share", 0.2), "channel", "jensenshannon", "“channel 5” grew from"),
        (Change("number", 0.5), "amount", "wasserstein", "mean"),
        (Change("missing", 0.3), "visits", "missing_share", "of the rows have no value"),
        (Change("new level", 0.05), "product", "unseen_share", "“product 9999”"),
        (Change("routing", 0.15), "queue", "moved_share", "where channel is “channel 0”"),
    ],
)
def test_the_change_is_named_first(change: Change, column: str, method: str, words: str) -> None:
    verdict = compare(*tables(1_000, 1, change), WATCHED, time="at")
    assert verdict.verdict == "drift"
    first = verdict.causes[0]
    assert (first.column, first.method, first.level) == (column, method, "drift")
    assert first.score >= first.threshold
    assert words in first.words


def test_a_proven_but_tiny_change_is_no_alarm() -> None:
    rng = np.random.default_rng(0)
    before, now = rng.normal(0, 1, 400_000), rng.normal(0.02, 1, 400_000)
    levels = [pa.array(np.where(rng.random(400_000) < share, "a", "b")) for share in (0.50, 0.51)]
    verdict = compare(
        pa.table({"x": before, "level": levels[0]}),
        pa.table({"x": now, "level": levels[1]}),
        [Watched("x", "input", "numeric"), Watched("level", "input", "categorical")],
    )
    assert verdict.verdict == "stable"


def test_what_the_reference_does_itself_is_no_drift() -> None:
    """Every month differs from the others by far more than chance; the next month is one more of them."""
    rng = np.random.default_rng(3)
    reference = stream(9_000, rng, days=720, seasons=0.4, season_seed=1)
    current = stream(1_000, rng, first_day=720, seasons=0.4, season_seed=1)
    names = {cause.column for cause in compare(reference, current, WATCHED).causes}
    assert names & {"channel", "amount"}, "the seasons are too weak for this test"
    assert compare(reference, current, WATCHED, time="at").verdict == "stable"


def test_a_change_of_routing_needs_no_change_of_shares() -> None:
    """Two topics swap their queues: every share stays, and every model is wrong."""
    rng = np.random.default_rng(5)
    topic = rng.integers(0, 2, 4_000)
    table = pa.table({"topic": topic.astype(str), "queue": topic.astype(str)})
    swapped = pa.table({"topic": topic.astype(str), "queue": (1 - topic).astype(str)})
    watched = [Watched("topic", "label", "categorical"), Watched("queue", "label", "categorical", given="topic")]
    verdict = compare(table, swapped, watched)
    assert [(cause.column, cause.method) for cause in verdict.causes] == [("queue", "moved_share")]
    assert verdict.causes[0].score == pytest.approx(1.0)
    assert compare(table, table, watched).verdict == "stable"


def test_empty_columns() -> None:
    rng = np.random.default_rng(0)
    full = pa.table({"x": rng.normal(size=500), "level": pa.array(["a"] * 500)})
    empty = pa.table({"x": pa.nulls(500, pa.float64()), "level": pa.nulls(500, pa.string())})
    watched = [Watched("x", "input", "numeric"), Watched("level", "input", "categorical")]
    verdict = compare(full, empty, watched)
    assert {cause.column for cause in verdict.causes} == {"x", "level"}
    assert {cause.method for cause in verdict.causes} == {"missing_share"}
    assert verdict.causes[0].score == 1.0
    assert compare(empty, empty, watched).verdict == "stable"
    assert compare(empty, full, watched).verdict == "drift"
    assert compare(full, full.slice(0, 5), watched).notes


def test_what_cannot_be_compared_is_named() -> None:
    good = pa.table({"x": np.arange(50.0)})
    watched = [Watched("x", "input", "numeric")]
    with pytest.raises(BadColumns, match="'x' holds an infinite number"):
        compare(good, pa.table({"x": np.array([1.0, np.inf])}), watched)
    with pytest.raises(BadColumns, match=r"current: there is no column 'x'"):
        compare(good, pa.table({"y": np.arange(3.0)}), watched)
    with pytest.raises(BadColumns, match="which is not numeric"):
        compare(good, pa.table({"x": pa.array(["a"])}), watched)
    with pytest.raises(EmptyTable, match="reference"):
        compare(good.slice(0, 0), good, watched)


def test_bags_and_texts() -> None:
    rng = np.random.default_rng(2)
    intents = [[f"i{code}" for code in rng.integers(0, 9, rng.integers(1, 12))] for _ in range(600)]
    other = [[*bag, "i99"] if place % 3 == 0 else bag for place, bag in enumerate(intents[300:])]
    watched = [Watched("intents", "label", "bag")]
    before, now = pa.table({"intents": intents[:300]}), pa.table({"intents": intents[300:]})
    assert compare(before, now, watched).verdict == "stable"
    cause = compare(before, pa.table({"intents": other}), watched).causes[0]
    assert cause.method == "unseen_share"
    assert "“i99”" in cause.words

    words = np.array(
        [
            "the",
            "card",
            "was",
            "lost",
            "and",
            "a",
            "new",
            "one",
            "is",
            "on",
            "its",
            "way",
            "please",
            "block",
            "it",
            "now",
        ]
    )
    texts = [" ".join(rng.choice(words, 8)) for _ in range(600)]
    migrated = [f"{text} since the migration" if place % 2 else text for place, text in enumerate(texts[300:])]
    watched = [Watched("body", "text", "text")]
    before, now = pa.table({"body": texts[:300]}), pa.table({"body": texts[300:]})
    assert compare(before, now, watched).verdict == "stable"
    cause = compare(before, pa.table({"body": migrated}), watched).causes[0]
    assert cause.kind == "text"
    assert "“migration” in 50.0 % of the texts" in cause.words


def test_a_verdict_survives_json() -> None:
    verdict = compare(*tables(300, 0, Change("share", 0.3)), WATCHED, time="at")
    assert Verdict.from_json(verdict.as_json()) == verdict
    assert verdict.as_json()["causes"][0].keys() >= {"column", "kind", "method", "score", "threshold", "words"}
    with pytest.raises(UnreadableFile):
        Verdict.from_json({"verdict": "drift"})


def test_the_same_tables_give_the_same_verdict() -> None:
    before, now = tables(500, 0, Change("number", 0.3))
    assert compare(before, now, WATCHED, seed=1) == compare(before, now, WATCHED, seed=1)


CELLS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False, width=32))


@settings(max_examples=25, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=60), st.lists(CELLS, min_size=1, max_size=60))
def test_any_numbers_are_compared_or_refused(before: list[float | None], now: list[float | None]) -> None:
    sides = [pa.table({"x": pa.array(values, pa.float64())}) for values in (before, now)]
    verdict = compare(sides[0], sides[1], [Watched("x", "input", "numeric")])
    assert all(check.score is None or np.isfinite(check.score) for check in verdict.checks)
