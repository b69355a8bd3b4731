"""Where a rehearsal happens: one folder with its store, registry and database, and the processes that work on them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from frontdesk.database import Database, open_database
from frontdesk.errors import FrontdeskError
from frontdesk.registry import Registry
from frontdesk.rollout import CANDIDATE_SUFFIX, Plan
from frontdesk.serving import processes
from frontdesk.serving.gateway.child import Child
from frontdesk.serving.listener import listen
from frontdesk.simulation.quarter import Quarter
from frontdesk.simulation.tickets import write
from frontdesk.storage import Store, canonical_json

RECIPE = "ticket"
PARAMETERS: dict[str, Any] = {"epochs": 10, "embedding": 16, "filters": 16, "hidden": 32, "max_tokens": 48}
PARAMETERS |= {"max_words": 1_500, "max_phrases": 1_500, "split": "time", "test_share": 0.06}
"""Small, so that a training takes seconds. The newest rows are the test rows, which no champion has seen."""
ROLLOUT = Plan(
    steps=(50, 100),
    bake_seconds=12 * 3600,
    least=40,
    patience_seconds=30 * 86_400,
    ready_seconds=6 * 3600,
    rise=0.3,
    slower=2.0,
    slack_seconds=0.2,
    shift=0.6,
    alpha=0.3,
)
"""Wide tolerances: a simulated day has few calls. Seconds are simulated ones, but for latency."""
_WAIT_SECONDS = 1_800.0
_LOOK = ("--look-seconds", "0.3")
T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """The folder of a rehearsal, opened.

    Attributes:
        champion, candidate: the model servers, not started.
        environment: of the commands that work here.
    """

    out: Path
    database: Database
    store: Store
    registry: Registry
    champion: Child
    candidate: Child
    environment: dict[str, str]

    @property
    def urls(self) -> dict[str, str]:
        """``{served name: address}``."""
        return {RECIPE: self.champion.url, f"{RECIPE}{CANDIDATE_SUFFIX}": self.candidate.url}

    @property
    def history(self) -> Path:
        """The table of the year before."""
        return self.out / "history.parquet"

    @property
    def columns(self) -> Path:
        """The column mapping: the time of a ticket is no input, because requests do not tell it."""
        return self.out / "columns.yaml"

    @property
    def plan(self) -> Path:
        """What is watched and when a model is trained again."""
        return self.out / "monitoring.yaml"

    def broken(self, bundle: str, fault: str) -> Child:
        """Return a server in the candidate's place that breaks on purpose."""
        module = "frontdesk.cli.rehearsal.broken_candidate"
        return self._server(f"candidate that {fault}", ["-m", module, bundle, "--fault", fault], self.candidate.url)

    def command(self, name: str, *arguments: str) -> Command:
        """Start a ``frontdesk`` command that works here."""
        return Command(self.out / "logs", name, arguments, self.environment)

    def _server(self, name: str, arguments: Sequence[str], url: str) -> Child:
        log = self.out / "logs" / f"{name.replace(' ', '-')}.log"
        return Child(name, arguments, log, int(url.rpartition(":")[2]))


def open_places(out: Path, quarter: Quarter) -> Places:
    """Make the folder of a rehearsal. Raises `UsageError` where there was one before."""
    out = out.absolute()
    (out / "logs").mkdir(parents=True, exist_ok=True)
    database = open_database(f"sqlite:///{out / 'frontdesk.db'}")
    database.upgrade()
    store, registry = str(out / "store"), f"sqlite:///{out / 'mlflow.db'}"
    environment = {
        "FRONTDESK_DATABASE": f"sqlite:///{out / 'frontdesk.db'}",
        "FRONTDESK_STORE": store,
        "FRONTDESK_MLFLOW": registry,
        "FRONTDESK_ROLLOUT": ROLLOUT.model_dump_json(),
    }
    servers = []
    for name, served in (("champion", RECIPE), ("candidate", f"{RECIPE}{CANDIDATE_SUFFIX}")):
        with listen("127.0.0.1", 0) as probe:
            port = int(probe.getsockname()[1])
        arguments = ["-m", "frontdesk.serving", served, "--store", store, *_LOOK]
        servers.append(Child(f"{name}'s server", arguments, out / "logs" / f"{name}.log", port))
    places = Places(out, database, Store(store), Registry(registry), servers[0], servers[1], os.environ | environment)
    write(quarter.history, places.history)
    from frontdesk.records import DEFAULT_TICKET_COLUMNS

    mapping = DEFAULT_TICKET_COLUMNS.model_dump(mode="json") | {"use_created_at": False}
    del mapping["features"]
    places.columns.write_bytes(canonical_json(mapping))
    retraining = {"data": str(places.history), "columns": str(places.columns), "set": PARAMETERS}
    # One retraining a quarter: what is found so soon after it waits for its cool-down.
    retraining |= {"approval": "required", "cool_down_days": 60, "lease_days": 30}
    watched = {"days": 7, "reference_windows": 3, "least": 200, "delay_days": 3, "persistence": 2}
    content = {"format": 1, "recipes": {RECIPE: watched | {"retraining": retraining}}}
    places.plan.write_bytes(canonical_json(content))
    return places


class Command:
    """A ``frontdesk`` command in a process of its own; it ends with this one.

    Args:
        folder: takes its output.
        name: of the files.
    """

    def __init__(self, folder: Path, name: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self._answer, self._log = folder / f"{name}.json", folder / f"{name}.log"
        with self._answer.open("wb") as answer, self._log.open("wb") as log:
            self._process: subprocess.Popen[bytes] = processes.start(
                [sys.executable, "-m", "frontdesk.cli.main", *arguments, "--json"],
                stdout=answer,
                stderr=log,
                env=environment,
            )

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    async def answer(self) -> dict[str, Any]:
        """Return what it printed when it has ended. Raises `FrontdeskError` where it failed, with its own words."""
        code = await asyncio.to_thread(self._process.wait)
        try:
            content: dict[str, Any] = orjson.loads(self._answer.read_bytes())
        except orjson.JSONDecodeError:
            content = {"error": {"message": f"it ended with exit code {code}"}}
        if code:
            raise FrontdeskError(f"{self.name}: {content['error']['message']}", where=str(self._log))
        return content

    def stop(self) -> None:
        """End it."""
        if not self.ended:
            self._process.terminate()
            processes.wait(self._process)


async def until(what: str, find: Callable[[], T | None], goes_on: Callable[[], bool] = lambda: True) -> T:
    """Wait until something is found.

    Args:
        what: for the error.
        find: looks for it, in a thread.
        goes_on: whether it may still come.

    Raises:
        FrontdeskError: it did not come.
    """
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        may_come = goes_on() and time.monotonic() < end
        if (found := await asyncio.to_thread(find)) is not None:
            return found
        if not may_come:
            raise FrontdeskError(f"{what} did not come", remedy="The logs in the folder of the rehearsal say why")
        await asyncio.sleep(0.2)


async def ready(server: Child) -> None:
    """Start a server and wait until it is ready. Raises `FrontdeskError` where it ends before."""
    server.start()
    await until(f"the {server.name}", lambda: server.is_ready() or None, server.is_alive)
