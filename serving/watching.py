"""A new version beside the old one: the server follows what a store says is deployed.

The new bundle is loaded in a thread, every digest and golden row checked, and takes over between two requests; a
request keeps the bundle that it began with. A version that cannot be loaded leaves the old one in place, and is not
tried again until another is deployed.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any

from frontdesk.bundle import Bundle
from frontdesk.deployment import current, offered
from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.logs import event
from frontdesk.rollout import CANDIDATE_SUFFIX
from frontdesk.serving import metrics
from frontdesk.serving.model import BundleModel
from frontdesk.storage import Store

LOOK_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Deployed:
    """What a store says is deployed for a recipe.

    Args:
        store: of the deployments.
        name: the recipe, or ``<recipe>-candidate`` for the version that a rollout tries; while there is none, that is
            the deployed one.
        load: opens a bundle at an address.
    """

    def __init__(self, store: Store, name: str, load: Callable[[str], Bundle]) -> None:
        self._recipe = name.removesuffix(CANDIDATE_SUFFIX)
        self._store, self._load = store, load
        self._read = current if name == self._recipe else offered

    def pointer(self) -> dict[str, Any]:
        """Return ``model_id`` and ``uri``. Raises `UsageError` before the first deployment, `StorageError`."""
        found = self._read(self._store, self._recipe)
        if found is None:
            words = f"no {self._recipe} model is deployed in this store"
            raise UsageError(words, where=self._store.root, remedy="Deploy one: frontdesk run")
        return found

    def open(self, uri: str | None = None) -> Bundle:
        """Load what is deployed now, or a bundle at an address."""
        return self._load(uri or self.pointer()["uri"])


class Watcher:
    """Keeps a model at what is deployed.

    Args:
        model: the served one.
        deployed: what it follows.
        seconds: between two looks.
    """

    def __init__(self, model: BundleModel, deployed: Deployed, seconds: float = LOOK_SECONDS) -> None:
        self._model, self._deployed, self._seconds = model, deployed, seconds
        self._refused = ""

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            await self.look()

    async def look(self) -> None:
        """Take over a version that has been deployed since; a failure is logged and counted, and the old one stays."""
        model_id = ""
        try:
            pointer = await asyncio.to_thread(self._deployed.pointer)
            model_id = str(pointer["model_id"])
            if model_id == self._model.bundle.model_id:
                self._refused = ""
                return
            if model_id == self._refused:
                return
            load = functools.partial(self._deployed.open, pointer["uri"])
            await asyncio.to_thread(self._model.open, load)
            metrics.count_switch(self._model.name, "switched")
            self._refused = ""
        except Exception as error:  # whatever a bundle or a store does, what is served goes on
            self._refused = model_id
            metrics.count_switch(self._model.name, "failed")
            reason = error.message if isinstance(error, FrontdeskError) else type(error).__name__
            event(
                _log, "switch_failed", logging.ERROR, model=self._model.name, model_id=model_id or None, reason=reason
            )
