"""A quarter from its first day to its last: tickets, looks, a retraining, releases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frontdesk.cli.rehearsal.desk import Clock, Desk, open_desk
from frontdesk.cli.rehearsal.places import PARAMETERS, RECIPE, Places, open_places, ready, until
from frontdesk.cli.rehearsal.rollouts import Rollouts
from frontdesk.cli.rehearsal.story import Story, as_json
from frontdesk.database.rollouts import active_rollouts
from frontdesk.deployment import current, gate_of
from frontdesk.errors import FrontdeskError
from frontdesk.monitoring.looking import look_at
from frontdesk.monitoring.plan import plan_of
from frontdesk.registry import Version
from frontdesk.releases import decide
from frontdesk.simulation.quarter import DAYS, WEEK, Quarter, simulate_quarter

START = datetime(2026, 1, 5, tzinfo=UTC)
FAULT_DAY = 56
"""From this day on, broken candidates are rolled out one after the other."""
_TOGETHER = 20
_AT_ONCE = 16
_LOOKS_EVERY = 40  # tickets

Told = Callable[[dict[str, Any]], None]


def rehearse(out: Path, *, seed: int = 0, told: Told = lambda _: None) -> dict[str, Any]:
    """Rehearse a quarter in an empty folder; return what `story.as_json` makes of it.

    Args:
        told: is called with every event.

    Raises:
        FrontdeskError: a part could not do its work.
    """
    quarter = simulate_quarter(START, seed=seed)
    places = open_places(out, quarter)
    try:
        return asyncio.run(_run(places, quarter, Story(quarter, seed), told))
    finally:
        for server in (places.champion, places.candidate):
            server.stop()
        places.database.close()


async def _run(places: Places, quarter: Quarter, story: Story, told: Told) -> dict[str, Any]:
    sets = [part for name, value in PARAMETERS.items() for part in ("--set", f"{name}={value}")]
    files = ("--data", str(places.history), "--columns", str(places.columns), "--out", str(places.out / "first"))
    first = places.command("first-training", "run", RECIPE, *files, *sets)
    async with AsyncExitStack() as stack:
        stack.callback(first.stop)
        await first.answer()
        told(story.tell(0, "deployed", f"a year of {quarter.history.num_rows:,} tickets made the first model"))
        await asyncio.gather(ready(places.champion), ready(places.candidate))
        clock = Clock(quarter.start)
        desk = await stack.enter_async_context(open_desk(places.database, places.urls, clock))
        days = _Days(places, quarter, story, told, clock, desk)
        stack.push_async_callback(days.close)
        for day in range(DAYS + 1):
            await days.live(day)
        return await asyncio.to_thread(days.content)


class _Days:
    """What is done day by day."""

    def __init__(self, places: Places, quarter: Quarter, story: Story, told: Told, clock: Clock, desk: Desk) -> None:
        self._places, self._quarter, self._story, self._told = places, quarter, story, told
        self._clock, self._desk = clock, desk
        self._rollouts = Rollouts(places, desk, clock)
        self._plan = plan_of(str(places.plan), RECIPE)
        self._monitors: list[Any] = []
        self._models = [{"day": 0, "model_id": self._deployed(), "version": 1}]

    async def live(self, day: int) -> None:
        """Look back at the week on Mondays, then live a day; the day after the last has only the look."""
        self._clock.moment = self._quarter.moment(day)
        if day and day % WEEK == 0:
            await self._look(day)
        if day == DAYS:
            return
        for change, begins in self._story.injected.items():
            if day == begins:
                words = {
                    "text": "customers use other words for half of what they write about",
                    "label": f"the desk splits {self._quarter.split}",
                }
                self._tell(day, "injected", words[change], change=change)
        while day >= FAULT_DAY and not self._rollouts.active:
            count = len(self._rollouts.ended)
            if (fault := await self._rollouts.break_next()) is None:
                break
            self._tell(day, "rollout", f"a broken candidate is rolled out: {fault}", fault=fault)
            self._tell_ends(day, count)
        tickets = self._quarter.opened(day)
        if self._rollouts.active:
            await self._ask_singly(day, tickets)
        else:
            for begin in range(0, len(tickets), _TOGETHER):
                await self._desk.ask(tickets[begin : begin + _TOGETHER])
        await self._desk.close(self._quarter.closed(day), day // WEEK)

    async def close(self) -> None:
        """End what was started."""
        await self._rollouts.close()
        for monitor in self._monitors:
            monitor.stop()

    def content(self) -> dict[str, Any]:
        """Return the whole story."""
        tally = self._desk.tally
        calls = {
            "requests": sum(tally.statuses.values()),
            "answers": sum(tally.models.values()),
            "failed": tally.failed,
            "models": dict(tally.models),
            "last_model": tally.last_model,
        }
        return as_json(self._story, self._places, self._rollouts.ended, self._models, calls)

    def _tell(self, day: int, kind: str, words: str, **more: Any) -> None:
        self._told(self._story.tell(day, kind, words, **more))

    def _deployed(self) -> str:
        pointer = current(self._places.store, RECIPE)
        assert pointer is not None
        return str(pointer["model_id"])

    async def _look(self, day: int) -> None:
        places = self._places
        seen = await asyncio.to_thread(
            look_at, places.database, RECIPE, self._plan, places.store.root, self._clock.now()
        )
        accuracy = self._desk.tally.accuracy(day // WEEK - 1)
        self._told(self._story.look(day, seen, accuracy, self._deployed()))
        if seen.asks:
            await self._retrain(day)

    async def _retrain(self, day: int) -> None:
        """Let two monitors ask at once, approve the candidate that one of them trained, and see its rollout begin."""
        places, now = self._places, self._clock.now()
        options = ("--now", now.isoformat(), "--plan", str(places.plan), "--retrain")
        folder = ("--out", str(places.out / "retraining"), "--verdict", str(places.out / f"verdict-{day}"))
        self._monitors = [
            places.command(f"monitor-{day}-{place}", "monitor", RECIPE, *options, *folder) for place in (1, 2)
        ]

        def waiting() -> Version | None:
            versions = places.registry.versions(RECIPE)
            return next((one for one in versions if one.number > 1 and not one.approved), None)

        def go_on() -> bool:
            return not all(monitor.ended for monitor in self._monitors)

        version = await until("a candidate", waiting, go_on)
        gate = gate_of(places.store, RECIPE, version.model_id)
        self._tell(
            day,
            "candidate",
            f"version {version.number}, trained because of {version.reason}, passed the gate and waits for approval",
            version=version.number,
            model_id=version.model_id,
            reason=version.reason,
            gate=gate,
        )
        given = {"recipe": RECIPE, "number": version.number, "decision": "approved", "by": "Ada", "now": now}
        await asyncio.to_thread(decide, places.database, places.store, places.registry, **given)
        self._tell(day, "approved", f"Ada approved version {version.number}", version=version.number)
        await until("the rollout", lambda: active_rollouts(places.database) or None, go_on)
        self._tell(day, "rollout", f"version {version.number} is rolled out", version=version.number, fault=None)
        await self._rollouts.look()

    async def _ask_singly(self, day: int, tickets: list[dict[str, Any]]) -> None:
        """Ask for each ticket alone, so that a rollout has calls to count; look now and then."""
        for begin in range(0, len(tickets), _AT_ONCE):
            await self._desk.ask_each(tickets[begin : begin + _AT_ONCE])
            if self._rollouts.active and (begin // _AT_ONCE) % (_LOOKS_EVERY // _AT_ONCE) == 0:
                await self._look_at_rollout(day)
        if self._rollouts.active:
            await self._look_at_rollout(day)

    async def _look_at_rollout(self, day: int) -> None:
        count = len(self._rollouts.ended)
        found = await self._rollouts.look()
        if found.progress.status == "paused":
            raise FrontdeskError("a rollout waits for a person", where=" ".join(found.progress.words))
        self._tell_ends(day, count)
        if count == 0 and not found.active:
            if self._deployed() != self._models[-1]["model_id"]:
                self._models.append({"day": day, "model_id": self._deployed(), "version": found.version})
            answers = [await monitor.answer() for monitor in self._monitors]
            decisions = sorted(answer["retraining"]["answer"] for answer in answers)
            self._tell(
                day, "retraining", f"the monitors that asked at once heard: {', '.join(decisions)}", heard=decisions
            )

    def _tell_ends(self, day: int, count: int) -> None:
        for fault, one in self._rollouts.ended[count:]:
            words = f"version {one.version} was {one.progress.status}: {' '.join(one.progress.words)}"
            self._tell(day, one.progress.status, words, version=one.version, fault=fault)
