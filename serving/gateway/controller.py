"""The controller of releases: carries decisions to the registry, and drives rollouts by what the gateways counted.

A process of its own beside the gateways, because the registry's client is large and a gateway is small. Several may
run: a lease on the rollout's row lets one of them lead, and every change names the revision that it was decided on, so
that even two leaders could not take one step twice. A controller that dies leaves the share as it is; the next one goes
on from the row.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from frontdesk.database import Database
from frontdesk.database.rollouts import Stored, active_rollouts, hold, move, read_counts
from frontdesk.deployment import current, switch
from frontdesk.errors import FrontdeskError
from frontdesk.evidence import Counts, Probe, Verdict, judge
from frontdesk.golden_questions import count_wrong
from frontdesk.logs import event
from frontdesk.registry import Registry
from frontdesk.releases import settle, synchronise
from frontdesk.rollout import CANDIDATE, CANDIDATE_SUFFIX, CONTROL, Progress, advance
from frontdesk.serving.gateway.models import Models
from frontdesk.storage import Store

EVERY_SECONDS = 2.0
LEASE = timedelta(seconds=30)
_PROBE_SECONDS = 10.0
_REGISTRY_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Controller:
    """Drives the rollouts of some recipes.

    Args:
        urls: ``{served name: address}`` of the model servers.
        clock: tells the time.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        registry: Registry,
        urls: Mapping[str, str],
        recipes: Sequence[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database, self._store, self._registry = database, store, registry
        self._models, self._recipes, self._clock = Models(urls), recipes, clock
        self._holder = f"{socket.gethostname()[:40]}:{os.getpid()}"
        self._synchronised: datetime | None = None

    async def run(self, every: float = EVERY_SECONDS) -> None:
        """Look again and again until cancelled; what fails is logged and tried again."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(every)
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._models.close()

    async def look(self) -> None:
        """Carry decisions between console and registry, and take every rollout as far as its evidence allows."""
        now = self._clock()
        if self._synchronised is None or (now - self._synchronised).total_seconds() >= _REGISTRY_SECONDS:
            self._synchronised = now
            for recipe in self._recipes:
                await self._guarded(recipe, asyncio.to_thread(self._carry, recipe, now))
        try:
            found = await asyncio.to_thread(active_rollouts, self._database)
        except FrontdeskError as error:
            event(_log, "rollouts_unknown", logging.WARNING, code=error.code)
            return
        for one in found:
            if one.recipe in self._recipes:
                await self._guarded(one.recipe, self._drive(one))

    def _carry(self, recipe: str, now: datetime) -> None:
        settle(self._database, self._store, recipe)
        synchronise(self._database, self._store, self._registry, recipe, now)

    async def _guarded(self, recipe: str, work: Awaitable[None]) -> None:
        try:
            await work
        except FrontdeskError as error:
            event(_log, "release_work_failed", logging.ERROR, recipe=recipe, code=error.code, reason=error.message)
        except Exception:
            _log.exception("release_work_failed", extra={"fields": {"recipe": recipe}})

    async def _drive(self, rollout: Stored) -> None:
        if not await asyncio.to_thread(hold, self._database, rollout, self._holder, self._clock(), LEASE):
            return
        if rollout.progress.status == "finishing":
            await asyncio.to_thread(self._switch, rollout)
        probe = await self.probe(rollout)
        verdict = await asyncio.to_thread(self._judge, rollout, probe)
        took_over = rollout.progress.status == "finishing" and await self._answers_as_candidate(rollout)
        now = self._clock()
        progress = advance(rollout.plan, rollout.progress, verdict, probe, champion_took_over=took_over, now=now)
        if (words := await asyncio.to_thread(self._foreign_champion, rollout)) is not None:
            progress = replace(rollout.progress, status="aborted", since=now, words=(words,))
        moved = await asyncio.to_thread(move, self._database, rollout, progress, verdict)
        if moved is None:
            return  # a person was faster: the next look sees it
        if _place(progress) != _place(rollout.progress):
            event(
                _log,
                "rollout_moved",
                recipe=rollout.recipe,
                rollout=rollout.id,
                status=progress.status,
                share=moved.share,
                reasons=list(progress.words),
            )
        if not moved.active:
            await asyncio.to_thread(settle, self._database, self._store, rollout.recipe)

    async def probe(self, rollout: Stored) -> Probe:
        """Ask the candidate's server the golden questions."""
        instances = [question["instance"] for question in rollout.questions]
        name = f"{rollout.recipe}{CANDIDATE_SUFFIX}"
        try:
            answers = await self._models.predict(rollout.recipe, instances, seconds=_PROBE_SECONDS, model=name)
        except FrontdeskError:
            return Probe(False)
        if any(answer.get("model_id") != rollout.candidate for answer in answers):
            return Probe(False)
        return Probe(True, count_wrong(rollout.questions, answers), len(answers))

    async def _answers_as_candidate(self, rollout: Stored) -> bool:
        with suppress(FrontdeskError):
            asked = [rollout.questions[0]["instance"]]
            answers = await self._models.predict(rollout.recipe, asked, seconds=_PROBE_SECONDS)
            return answers[0].get("model_id") == rollout.candidate
        return False

    def _judge(self, rollout: Stored, probe: Probe) -> Verdict:
        counts, step = read_counts(self._database, rollout.id), rollout.progress.step
        control = counts.get((step, CONTROL), Counts())
        if rollout.share == 1:  # nobody is left to compare with: the controls of the steps before stand for them
            for (_, arm), found in counts.items():
                control = control + found if arm == CONTROL else control
        return judge(rollout.plan, counts.get((step, CANDIDATE), Counts()), control, probe)

    def _switch(self, rollout: Stored) -> None:
        champion, deployed = self._registry.champion(rollout.recipe), current(self._store, rollout.recipe)
        if deployed is None or champion is None or {deployed["version"], champion.number} != {rollout.version}:
            version = self._registry.version(rollout.recipe, rollout.version)
            switch(self._store, self._registry, rollout.recipe, version)

    def _foreign_champion(self, rollout: Stored) -> str | None:
        """Return words where another model was deployed meanwhile: the comparison is void then."""
        deployed = current(self._store, rollout.recipe)
        if deployed is not None and deployed["model_id"] in (rollout.champion, rollout.candidate):
            return None
        return "Another model was deployed meanwhile."


def _place(progress: Progress) -> tuple[str, int]:
    return progress.status, progress.step


def watch(controller: Controller, every: float = EVERY_SECONDS) -> None:
    """Run a controller until SIGTERM or SIGINT."""

    async def until_stopped() -> None:
        task = asyncio.create_task(controller.run(every))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_stopped())
    event(_log, "controller_stopped")
