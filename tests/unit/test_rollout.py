"""Does a share rise only by evidence or a person's word, fall at once, and split the cases for good?"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdesk.errors import UsageError
from frontdesk.evidence import LATENCY_EDGES, Counts, Probe, Verdict, judge
from frontdesk.rollout import (
    CANDIDATE,
    CONTROL,
    Plan,
    Progress,
    abort,
    advance,
    begin,
    pause,
    promote,
    read_plan,
    resume,
    side_of,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLAN = Plan(steps=(5, 25, 100), bake_seconds=60, patience_seconds=600, ready_seconds=30)
GOOD = Probe(True, 0, 16)
PROMOTE, BAD, OPEN = (Verdict(state, (f"because {state}",)) for state in ("promote", "roll back", "inconclusive"))


def step(
    progress: Progress, verdict: Verdict, seconds: float, probe: Probe = GOOD, took_over: bool = False
) -> Progress:
    return advance(PLAN, progress, verdict, probe, champion_took_over=took_over, now=NOW + timedelta(seconds=seconds))


def calls(count: int, errors: int = 0, milliseconds: float = 4.0, seed: int = 0, **more: Any) -> Counts:
    """Return counts of calls whose latency is spread around a time."""
    seconds = np.random.default_rng(seed).lognormal(np.log(milliseconds / 1e3), 0.3, count - errors)
    places = Counter(np.searchsorted(LATENCY_EDGES, seconds).tolist())
    return Counts(count, errors, dict(places), **more)


# --- the verdict


def test_a_good_candidate_is_promoted_when_there_is_evidence() -> None:
    verdict = judge(PLAN, calls(1_500, seed=1), calls(1_500, seed=2), GOOD)
    assert verdict.state == "promote", verdict
    assert judge(PLAN, calls(99), calls(99), GOOD).state == "inconclusive"
    assert judge(PLAN, Counts(), Counts(), GOOD).state == "inconclusive"
    assert judge(PLAN, calls(5_000), Counts(), GOOD).state == "inconclusive"


def test_errors_roll_back_after_few_calls() -> None:
    verdict = judge(PLAN, Counts(14, 14), calls(14), GOOD)
    assert verdict.state == "roll back"
    assert "14 of 14 calls failed" in verdict.reasons[0]
    assert judge(PLAN, calls(2_000, 200), calls(2_000), GOOD).state == "roll back"


def test_errors_that_both_have_are_nobodys_fault() -> None:
    assert judge(PLAN, calls(400, 40, seed=1), calls(400, 40, seed=2), GOOD).state == "inconclusive"


def test_a_slow_candidate_is_rolled_back() -> None:
    verdict = judge(PLAN, calls(300, milliseconds=80), calls(300, milliseconds=4), GOOD)
    assert verdict.state == "roll back"
    assert "slower than tolerated" in verdict.reasons[0]
    assert judge(PLAN, calls(2_000, milliseconds=5), calls(2_000, milliseconds=4), GOOD).state == "promote"


def test_one_wrong_golden_answer_is_enough() -> None:
    verdict = judge(PLAN, calls(5_000, seed=1), calls(5_000, seed=2), Probe(True, 1, 16))
    assert (verdict.state, verdict.reasons) == ("roll back", ("1 of 16 golden questions are answered wrongly.",))


def test_a_shift_waits_for_a_person() -> None:
    """Abstentions or labels that differ a lot may be right; nobody but a person knows."""
    ours, theirs = {"queue=abstain": 500, "queue=auto": 500}, {"queue=abstain": 100, "queue=auto": 900}
    verdict = judge(PLAN, calls(1_000, seed=1, decisions=ours), calls(1_000, seed=2, decisions=theirs), GOOD)
    assert verdict.state == "inconclusive"
    assert "queue=abstain" in verdict.reasons[0]
    assert verdict.watch
    same = judge(PLAN, calls(1_000, seed=1, labels=ours), calls(1_000, seed=2, labels=ours), GOOD)
    assert same.state == "promote"


def test_verdicts_err_as_rarely_as_they_say() -> None:
    """200 rollouts of an equal candidate, looked at every 75 calls up to 1,000: at most alpha is rolled back."""
    random = np.random.default_rng(11)
    plan = PLAN.model_copy(update={"alpha": 0.2})  # larger than anybody's, so that 200 rollouts can tell
    wrong = 0
    for _ in range(200):
        both = np.cumsum(random.random((2, 1_000)) < 0.03, axis=1)
        wrong += any(
            judge(plan, Counts(n, int(both[0, n - 1])), Counts(n, int(both[1, n - 1])), GOOD).state == "roll back"
            for n in range(25, 1_001, 75)
        )
    assert wrong <= 0.2 * 200 + 3 * (200 * 0.2 * 0.8) ** 0.5


# --- the machine


def test_the_way_of_a_good_candidate() -> None:
    stand, shares = begin(NOW), []
    for place in range(12):
        stand = step(stand, PROMOTE, 61 * place, took_over=place > 9)
        shares.append(stand.share(PLAN))
    assert shares[:5] == [0.05, 0.25, 1.0, 1.0, 1.0]
    assert stand.status == "promoted"


def test_no_step_is_shorter_than_its_bake() -> None:
    stand = step(begin(NOW), PROMOTE, 0)
    assert step(stand, PROMOTE, 59).share(PLAN) == 0.05
    assert step(stand, PROMOTE, 60).share(PLAN) == 0.25


def test_a_server_that_is_never_ready_is_rolled_back_before_any_case() -> None:
    stand = step(begin(NOW), OPEN, 29, Probe(False))
    assert (stand.status, stand.share(PLAN)) == ("waiting", 0.0)
    stand = step(stand, OPEN, 31, Probe(False))
    assert stand.status == "rolled back"
    assert "30 seconds" in stand.words[0]


def test_a_server_that_is_away_for_a_moment_is_not() -> None:
    stand = step(begin(NOW), OPEN, 0)
    for seconds in range(10, 200, 20):
        stand = step(stand, OPEN, seconds, Probe(seconds % 40 != 10))
    assert stand.status == "running"


def test_without_a_verdict_it_pauses_and_still_rolls_back() -> None:
    stand = step(begin(NOW), OPEN, 0)
    stand = step(stand, OPEN, 600)
    assert (stand.status, stand.share(PLAN)) == ("paused", 0.05)
    assert step(stand, PROMOTE, 5_000).status == "paused"
    assert step(stand, BAD, 601).status == "rolled back"


def test_persons() -> None:
    stand = step(begin(NOW), OPEN, 0)
    paused = pause(stand, "Ada", NOW)
    assert (paused.status, paused.share(PLAN)) == ("paused", 0.05)
    assert resume(paused, "Ada", NOW).status == "running"
    assert promote(PLAN, paused, "Ada", NOW).share(PLAN) == 0.25
    assert promote(PLAN, stand, "Ada", NOW, full=True).status == "finishing"
    assert abort(paused, "Ada", NOW).share(PLAN) == 0.0
    with pytest.raises(UsageError, match="waiting cannot promote"):
        promote(PLAN, begin(NOW), "Ada", NOW)
    for ended in (abort(stand, "Ada", NOW), step(stand, BAD, 1)):
        for how in (pause, resume, abort):
            with pytest.raises(UsageError):
                how(ended, "Ada", NOW)


@given(
    st.lists(
        st.tuples(st.sampled_from([PROMOTE, BAD, OPEN]), st.booleans(), st.booleans(), st.floats(0, 900)), max_size=40
    )
)
def test_a_share_rises_only_with_a_verdict_of_promotion(looks: list[tuple[Verdict, bool, bool, float]]) -> None:
    stand, seconds = begin(NOW), 0.0
    for verdict, ready, took_over, more in looks:
        seconds += more
        before = stand
        stand = step(stand, verdict, seconds, Probe(ready), took_over)
        shares = before.share(PLAN), stand.share(PLAN)
        if shares[1] > shares[0]:
            assert verdict.state == "promote" or before.status == "waiting"
            assert verdict.state != "roll back"
            assert ready
        if before.status in ("promoted", "rolled back", "aborted"):
            assert stand == before
        if verdict.state == "roll back" and before.status in ("waiting", "running", "paused"):
            assert (stand.status, shares[1]) == ("rolled back", 0.0)
        if stand.status == "promoted" and before.status != "promoted":
            assert before.status == "finishing"
            assert took_over
        assert stand.step - before.step in (0, 1)


# --- the split


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_unit_stays_with_the_candidate_while_the_share_grows(unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if side_of("salt", unit, low) == CANDIDATE:
        assert side_of("salt", unit, high) == CANDIDATE
    assert side_of("salt", unit, low) == side_of("salt", unit, low)


@pytest.mark.parametrize(
    ("share", "control"), [(0.0, 0.0), (0.05, 0.05), (0.25, 0.25), (0.5, 0.5), (0.8, 0.2), (1.0, 0.0)]
)
def test_the_sides_have_their_shares(share: float, control: float) -> None:
    sides = Counter(side_of("s", f"case {number}", share) for number in range(20_000))
    assert sides[CANDIDATE] / 20_000 == pytest.approx(share, abs=0.01)
    assert sides[CONTROL] / 20_000 == pytest.approx(control, abs=0.01)


def test_another_salt_takes_other_cases() -> None:
    first, second = ({u for u in range(4_000) if side_of(salt, str(u), 0.5) == CANDIDATE} for salt in "ab")
    assert 0.4 < len(first & second) / len(first) < 0.6


# --- the plan


@pytest.mark.parametrize("steps", ["", "5", "100", "5,25", "25,5,100", "0,100", "5,5,100", "a,100", "5,100,200"])
def test_plans_that_would_be_silent_or_senseless_are_refused(steps: str) -> None:
    with pytest.raises(UsageError):
        read_plan(steps)


def test_plans_are_read() -> None:
    assert read_plan("5, 100").steps == (5.0, 100.0)
    assert read_plan('{"steps": [5, 100], "least": 7}', bake_seconds=1.0).least == 7
    assert read_plan(None, bake_seconds=1.0, least=None).least == Plan().least
    with pytest.raises(UsageError, match="bake_seconds"):
        read_plan(None, bake_seconds=-1.0)
