"""Whether a model is trained again: a pure decision from a request, the recipe's past and what its desk allows.

The request's key is a digest of why, on what and under which labels. Whoever asks the same again, at the same time or
later, finds it taken. Drift and schedules wait a while after any retraining, a change of the label file after one for
its own sake, a person never. Nothing passes the budget, or a retraining that runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from frontdesk.storage import digest

Reason = Literal["drift", "schedule", "taxonomy", "manual"]
REASONS: tuple[Reason, ...] = get_args(Reason)
Answer = Literal["start", "dry_run", "done_before", "running", "cooling_down", "over_budget", "not_asked"]
_DONE = ("promoted", "held", "ended")
_PATIENT: frozenset[Reason] = frozenset({"drift", "schedule"})


@dataclass(frozen=True)
class Request:
    """A wish to train a recipe again.

    Attributes:
        snapshot: names the data that would be trained on: equal data, equal name.
        taxonomy: names the version of the labels; empty where the recipe has none.
        at: when it is asked.
        words: why, for a person.
    """

    recipe: str
    reason: Reason
    snapshot: str
    taxonomy: str
    at: datetime
    words: str

    @property
    def key(self) -> str:
        """The idempotency key: SHA-256 (hex) over recipe, reason, snapshot and taxonomy version."""
        return digest([self.recipe, self.reason, self.snapshot, self.taxonomy])


@dataclass(frozen=True)
class Past:
    """A retraining of the recipe that was started.

    Attributes:
        state: ``running``, ``promoted``, ``held``, ``ended`` (well, on a pipeline server), ``failed`` or ``lost``.
    """

    key: str
    reason: str
    state: str
    started_at: datetime


@dataclass(frozen=True)
class Limits:
    """What a desk allows.

    Attributes:
        cool_down: from the start of a retraining until the next one may start by itself.
        budget: retrainings that may start within `period`.
        lease: how long a retraining is believed to run when nobody says how it ended.
    """

    cool_down: timedelta = timedelta(days=7)
    budget: int = 4
    period: timedelta = timedelta(days=30)
    lease: timedelta = timedelta(days=8)


@dataclass(frozen=True)
class Decision:
    """The answer to a request.

    Attributes:
        start: whether the lifecycle is to be started.
        answer: a stable word for it.
        words: the answer for a person.
        key: of the request; empty where there was none.
        reason: of the request; None where there was none.
    """

    start: bool
    answer: Answer
    words: str
    key: str = ""
    reason: Reason | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


NOT_ASKED = Decision(False, "not_asked", "nothing asks for a retraining")


def decide(request: Request, past: Sequence[Past], limits: Limits, *, dry_run: bool = False) -> Decision:
    """Answer a request. A pure function.

    Args:
        past: retrainings of the recipe, in any order.
        dry_run: a request that would be granted is answered ``dry_run``.
    """

    def no(answer: Answer, words: str) -> Decision:
        return Decision(False, answer, words, request.key, request.reason)

    mine = [one for one in past if one.started_at <= request.at]
    running = [one for one in mine if one.state == "running" and request.at - one.started_at < limits.lease]
    if running:
        return no("running", f"a retraining for {running[0].reason} runs since {_day(running[0].started_at)}")
    # What failed or was lost may be asked for again: it made nothing.
    if any(one.key == request.key and one.state in _DONE for one in mine):
        return no("done_before", "this data and these labels were trained on for this reason already")
    newest = max((one.started_at for one in mine if _waits(request, one)), default=None)
    if newest is not None and request.at - newest < limits.cool_down:
        free = _day(newest + limits.cool_down)
        return no("cooling_down", f"the last retraining began {_day(newest)}, the next may begin {free}")
    spent = sum(request.at - one.started_at < limits.period for one in mine)
    if spent >= limits.budget:
        return no("over_budget", f"{spent} of {limits.budget} retrainings in {limits.period.days} days are spent")
    if dry_run:
        return no("dry_run", f"a retraining would start: {request.words}")
    return Decision(True, "start", f"a retraining starts: {request.words}", request.key, request.reason)


def _waits(request: Request, earlier: Past) -> bool:
    """Tell whether a request keeps the cool-down after an earlier retraining."""
    return request.reason in _PATIENT or (request.reason == "taxonomy" == earlier.reason)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
