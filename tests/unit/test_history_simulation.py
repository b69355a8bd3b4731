"""Is the history of simulated customers what decides, and could it have been known?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from frontdesk.errors import UsageError
from frontdesk.records import load_columns, parse_columns
from frontdesk.simulation import histories, tickets


@pytest.fixture(scope="module")
def made() -> histories.Histories:
    return histories.simulate(600, seed=5)


def test_the_same_seed_gives_the_same_tables(made: histories.Histories) -> None:
    again = histories.simulate(600, seed=5)
    assert again.tickets.equals(made.tickets)
    assert all(again.features[view].equals(table) for view, table in made.features.items())


def test_a_follow_up_has_the_type_that_was_known_of_its_customer(made: histories.Histories) -> None:
    history = made.features["customer_history"].to_pylist()
    follow_ups = [row for row in made.tickets.to_pylist() if row["is_follow_up"]]
    assert 0.1 < len(follow_ups) / 600 < 0.4
    for row in follow_ups:
        now = row["created_at"]
        known = [
            one
            for one in history
            if one["customer"] == row["customer_id"]
            and one["event_timestamp"] < now
            and one["created"] <= now
            and now - one["event_timestamp"] <= timedelta(days=90)
        ]
        assert max(known, key=lambda one: one["event_timestamp"])["last_contact_type"] == row["contact_type"]
        assert row["subject"] is None
        assert row["body"] in histories.QUESTIONS.values()


def test_every_other_ticket_is_the_simulators_own(made: histories.Histories) -> None:
    plain = tickets.simulate(600, seed=5).to_pylist()
    for own, row in zip(plain, made.tickets.to_pylist(), strict=True):
        if not row["is_follow_up"]:
            assert {name: row[name] for name in own} == own


def test_some_rows_are_written_down_late(made: histories.Histories) -> None:
    delays = [row["created"] - row["event_timestamp"] for row in made.features["customer_history"].to_pylist()]
    assert min(delays) > timedelta(0)
    assert 0 < sum(delay > timedelta(days=1) for delay in delays) < len(delays) / 4


def test_the_example_mapping_is_the_simulators() -> None:
    path = Path(__file__).parents[2] / "examples" / "tickets-features.yaml"
    assert load_columns(str(path)) == parse_columns(histories.MAPPING)


def test_no_rows_is_an_error() -> None:
    with pytest.raises(UsageError):
        histories.simulate(0)
