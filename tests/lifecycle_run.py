"""One small lifecycle, run once per test session: its folder, and how to run it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from frontdesk.pipelines.local import RunResult, run_lifecycle
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.ticket.recipe import TicketParameters

ROWS = 600
SMALL = {"epochs": 10, "embedding": 16, "filters": 16, "hidden": 32, "max_tokens": 48, "split": "random"}
SMALL |= {"max_words": 300, "max_phrases": 300}
"""Enough to beat the majority label on simulated tickets, in seconds."""


def write_tickets(path: Path) -> Path:
    """Write the simulated tickets of every run."""
    from frontdesk.simulation.tickets import simulate, write

    write(simulate(ROWS, seed=7), path)
    return path


def run_small(data: Path, out: Path, **parameters: Any) -> RunResult:
    """Run the lifecycle with small parameters; more of them change these."""
    chosen = TicketParameters(**(SMALL | parameters))
    return run_lifecycle("ticket", data=str(data), columns=DEFAULT_TICKET_COLUMNS, parameters=chosen, out=out)


@dataclass(frozen=True)
class FinishedRun:
    """A run that was not disturbed. Tests read it; those that change something copy the folder first."""

    data: Path
    out: Path
    result: RunResult


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Run the lifecycle on simulated tickets."""
    folder = tmp_path_factory.mktemp("lifecycle")
    data = write_tickets(folder / "tickets.parquet")
    return FinishedRun(data, folder / "out", run_small(data, folder / "out"))
