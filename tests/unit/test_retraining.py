"""The retraining decision: one start per reason, data and labels, with patience and within the budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.monitoring.retraining import REASONS, Limits, Past, Reason, Request, decide

NOW = datetime(2024, 5, 1, tzinfo=UTC)
LIMITS = Limits(cool_down=timedelta(days=7), budget=3, period=timedelta(days=30), lease=timedelta(days=2))
DRIFT = Request("ticket", "drift", "data-1", "labels-1", NOW, "the texts changed")


def ran(days: float, state: str = "promoted", key: str = "other") -> Past:
    return Past(key, "schedule", state, NOW - timedelta(days=days))


def test_the_first_request_starts() -> None:
    decision = decide(DRIFT, [], LIMITS)
    assert decision.start
    assert decision.answer == "start"
    assert decision.key == DRIFT.key
    assert "the texts changed" in decision.words


def test_the_key_is_reason_data_and_labels_and_not_the_time_or_the_words() -> None:
    assert replace(DRIFT, at=NOW + timedelta(days=1), words="again").key == DRIFT.key
    others = [
        replace(DRIFT, **{name: "manual" if name == "reason" else "x"})
        for name in ("recipe", "reason", "snapshot", "taxonomy")
    ]
    assert len({DRIFT.key, *(one.key for one in others)}) == 5


def test_what_was_done_is_not_done_again_but_what_failed_is() -> None:
    assert decide(DRIFT, [ran(20, "promoted", DRIFT.key)], LIMITS).answer == "done_before"
    assert decide(DRIFT, [ran(20, "held", DRIFT.key)], LIMITS).answer == "done_before"
    assert decide(DRIFT, [ran(20, "failed", DRIFT.key)], LIMITS).start


def test_one_at_a_time_until_the_lease_ends() -> None:
    manual = replace(DRIFT, reason="manual")
    assert decide(manual, [ran(1.9, "running")], LIMITS).answer == "running"
    assert decide(manual, [ran(2.1, "running")], LIMITS).start


@pytest.mark.parametrize(
    ("reason", "waits"), [("drift", True), ("schedule", True), ("taxonomy", False), ("manual", False)]
)
def test_who_waits_between_two_retrainings(reason: Reason, waits: bool) -> None:
    request = replace(DRIFT, reason=reason)
    assert decide(request, [ran(6.9)], LIMITS).answer == ("cooling_down" if waits else "start")
    assert decide(request, [ran(7.1)], LIMITS).start


@pytest.mark.parametrize("reason", REASONS)
def test_nobody_passes_the_budget(reason: Reason) -> None:
    spent = [ran(8), ran(9, "failed"), ran(29)]
    assert decide(replace(DRIFT, reason=reason), spent, LIMITS).answer == "over_budget"
    assert decide(replace(DRIFT, reason=reason), [ran(8), ran(9), ran(31)], LIMITS).start


def test_a_dry_run_says_what_would_be_done() -> None:
    assert decide(DRIFT, [], LIMITS, dry_run=True).answer == "dry_run"
    assert not decide(DRIFT, [], LIMITS, dry_run=True).start
    assert decide(DRIFT, [ran(1)], LIMITS, dry_run=True).answer == "cooling_down"


@given(st.lists(st.tuples(st.integers(0, 90), st.sampled_from(REASONS)), max_size=60))
def test_a_storm_of_requests_stays_within_the_budget(asked: list[tuple[int, Reason]]) -> None:
    past: list[Past] = []
    for day, reason in sorted(asked):
        request = Request("ticket", reason, f"data-{day}", "", NOW + timedelta(days=day), "storm")
        if decide(request, past, LIMITS).start:
            past.append(Past(request.key, reason, "promoted", request.at))
    starts = [one.started_at for one in past]
    assert all(sum(timedelta(0) <= at - other < LIMITS.period for other in starts) <= LIMITS.budget for at in starts)
    assert len({one.key for one in past}) == len(past)
