"""The simulated quarter: the same every time, and nothing changes but what is injected, on its day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from frontdesk.errors import UsageError
from frontdesk.simulation.quarter import DAYS, KNOWN, NEW, Quarter, simulate_quarter
from frontdesk.simulation.tickets import SCHEMA

START = datetime(2026, 1, 5, tzinfo=UTC)
TEXT_DAY, LABEL_DAY, PER_DAY = 30, 60, 8


@cache
def quarter(seed: int = 0, text_day: int = TEXT_DAY) -> Quarter:
    """A quarter of few tickets."""
    days = {"text_day": text_day, "label_day": LABEL_DAY}
    return simulate_quarter(START, history_rows=300, per_day=PER_DAY, seed=seed, **days)


def test_it_is_the_same_every_time() -> None:
    again = simulate_quarter(START, history_rows=300, per_day=PER_DAY, text_day=TEXT_DAY, label_day=LABEL_DAY, seed=0)
    assert again.tickets.equals(quarter().tickets)
    assert again.history.equals(quarter().history)
    assert not quarter(seed=1).tickets.equals(quarter().tickets)


def test_days_hold_what_came_in_and_what_was_closed() -> None:
    found = quarter()
    assert found.history.schema.equals(SCHEMA)
    assert max(found.history["created_at"].to_pylist()) < START
    assert min(found.history["created_at"].to_pylist()) >= START - timedelta(days=365)
    opened = [row for day in range(DAYS) for row in found.opened(day)]
    assert [row["id"] for row in opened] == found.tickets["id"].to_pylist()
    assert all(len(found.opened(day)) == PER_DAY for day in range(DAYS))
    closed = [row for day in range(DAYS + 3) for row in found.closed(day)]
    assert sorted(row["id"] for row in closed) == sorted(row["id"] for row in opened)
    assert [row["closed_at"] for row in closed] == sorted(row["closed_at"] for row in closed)
    assert all(timedelta(0) < row["closed_at"] - row["created_at"] <= timedelta(hours=48) for row in closed)
    ids = {*found.history["id"].to_pylist(), *found.tickets["id"].to_pylist()}
    assert len(ids) == found.history.num_rows + found.tickets.num_rows


def test_words_change_on_their_day_and_nothing_else_does() -> None:
    with_change, later = quarter(), quarter(text_day=TEXT_DAY + 10)
    for day in range(DAYS):
        one, other = (
            [{name: row[name] for name in SCHEMA.names if name not in ("subject", "body")} for row in each.opened(day)]
            for each in (with_change, later)
        )
        assert one == other
        texts = [[row["body"] for row in each.opened(day)] for each in (with_change, later)]
        assert (texts[0] != texts[1]) is (TEXT_DAY <= day < TEXT_DAY + 10), day


def test_cases_are_closed_by_the_parts_of_the_split_label_from_its_day_on() -> None:
    found = quarter()
    parts = {f"{found.split} > {NEW}", f"{found.split} > {KNOWN}"}
    assert not parts & set(found.history["contact_type"].to_pylist())
    for day in range(DAYS + 3):
        labels = {row["contact_type"] for row in found.closed(day)}
        assert not labels & parts if day < LABEL_DAY else found.split not in labels, day
    assert parts <= {row["contact_type"] for day in range(LABEL_DAY, DAYS) for row in found.closed(day)}


@pytest.mark.parametrize("wrong", [{"per_day": 0}, {"history_rows": 0}, {"text_day": DAYS}, {"label_day": -1}])
def test_what_cannot_be_simulated_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        simulate_quarter(START, **wrong)
