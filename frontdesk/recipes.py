"""The table of recipes: what does the six jobs for which name, and what makes records with known truth for it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from frontdesk.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from frontdesk.features import OpenJoin
    from frontdesk.jobs import Jobs


@dataclass(frozen=True)
class Room:
    """Where a recipe's parts stand.

    Attributes:
        jobs: ``module:class`` of its `frontdesk.jobs.Jobs`.
        simulation: module of its simulator.
    """

    jobs: str
    simulation: str


_ROOMS = {
    "email": Room("frontdesk.email.jobs:EmailJobs", "frontdesk.simulation.emails"),
    "intent": Room("frontdesk.intent.jobs:IntentJobs", "frontdesk.simulation.sessions"),
    "ticket": Room("frontdesk.ticket.jobs:TicketJobs", "frontdesk.simulation.tickets"),
}


class Simulation(Protocol):
    """What a recipe's simulator offers."""

    DEMO_ROWS: int
    DEMO_PARAMETERS: tuple[str, ...]
    """``KEY=VALUE`` pairs that keep a demo short."""
    DEMO_QUESTION: dict[str, Any]
    """An instance to ask a served model."""
    DRIFTS: tuple[str, ...]
    """Names of the changes that can be switched on."""

    def simulate(self, rows: int, seed: int, drift: str | None = None) -> pa.Table:
        """Make records with known truth. Raises `UsageError` for an unknown drift."""

    def write(self, table: pa.Table, path: Path) -> None:
        """Write records as ``.csv``, ``.parquet`` or ``.jsonl``."""


def names() -> list[str]:
    """Return the recipes that this release knows."""
    return sorted(_ROOMS)


def jobs(recipe: str, open_join: OpenJoin | None = None) -> Jobs:
    """Return the jobs of a recipe.

    Args:
        recipe: its name.
        open_join: joins features to the tables that are read; see `frontdesk.features`.

    Raises:
        UsageError: there is no such recipe.
    """
    module, _, name = _room(recipe).jobs.partition(":")
    return cast("Jobs", getattr(importlib.import_module(module), name)(open_join))


def simulation(recipe: str) -> Simulation:
    """Return the simulator of a recipe. Raises `UsageError` for an unknown name."""
    return cast(Simulation, importlib.import_module(_room(recipe).simulation))


def _room(recipe: str) -> Room:
    if recipe not in _ROOMS:
        raise UsageError(f"there is no recipe {recipe!r}", remedy=f"Recipes: {', '.join(names())}")
    return _ROOMS[recipe]
