"""Rollouts of a rehearsal: driven by the real controller by the simulated clock, with candidates that break."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from frontdesk.bundle.folder import METRICS, model_id_of
from frontdesk.cli.rehearsal.broken_candidate import FAULTS
from frontdesk.cli.rehearsal.desk import Clock, Desk
from frontdesk.cli.rehearsal.places import RECIPE, ROLLOUT, Places, ready
from frontdesk.database.rollouts import Stored, active_rollouts, latest_rollout
from frontdesk.deployment import current, enter
from frontdesk.errors import FrontdeskError
from frontdesk.registry import Version
from frontdesk.releases import begin_rollout
from frontdesk.serving.gateway.child import Child
from frontdesk.serving.gateway.controller import Controller
from frontdesk.storage import MANIFEST, Store, canonical_json

NEVER_READY = "never ready"
_ORDER = ("slow", "fails", "wrong", NEVER_READY)
_SETTLE_SECONDS = 120.0
_PAUSE = 0.2


class Rollouts:
    """Drives what is rolled out, and rolls broken candidates out one after the other.

    Attributes:
        ended: ``[(what is wrong with the candidate or None, rollout)]``.
    """

    def __init__(self, places: Places, desk: Desk, clock: Clock) -> None:
        assert set(_ORDER) == {*FAULTS, NEVER_READY}
        self._places, self._desk, self._clock = places, desk, clock
        urls = places.urls
        self._controller = Controller(places.database, places.store, places.registry, urls, [RECIPE], clock=clock.now)
        self._faults = deque(_ORDER)
        self._fault: str | None = None
        self._broken: Child | None = None
        self.ended: list[tuple[str | None, Stored]] = []

    @property
    def active(self) -> bool:
        """Whether a rollout goes on."""
        return bool(active_rollouts(self._places.database))

    async def look(self) -> Stored:
        """Let the gateway tell what it counted and the controller take its next step; wait while a server loads."""
        end = time.monotonic() + _SETTLE_SECONDS
        while True:
            await self._desk.gateway.traffic.refresh()
            await self._controller.look()
            await self._desk.gateway.traffic.refresh()
            found = await asyncio.to_thread(latest_rollout, self._places.database, RECIPE)
            if found.progress.status not in ("waiting", "finishing"):
                break
            if time.monotonic() > end:
                raise FrontdeskError(f"a rollout stays {found.progress.status}", where=f"version {found.version}")
            if self._fault == NEVER_READY:
                self._clock.moment += timedelta(hours=1)
            else:
                await asyncio.sleep(_PAUSE)
        if not found.active:
            self.ended.append((self._fault, found))
            self._fault = None
            if self._broken is not None:
                await asyncio.to_thread(self._broken.stop)
                self._broken = None
        return found

    async def break_next(self) -> str | None:
        """Roll the next broken candidate out; return what is wrong with it, None where all were tried."""
        if not self._faults:
            return None
        self._fault = fault = self._faults.popleft()
        await asyncio.to_thread(self._places.candidate.stop)
        version = await asyncio.to_thread(self._twin, fault)
        if fault != NEVER_READY:
            self._broken = self._places.broken(version.bundle, fault)
            await ready(self._broken)
        await asyncio.to_thread(self._begin, version)
        await self.look()
        return fault

    async def close(self) -> None:
        """End what was started."""
        if self._broken is not None:
            await asyncio.to_thread(self._broken.stop)
        await self._controller.close()

    def _begin(self, version: Version) -> None:
        places = self._places
        begin_rollout(
            places.database,
            places.store,
            places.registry,
            recipe=RECIPE,
            number=version.number,
            plan=ROLLOUT,
            by="rehearsal",
            now=self._clock.now(),
        )

    def _twin(self, fault: str) -> Version:
        """Register the deployed bundle again as if it were trained on other rows: another model_id, equal answers."""
        store, champion = self._places.store, current(self._places.store, RECIPE)
        assert champion is not None
        name = f"rehearsal-{fault.replace(' ', '-')}"
        _copy(store, champion["model_id"], name)
        return enter(store, self._places.registry, recipe=RECIPE, fused=name, reason="manual")


def _copy(store: Store, model_id: str, name: str) -> None:
    """Put a copy of a bundle where job 5 leaves one."""
    with store.writing("fused", name) as folder:
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        store.fetch("models", RECIPE, model_id, to=bundle)
        manifest: dict[str, Any] = orjson.loads((bundle / MANIFEST).read_bytes()) | {"snapshot": name}
        manifest["model_id"] = model_id_of(manifest)
        (bundle / MANIFEST).write_bytes(canonical_json(manifest))
        metrics = orjson.loads((bundle / METRICS).read_bytes())
        content = {"id": name, "model_id": manifest["model_id"], "snapshot": name, "parameters": {}, "history": []}
        (folder / MANIFEST).write_bytes(canonical_json(content | {"metrics": metrics}))
