"""A granted request becomes a run of the lifecycle, wherever lifecycles run here; how it ended is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from frontdesk.database import Database
from frontdesk.database.retrainings import began_run, begin, end, past
from frontdesk.monitoring.plan import RetrainingPlan
from frontdesk.monitoring.retraining import Decision, Request, decide
from frontdesk.monitoring.training_rows import training_rows
from frontdesk.recipes import jobs
from frontdesk.records import load_columns
from frontdesk.storage import Store, canonical_json


@dataclass(frozen=True)
class Run:
    """What the lifecycle is to be started with.

    Attributes:
        data: address of the table.
        columns, parameters: as JSON.
        approval: ``none`` or ``required``.
    """

    recipe: str
    data: str
    columns: str
    parameters: str
    approval: str
    reason: str
    key: str

    def arguments(self, store: str, registry: str) -> dict[str, str]:
        """Return the arguments of the lifecycle pipeline."""
        values = {"data": self.data, "columns": self.columns, "parameters": self.parameters}
        return values | {"store": store, "registry": registry, "approval": self.approval, "reason": self.reason}


@dataclass(frozen=True)
class Started:
    """What became of a run when `Launch` returned.

    Attributes:
        run: its name on the pipeline server; None for the embedded runner.
        state: how it ended; ``running`` where it goes on by itself.
    """

    run: str | None = None
    state: Literal["running", "promoted", "held"] = "running"
    model_id: str | None = None


_ENDS = {"SUCCEEDED": "ended", "FAILED": "failed", "CANCELED": "failed", "SKIPPED": "failed"}

Launch = Callable[[Run], Started]


def retrain(
    database: Database, store: Store, plan: RetrainingPlan, request: Request, launch: Launch, *, dry_run: bool = False
) -> tuple[Decision, Started | None]:
    """Decide about a request, and start what is granted.

    Args:
        store: where training rows out of feedback go.
        launch: starts the lifecycle, or runs it.

    Raises:
        FrontdeskError: what kept a granted run from its start or its end; it is written down as failed.
    """
    decision = begin(database, request, partial(decide, limits=plan.limits, dry_run=dry_run))
    if not decision.start:
        return decision, None
    try:
        columns = load_columns(plan.columns, request.recipe)
        parameters = jobs(request.recipe).parameters_type.of(plan.set)
        key = request.key[:20]
        run = Run(
            recipe=request.recipe,
            data=training_rows(database, store, request.recipe, plan, columns, key, request.at),
            columns=canonical_json(columns.model_dump(mode="json")).decode(),
            parameters=canonical_json(parameters.model_dump(mode="json")).decode(),
            approval=plan.approval,
            reason=request.reason,
            key=key,
        )
        started = launch(run)
    except BaseException:
        end(database, request.key, "failed", datetime.now(UTC))
        raise
    if started.run is not None:
        began_run(database, request.key, started.run)
    if started.state != "running":
        end(database, request.key, started.state, datetime.now(UTC), started.model_id)
    return decision, started


def settle(database: Database, recipe: str, state_of: Callable[[str], str]) -> None:
    """Write down how runs on a pipeline server ended, before the next request is decided.

    Args:
        state_of: the state of a run as the server calls it.
    """
    for row in past(database, recipe):
        if row.state == "running" and row.run is not None and (ended := _ENDS.get(state_of(row.run))) is not None:
            end(database, row.key, ended, datetime.now(UTC))


def noted(decision: Decision, request: Request | None) -> dict[str, Any]:
    """Return plain values of a decision and its request, which `request_noted` reads back."""
    if request is None:
        return decision.as_json()
    return decision.as_json() | {"request": vars(request) | {"at": request.at.isoformat()}}


def request_noted(content: dict[str, Any]) -> Request | None:
    """Return the request of a decision, None where there was none."""
    if (found := content.get("request")) is None:
        return None
    return Request(**found | {"at": datetime.fromisoformat(found["at"])})
