"""The split of a rollout: which cases the candidate answers, what both sides came to, and the champion behind it.

KServe's own canary has no weights without Gateway API, and with a transformer it would send its share past it, so the
gateway splits. The state is in the database and read again every half second; a killed gateway comes back to the same
split, because a case's side is a hash. Counts are added to those of other gateways as often.

The candidate gets half of a request's time. Where it fails, times out, answers as another model, or refuses what the
champion takes, the champion answers in the rest of the time: the customer loses nothing, the candidate has an error.
"""

from __future__ import annotations

import asyncio
import bisect
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from frontdesk.database import Database
from frontdesk.database.rollouts import Stored, add_counts, latest_rollouts
from frontdesk.errors import FrontdeskError, InvalidRequest, Overloaded, Unavailable
from frontdesk.evidence import LATENCY_EDGES
from frontdesk.logs import event
from frontdesk.rollout import CANDIDATE, CANDIDATE_SUFFIX, FALLBACK, side_of
from frontdesk.serving.gateway import metrics
from frontdesk.serving.gateway.asking import Answered, Asked, Manner, Side

EVERY_SECONDS = 0.5
_log = logging.getLogger(__name__)

AskPart = Callable[[str | None, Sequence[Asked], Manner], Awaitable[dict[int, Answered]]]
"""Ask a served model (None: the recipe's own) for some instances, in a manner."""


class Traffic:
    """The rollouts as this gateway knows them, and what it has counted since it last told.

    Args:
        database: of the rollouts.
        run: calls a function that blocks, in a thread.
    """

    def __init__(self, database: Database, run: Callable[..., Awaitable[Any]]) -> None:
        self._database, self._run = database, run
        self._rollouts: dict[str, Stored] = {}
        self._counted: Counter[tuple[str, int, str, str, str]] = Counter()

    def side(self, recipe: str, unit: str | None, fields: Mapping[str, Any]) -> Side | None:
        """Return the side of an instance in a rollout, None where nobody counts it.

        Args:
            unit: the case, operator or session; None takes the instance's own content.
        """
        rollout = self._rollouts.get(recipe)
        if rollout is None or rollout.share <= 0:
            return None
        if unit is None:
            unit = hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()
        name = side_of(rollout.salt, unit, rollout.share)
        return None if name is None else Side(rollout.id, rollout.progress.step, name, rollout.candidate)

    async def keep_up(self) -> None:
        """Tell what was counted and read the rollouts, again and again."""
        while True:
            try:
                await self.refresh()
            except Exception:  # whatever a row holds, the next look may read it
                _log.exception("rollouts_unknown")
            await asyncio.sleep(EVERY_SECONDS)

    async def refresh(self) -> None:
        """Tell what was counted and read the rollouts; where the database does not answer, both stay as they are."""
        counted, self._counted = self._counted, Counter()
        try:
            if counted:
                await self._run(add_counts, self._database, counted)
                counted = Counter()
            found = await self._run(latest_rollouts, self._database)
        except FrontdeskError as error:
            self._counted += counted
            event(_log, "rollouts_unknown", logging.WARNING, code=error.code)
            return
        self._rollouts = {recipe: one for recipe, one in found.items() if one.active}
        for one in found.values():
            metrics.show_rollout(one.recipe, one.share, one.progress.status, str(one.verdict.get("state", "")))

    async def ask(
        self, ask_part: AskPart, recipe: str, side: Side, part: Sequence[Asked], manner: Manner
    ) -> dict[int, Answered]:
        """Answer some instances of one side, and count the call.

        Raises:
            InvalidRequest: the champion refuses an instance too, and ``manner.partial`` is false.
            Overloaded, Unavailable: the champion does not answer either; see `asking.ask`.
        """
        if side.name == CANDIDATE:
            return await self._ask_candidate(ask_part, recipe, side, part, manner)
        began = time.perf_counter()
        try:
            found = await ask_part(None, part, manner.changed(degrade=False))
        except (Overloaded, Unavailable) as error:
            self._count(recipe, side, {}, failed=True)
            if manner.degrade and isinstance(error, Unavailable):
                return {one.place: None for one in part}
            raise
        self._count(recipe, side, found, seconds=time.perf_counter() - began)
        return found

    async def _ask_candidate(
        self, ask_part: AskPart, recipe: str, side: Side, part: Sequence[Asked], manner: Manner
    ) -> dict[int, Answered]:
        began, found, failed = time.perf_counter(), dict[int, Answered](), False
        try:
            tried = manner.changed(degrade=False, seconds=manner.seconds / 2)
            found = await ask_part(f"{recipe}{CANDIDATE_SUFFIX}", part, tried)
        except (Overloaded, Unavailable):
            failed = True
        except InvalidRequest:
            pass  # the champion is asked whether it is the caller's fault
        seconds = time.perf_counter() - began
        answers = {place: one for place, one in found.items() if isinstance(one, dict)}
        good = {place: one for place, one in answers.items() if one.get("model_id") == side.model_id}
        failed = failed or len(good) < len(answers)
        again: dict[int, Answered] = {}
        try:
            if rest := [one for one in part if one.place not in good]:
                left = max(manner.seconds - seconds, manner.seconds / 2)
                again = await ask_part(None, rest, manner.changed(seconds=left))
                failed = failed or any(isinstance(one, dict) for one in again.values())
        finally:
            self._count(recipe, side, {} if failed else good, failed=failed, seconds=seconds)
        return {**good, **{place: _marked(one) for place, one in again.items()}}

    def _count(
        self, recipe: str, side: Side, found: Mapping[int, Answered], *, failed: bool = False, seconds: float = 0.0
    ) -> None:
        answers = [one for one in found.values() if isinstance(one, dict)]
        if not failed and not answers:
            return  # the caller's own mistakes say nothing of a model
        failed = failed or any(one.get("degraded") for one in answers)
        metrics.count_rollout_call(recipe, side.name, failed=failed, seconds=seconds)
        told = Counter({("calls", ""): 1})
        if failed:
            told["errors", ""] += 1
        else:
            told["latency", str(bisect.bisect_left(LATENCY_EDGES, seconds))] += 1
        for answer in answers:
            for head, one in answer.get("labels", {}).items():
                told["decisions", f"{head}={one['decision']}"] += 1
                told["labels", f"{head}={one['label']}"] += 1
            if "intents" in answer:
                told["decisions", f"source={answer.get('source')}"] += 1
                if answer["intents"]:
                    told["labels", f"intent={answer['intents'][0]['id']}"] += 1
        for (measure, name), count in told.items():
            self._counted[side.rollout, side.step, side.name, measure, name] += count


def _marked(answer: Answered) -> Answered:
    return answer | {FALLBACK: True} if isinstance(answer, dict) else answer
