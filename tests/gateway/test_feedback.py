"""Feedback: whatever order, repetition and crash of deliveries, one table."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontdesk.database import Database, open_database
from frontdesk.database import feedback as stored
from frontdesk.database.exports import export_labelled, export_log
from frontdesk.database.feedback import apply_all, apply_events, cases_of
from frontdesk.database.predictions import insert_predictions
from frontdesk.errors import StorageError
from frontdesk.feedback import KINDS, Event, history_events, reduce_events
from frontdesk.records import load_columns

START = datetime(2025, 3, 3, 9, tzinfo=UTC)


def event(name: str, kind: Any, minute: int, case: str = "case", source: str = "crm", **labels: str) -> Event:
    return Event(source, name, "email", case, kind, START + timedelta(minutes=minute), labels)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Distinct events of a few cases, with equal times among them."""
    count = draw(st.integers(1, 8))
    return [
        event(
            f"e{place}",
            draw(st.sampled_from(KINDS)),
            draw(st.integers(0, 3)),
            case=draw(st.sampled_from(["a", "b"])),
            source=draw(st.sampled_from(["crm", "desk"])),
            **draw(st.dictionaries(st.sampled_from(["queue", "topic"]), st.sampled_from(["x", "y"]), max_size=2)),
        )
        for place in range(count)
    ]


def table(database: Database) -> list[Any]:
    with database.reading() as connection:
        rows = connection.execute(sa.text("SELECT * FROM outcomes ORDER BY recipe, case_id"))
        return [tuple(row) for row in rows]


