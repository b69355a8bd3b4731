"""A rollout as a pure machine: which share of the cases a candidate answers, and what moves it.

``waiting`` for the candidate's server, then one step after another, each ``running`` until the evidence of that step
promotes, rolls back, or has been inconclusive for so long that it is ``paused`` for a person; ``finishing`` while the
champion's server takes the candidate over. The share rises only by a verdict of promotion or by a person's word, and
falls to zero the moment that a verdict says so, also in a pause. A blue/green rollout is the one with the steps
``5, 100``: everything moves at once, after golden questions and a bake at a small share.

Nothing here reads a clock, a database or a network; `frontdesk.serving.gateway.controller` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from frontdesk.errors import UsageError

if TYPE_CHECKING:
    from frontdesk.evidence import Probe, Verdict

CANDIDATE, CONTROL = "candidate", "control"
FALLBACK = "fallback"
"""Name of the side in the log of an answer that the champion gave in the candidate's place."""
CANDIDATE_SUFFIX = "-candidate"
"""Of the name that a recipe's candidate is served under."""
Status = Literal["waiting", "running", "paused", "finishing", "promoted", "rolled back", "aborted"]
ACTIVE: tuple[Status, ...] = ("waiting", "running", "paused", "finishing")


class Plan(BaseModel):
    """How a candidate comes to answer everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[float, ...] = (5.0, 25.0, 100.0)
    """Rising shares in percent; the last is 100. Up to half, the control is as large as the candidate's share."""
    bake_seconds: float = Field(default=600.0, ge=0)
    """Shortest time of a step."""
    least: int = Field(default=100, ge=1)
    """Calls that each side of a step needs before it can be promoted."""
    patience_seconds: float = Field(default=86_400.0, gt=0)
    """After so long without a verdict a step is paused for a person."""
    ready_seconds: float = Field(default=300.0, gt=0)
    """A candidate whose server does not answer for so long is rolled back."""
    rise: float = Field(default=0.02, gt=0, lt=1)
    """Tolerated rise of the share of failed calls."""
    slower: float = Field(default=1.5, ge=1)
    """Tolerated ratio of the 95th percentiles of latency."""
    slack_seconds: float = Field(default=0.01, ge=0)
    """Tolerated beside the ratio: a millisecond more on a millisecond is no reason."""
    shift: float = Field(default=0.1, gt=0, lt=1)
    """A decision's or label's share that differs by more than this waits for a person."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Chance of a wrong verdict in a whole rollout."""

    @field_validator("steps")
    @classmethod
    def _rise_to_all(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if not steps or list(steps) != sorted(set(steps)) or steps[0] <= 0 or steps[-1] != 100:
            raise ValueError("steps rise, begin above 0 and end at 100")
        if len(steps) < 2:
            raise ValueError("a share below 100 comes first: nothing is rolled out to everybody at once")
        return steps


def read_plan(steps: str | None = None, **given: Any) -> Plan:
    """Make a plan from options.

    Args:
        steps: ``5,25,100``, or a whole plan as JSON; None for the default.
        given: fields of `Plan`; None stands for the default.

    Raises:
        UsageError: names the option that is wrong.
    """
    values = {name: value for name, value in given.items() if value is not None}
    try:
        if steps is not None and steps.lstrip().startswith("{"):
            values = orjson.loads(steps) | values
        elif steps is not None:
            values["steps"] = tuple(float(step) for step in steps.split(","))
        return Plan(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = str(first["loc"][0]) if first["loc"] else ""
        raise UsageError(first["msg"].removeprefix("Value error, "), where=where) from None
    except ValueError:
        raise UsageError("shares in percent with commas between are expected, as 5,25,100", where="steps") from None


@dataclass(frozen=True)
class Progress:
    """Where a rollout stands.

    Attributes:
        step: place in the plan's steps, -1 before the first.
        since: when the step began, or was taken up again.
        ready_at: when the candidate's server last answered well.
        words: why it stands there.
    """

    status: Status
    step: int
    since: datetime
    ready_at: datetime
    words: tuple[str, ...] = ()

    def share(self, plan: Plan) -> float:
        """Return the share of the cases that the candidate answers, 0 to 1."""
        if self.status == "finishing":
            return 1.0
        if self.status not in ("running", "paused") or self.step < 0:
            return 0.0
        return plan.steps[self.step] / 100


def begin(now: datetime) -> Progress:
    """Return the first stand: no case goes to the candidate before its server has answered the golden questions."""
    return Progress("waiting", -1, now, now, ("The candidate's server is asked the golden questions.",))


def advance(
    plan: Plan, progress: Progress, verdict: Verdict, probe: Probe, *, champion_took_over: bool, now: datetime
) -> Progress:
    """Return where a rollout goes from here.

    Args:
        verdict: on the current step.
        probe: of the candidate's server.
        champion_took_over: whether the champion's server answers as the candidate.
    """
    if progress.status not in ACTIVE:
        return progress
    if progress.status == "finishing":
        if champion_took_over:
            return replace(progress, status="promoted", since=now, words=("The champion's server took it over.",))
        return progress
    if probe.ready:
        progress = replace(progress, ready_at=now)
    if verdict.state == "roll back":
        return replace(progress, status="rolled back", since=now, words=verdict.reasons)
    if (now - progress.ready_at).total_seconds() > plan.ready_seconds:
        words = f"The candidate's server did not answer as the candidate for {plan.ready_seconds:g} seconds."
        return replace(progress, status="rolled back", since=now, words=(words,))
    if progress.status == "paused" or not probe.ready:
        return progress
    if progress.status == "waiting":
        return replace(progress, status="running", step=0, since=now, words=("The golden questions are right.",))
    seconds = (now - progress.since).total_seconds()
    if verdict.state == "promote" and seconds >= plan.bake_seconds:
        return _next(plan, progress, verdict.reasons, now)
    if verdict.state == "inconclusive" and seconds >= plan.patience_seconds:
        return replace(progress, status="paused", since=now, words=("A person must decide.", *verdict.reasons))
    return progress


def _next(plan: Plan, progress: Progress, words: tuple[str, ...], now: datetime) -> Progress:
    if progress.step + 1 < len(plan.steps):
        return replace(progress, status="running", step=progress.step + 1, since=now, words=words)
    return replace(progress, status="finishing", since=now, words=words)


def pause(progress: Progress, by: str, now: datetime) -> Progress:
    """Keep the share as it is until a person goes on. Raises `UsageError`."""
    _require(progress, "pause", "running")
    return replace(progress, status="paused", since=now, words=(f"{by} paused it.",))


def resume(progress: Progress, by: str, now: datetime) -> Progress:
    """Go on from a pause; the step's time begins again. Raises `UsageError`."""
    _require(progress, "resume", "paused")
    return replace(progress, status="running", since=now, words=(f"{by} resumed it.",))


def promote(plan: Plan, progress: Progress, by: str, now: datetime, *, full: bool = False) -> Progress:
    """Go to the next step by a person's word; ``full`` skips the steps between. Raises `UsageError`."""
    _require(progress, "promote", "running", "paused")
    words = (f"{by} promoted it.",)
    return _next(plan, replace(progress, step=len(plan.steps) - 1) if full else progress, words, now)


def abort(progress: Progress, by: str, now: datetime) -> Progress:
    """End a rollout; the champion answers everything again. Raises `UsageError`."""
    _require(progress, "abort", "waiting", "running", "paused")
    return replace(progress, status="aborted", since=now, words=(f"{by} ended it.",))


def _require(progress: Progress, verb: str, *allowed: Status) -> None:
    if progress.status not in allowed:
        raise UsageError(f"a rollout that is {progress.status} cannot {verb}", remedy=f"It can when {_or(allowed)}")


def _or(words: Sequence[str]) -> str:
    return " or ".join(words)


def side_of(salt: str, unit: str, share: float) -> str | None:
    """Return which side a unit is on: ``candidate``, ``control``, or None for the rest, which nobody counts.

    The same unit gets the same side on every gateway and after every restart, and a unit that the candidate answers
    stays with it while the share grows: candidates are taken from the low end of the hash, controls from the high end.

    Args:
        salt: of the rollout, so that the same cases are not the first ones every time.
        unit: a case, an operator, a session.
        share: of the candidate, 0 to 1.
    """
    place = int.from_bytes(hashlib.sha256(f"rollout\0{salt}\0{unit}".encode("utf-8", "replace")).digest()[:8], "big")
    if place < share * 2**64:
        return CANDIDATE
    if place >= (1 - min(share, 1 - share)) * 2**64:
        return CONTROL
    return None
