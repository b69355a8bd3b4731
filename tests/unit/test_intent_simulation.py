"""Are simulated sessions deterministic, of the promised shape, and learnable but not trivial?"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from frontdesk.errors import UsageError
from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS, rows_of
from frontdesk.simulation.errands import ENDING, SHARED, world
from frontdesk.simulation.sessions import SCHEMA, simulate


@pytest.fixture(scope="module")
def made() -> pa.Table:
    return simulate(12_000, seed=3, truth=True)


def test_a_seed_is_a_table(made: pa.Table) -> None:
    assert simulate(12_000, seed=3, truth=True).equals(made)
    assert not simulate(500, seed=4).equals(simulate(500, seed=3))
    assert simulate(1).num_rows == 1
    assert simulate(100).schema == SCHEMA
    with pytest.raises(UsageError):
        simulate(0)


def test_columns_are_those_of_the_default_mapping(made: pa.Table) -> None:
    assert set(DEFAULT_INTENT_COLUMNS.roles.values()) == set(made.column_names) - {"true_errand"}
    rows, refused = rows_of(made, DEFAULT_INTENT_COLUMNS)
    assert rows.num_rows == 12_000
    assert not refused


def test_errands_are_graphs_that_end() -> None:
    for line in world().values():
        for start, graph in line.errands.items():
            known = {*line.procedures, *SHARED}
            assert {start, *SHARED[:-1]} <= set(graph)
            for options, shares in graph.values():
                assert set(options) <= known
                assert ENDING in options
                assert shares.sum() == pytest.approx(1)
            reached, open_ = set(), [start]
            while open_:
                node = open_.pop()
                if node not in reached and node != ENDING:
                    reached.add(node)
                    open_ += graph[node][0]
            assert reached <= set(graph)


def test_what_a_real_desk_has_is_there(made: pa.Table) -> None:
    intents = made.filter(pc.equal(made["kind"], "intent"))
    per_session = made.group_by("session_id").aggregate([("operator", "count_distinct")])
    assert set(per_session["operator_count_distinct"].to_pylist()) == {1}
    errors = intents.filter(pc.equal(intents["status"], "error"))
    assert 0.01 < errors.num_rows / intents.num_rows < 0.1
    opened = Counter(zip(intents["session_id"].to_pylist(), intents["name"].to_pylist(), strict=True))
    again = sum(count - 1 for count in opened.values()) / intents.num_rows
    assert 0.05 < again < 0.35
    hours = Counter(moment.hour for moment in made["timestamp"].to_pylist())
    assert hours[11] > 5 * max(hours[3], 1)
    days = Counter(moment.weekday() for moment in made["timestamp"].to_pylist())
    assert days[6] < 0.7 * days[1]
    shown = [
        (name, options.split("|"))
        for name, options in zip(*(intents[key].to_pylist() for key in ("name", "options_shown")), strict=True)
    ]
    assert 0.4 < np.mean([name in options for name, options in shown]) < 0.8


def test_new_procedures_and_newcomers_come_later(made: pa.Table) -> None:
    half = made.num_rows // 2
    new = {name for line in world().values() for name in line.begins}
    wrong_clicks = 0.02  # a wrong click may hit a procedure that is not there yet
    early = [name in new for name in made["name"].slice(0, half).to_pylist()]
    late = [name in new for name in made["name"].slice(made.num_rows - half // 2).to_pylist()]
    assert np.mean(early) < wrong_clicks < np.mean(late)
    assert set(made["operator"].slice(made.num_rows - 1_500).to_pylist()) - set(
        made["operator"].slice(0, half).to_pylist()
    )


def test_clicks_hint_at_the_next_procedure(made: pa.Table) -> None:
    rows = made.to_pylist()
    hits = [
        following["name"].endswith(row["text"].lower().replace(" ", "_"))
        for row, following in pairwise(rows)
        if row["text"] and following["kind"] == "intent" and row["session_id"] == following["session_id"]
    ]
    assert 0.5 < np.mean(hits) < 0.8
