"""What a rollout has seen, and the verdict on it: promote, roll back, or inconclusive.

The candidate is compared with a *control*: as many cases, picked in the same way, that the champion answers in calls of
their own at the same time. Each criterion has a tolerance, and the bounds of both sides (`frontdesk.bounds`) say on
which side of it the truth lies: worse than tolerated rolls back, surely within it speaks for promotion, and anything
else is inconclusive. The bounds hold at every look, so that a candidate which is within the tolerance is rolled back by
chance in at most `Plan.alpha` of all rollouts, and one that is worse passes a step with at most that chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from frontdesk.bounds import quantile_bounds, share_bounds
from frontdesk.rollout import Plan

LATENCY_EDGES = tuple(0.001 * 1.15**place for place in range(80))
"""Seconds; the last edge is about a minute."""
P95 = 0.95
_CRITERIA = 2
_ARMS = 2

State = Literal["promote", "roll back", "inconclusive"]


@dataclass(frozen=True)
class Counts:
    """What calls of one arm came to.

    Attributes:
        calls: to the model server; a batch is asked in one call or a few.
        errors: calls that failed, timed out, refused what the champion takes, or were answered by a simpler model.
        latency: ``{place in LATENCY_EDGES: good calls}``.
        decisions, labels: ``{"HEAD=VALUE": answered instances}``.
    """

    calls: int = 0
    errors: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.calls + other.calls,
            self.errors + other.errors,
            dict(Counter(self.latency) + Counter(other.latency)),
            dict(Counter(self.decisions) + Counter(other.decisions)),
            dict(Counter(self.labels) + Counter(other.labels)),
        )


@dataclass(frozen=True)
class Probe:
    """What a controller asked the candidate's server itself.

    Attributes:
        ready: it answers, as the candidate and no other model.
        wrong: golden questions that it answers otherwise than its bundle does.
        asked: golden questions.
    """

    ready: bool
    wrong: int = 0
    asked: int = 0


@dataclass(frozen=True)
class Verdict:
    """What the evidence says.

    Attributes:
        reasons: sentences with figures, those that decided first.
        watch: shifts of decisions and labels; they stop a promotion until a person has looked.
    """

    state: State
    reasons: tuple[str, ...]
    watch: tuple[str, ...] = ()


def judge(plan: Plan, candidate: Counts, control: Counts, probe: Probe) -> Verdict:
    """Return the verdict on one step."""
    if probe.wrong:
        return Verdict("roll back", (f"{probe.wrong} of {probe.asked} golden questions are answered wrongly.",))
    alpha = plan.alpha / (_CRITERIA * _ARMS * len(plan.steps))
    found = [_errors(plan, candidate, control, alpha), _latency(plan, candidate, control, alpha)]
    watch = _shifts(plan, candidate, control)
    for state, words in found:
        if state == "roll back":
            return Verdict("roll back", (words,), watch)
    reasons = tuple(words for _, words in found)
    if (calls := min(candidate.calls, control.calls)) < plan.least:
        return Verdict("inconclusive", (f"{calls:,} of {plan.least:,} calls on each side so far.", *reasons), watch)
    if all(state == "promote" for state, _ in found) and not watch:
        return Verdict("promote", reasons)
    return Verdict("inconclusive", (*watch, *(words for state, words in found if state != "promote")), watch)


def _errors(plan: Plan, candidate: Counts, control: Counts, alpha: float) -> tuple[State, str]:
    low, high = share_bounds(candidate.errors, candidate.calls, alpha)
    control_low, control_high = share_bounds(control.errors, control.calls, alpha)
    words = (
        f"{candidate.errors:,} of {candidate.calls:,} calls failed ({100 * low:.1f} to {100 * high:.1f} %), of the "
        f"control {control.errors:,} of {control.calls:,} ({100 * control_low:.1f} to {100 * control_high:.1f} %)"
    )
    if low - control_high > plan.rise:
        return "roll back", f"{words}: more errors than tolerated."
    if high - control_low <= plan.rise:
        return "promote", f"{words}."
    return "inconclusive", f"{words}: a rise by {100 * plan.rise:g} points is not excluded yet."


def _latency(plan: Plan, candidate: Counts, control: Counts, alpha: float) -> tuple[State, str]:
    low, high = quantile_bounds(candidate.latency, LATENCY_EDGES, P95, alpha)
    control_low, control_high = quantile_bounds(control.latency, LATENCY_EDGES, P95, alpha)
    words = f"p95 {_span(low, high)}, of the control {_span(control_low, control_high)}"
    if low > control_high * plan.slower + plan.slack_seconds:
        return "roll back", f"{words}: slower than tolerated."
    if high <= control_low * plan.slower + plan.slack_seconds:
        return "promote", f"{words}."
    limit = f"{plan.slower:g} times the control's and {1e3 * plan.slack_seconds:g} ms"
    return "inconclusive", f"{words}: a p95 above {limit} is not excluded yet."


def _span(low: float, high: float) -> str:
    return f"above {1e3 * low:.3g} ms" if high == float("inf") else f"{1e3 * low:.3g} to {1e3 * high:.3g} ms"


def _shifts(plan: Plan, candidate: Counts, control: Counts) -> tuple[str, ...]:
    """Name the shares of decisions and labels that differ beyond chance by more than is tolerated."""
    found: list[tuple[float, str]] = []
    for ours, theirs in ((candidate.decisions, control.decisions), (candidate.labels, control.labels)):
        totals, control_totals = _totals(ours), _totals(theirs)
        names = sorted(set(ours) | set(theirs))
        for name in names:
            head = name.partition("=")[0]
            shares = []
            for counts, total in ((ours, totals), (theirs, control_totals)):
                alpha = plan.alpha / (2 * _ARMS * len(names) * len(plan.steps))
                shares.append(share_bounds(counts.get(name, 0), total.get(head, 0), alpha))
            (low, high), (control_low, control_high) = shares
            apart = max(low - control_high, control_low - high)
            if apart > plan.shift:
                of = f"{100 * low:.0f} to {100 * high:.0f} %"
                words = f"{name}: {of} of the answers, {100 * control_low:.0f} to {100 * control_high:.0f} % of the"
                found.append((apart, f"{words} control's."))
    return tuple(words for _, words in sorted(found, key=lambda one: -one[0]))


def _totals(counts: Mapping[str, int]) -> Mapping[str, int]:
    totals: Counter[str] = Counter()
    for name, count in counts.items():
        totals[name.partition("=")[0]] += count
    return totals