def clear(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM feedback_events"))
        connection.execute(sa.text("DELETE FROM outcomes"))


class Crash(Exception):
    """Stands for a process that dies."""


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list whose only number counts down to a crash between the statements of a delivery."""
    left = [10**9]
    for name in ("insert_once", "_reduce"):
        real = getattr(stored, name)

        def counted(*arguments: Any, real: Any = real) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            return real(*arguments)

        monkeypatch.setattr(stored, name, counted)
    return left


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), data=st.data())
def test_any_permutation_duplication_and_crash_gives_the_same_table(
    database: Database, crashing: list[int], history: list[Event], data: st.DataObject
) -> None:
    crashing[0] = 10**9  # an example may have ended in the middle
    clear(database)
    apply_events(database, history)
    expected = table(database)
    clear(database)
    deliveries = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=6))))
    while deliveries:
        size = data.draw(st.integers(1, len(deliveries)))
        crashing[0] = data.draw(st.one_of(st.just(10**9), st.integers(0, 3 * size)))
        try:
            apply_events(database, deliveries[:size])
        except Crash:
            crashing[0] = 10**9
            if data.draw(st.booleans()):
                apply_events(database, deliveries[:size])  # the sender had no answer: it delivers again, now
            else:
                deliveries = deliveries[size:] + deliveries[:size]  # or later
                continue
        deliveries = deliveries[size:]
    crashing[0] = 10**9
    assert table(database) == expected


@given(history=histories(), seed=st.integers(0, 99))
def test_the_reduction_heeds_the_set_only(history: list[Event], seed: int) -> None:
    again = history + history[: len(history) // 2]
    random.Random(seed).shuffle(again)
    assert reduce_events(again) == reduce_events(history)


def test_deliveries_at_once_lose_nothing(database: Database) -> None:
    events = [event(f"e{place}", "closed", place, case=f"c{place % 3}", topic=str(place)) for place in range(30)]
    with ThreadPoolExecutor(6) as pool:
        new = list(pool.map(lambda some: sum(apply_events(database, some)), [events[i::10] for i in range(10)] * 2))
    assert sum(new) == 30
    with database.reading() as connection:
        found = connection.execute(sa.text("SELECT case_id, events FROM outcomes ORDER BY case_id")).all()
    assert [tuple(row) for row in found] == [("c0", 10), ("c1", 10), ("c2", 10)]


def test_a_closing_outweighs_what_agents_took_and_the_latest_counts() -> None:
    outcome = reduce_events(
        [
            event("4", "closed", 9, topic="final"),
            event("1", "shown", 0),
            event("2", "accepted", 1, topic="taken", queue="q1"),
            event("3", "changed", 2, queue="q2"),
            event("5", "accepted", 10, topic="too late"),
            event("6", "ignored", 3, business_line="x"),
        ]
    )
    assert {head: (said["label"], said["origin"]) for head, said in outcome.labels.items()} == {
        "topic": ("final", "closed"),
        "queue": ("q2", "changed"),
    }
    assert outcome.verdicts == {"topic": "accepted", "queue": "changed", "business_line": "ignored"}
    assert (outcome.shown_at, outcome.closed_at) == (START, START + timedelta(minutes=9))


def prediction(name: str, case: str, **changes: Any) -> dict[str, Any]:
    said = {"label": "guess", "confidence": 0.5, "decision": "suggest", "reason": "x"}
    return {
        "id": name, "at": START, "request_id": "r", "place": 0, "recipe": "email", "client": "crm", "case_id": case,
        "model_id": "m", "labels": {"topic": said}, "intents": None, "source": None, "degraded": False,
        "holdout": False, "experiment": None, "arm": None, "line": None, "features": {"custodian_bank": "b"},
        "inputs": None, "characters": 3, "milliseconds": 1.0, "idempotency_key": None, **changes,
    }  # fmt: skip


def test_labelled_rows_are_the_last_predictions_of_cases_with_labels(database: Database, tmp_path: Path) -> None:
    with database.writing() as connection:
        insert_predictions(
            connection,
            [
                prediction("1", "a"),
                prediction("2", "a", inputs={"subject": "maskediban", "body": "x", "custodian_bank": "b"}),
                prediction("3", "b", holdout=True),
                prediction("4", "without feedback"),
                prediction("5", "only shown"),
            ],
        )
    apply_events(
        database,
        [
            event("1", "closed", 5, case="a", topic="t1"),
            event("2", "changed", 5, case="b", topic="t2"),
            event("3", "shown", 5, case="only shown"),
        ],
    )
    counts = export_labelled(database, tmp_path / "labelled.parquet", "email", load_columns(None, "email"))
    assert counts == {"rows": 2, "without_text": 1}
    rows = pq.read_table(tmp_path / "labelled.parquet").to_pylist()
    assert [
        (row["id"], row["topic"], row["topic.origin"], row["topic.predicted"], row["subject"], row["holdout"])
        for row in rows
    ] == [("a", "t1", "closed", "guess", "maskediban", False), ("b", "t2", "changed", "guess", None, True)]
    assert export_log(database, tmp_path / "log.parquet", recipe="email") == 5
    log = pq.read_table(tmp_path / "log.parquet").to_pylist()
    assert [row["id"] for row in log] == ["1", "2", "3", "4", "5"]
    assert [row["outcome"] is None for row in log] == [False, False, False, True, False]
    assert export_log(database, tmp_path / "none.parquet", recipe="ticket") == 0
    assert export_log(database, tmp_path / "none.parquet", until=START) == 0
    assert sorted(path.name for path in tmp_path.glob("*.parquet*")) == [
        "labelled.parquet",
        "log.parquet",
        "none.parquet",
    ]


def test_the_monthly_history_is_imported_once(tmp_path: Path) -> None:
    from frontdesk.simulation.emails import simulate, write

    database = open_database(f"sqlite:///{tmp_path / 'desk.db'}")
    database.upgrade()
    write(simulate(60, seed=3), tmp_path / "history.parquet")

    def events() -> Iterator[Event]:
        columns = load_columns(None, "email")
        return history_events(str(tmp_path / "history.parquet"), "email", columns, source="history", at=START)

    first = apply_all(database, events())
    before = table(database)
    assert first[0] == first[1] > 0
    assert apply_all(database, events()) == (first[0], 0)
    assert table(database) == before
    database.close()


def test_predictions_are_found_and_a_lost_database_is_told(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'desk.db'}")
    database.upgrade()
    with database.writing() as connection:
        insert_predictions(connection, [prediction("1", "a")])
    assert cases_of(database, ["1", "2"]) == {"1": ("email", "a")}
    database.downgrade("base")
    with pytest.raises(StorageError):
        apply_events(database, [event("1", "shown", 0)])
    database.close()
