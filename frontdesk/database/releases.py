"""Releases in the database: what a version was, what was decided about it, by whom and on what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.tables import Release
from frontdesk.errors import UsageError

Decision = Literal["approved", "rejected"]
WAITING, ROLLING, DEPLOYED, ROLLED_BACK, REPLACED = "waiting", "rolling out", "deployed", "rolled back", "replaced"
RESTORE = "restore"


@dataclass(frozen=True)
class StoredRelease:
    """A release; the attributes are those of `frontdesk.database.tables.Release`."""

    recipe: str
    version: int
    model_id: str
    bundle: str
    snapshot: str
    state: str
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None
    told: bool
    asked: str | None
    metrics: dict[str, Any]
    gate: dict[str, Any]
    card: str
    seen_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return the record that is kept with the release."""
        return {
            "recipe": self.recipe,
            "version": self.version,
            "model_id": self.model_id,
            "snapshot": self.snapshot,
            "state": self.state,
            "decision": self.decision,
            "decided_by": self.decided_by,
            "decided_at": None if self.decided_at is None else self.decided_at.isoformat(),
            "metrics": self.metrics,
            "gate": self.gate,
            "card": self.card,
        }


def keep_release(
    database: Database,
    *,
    recipe: str,
    version: int,
    model_id: str,
    bundle: str,
    snapshot: str,
    metrics: dict[str, Any],
    gate: dict[str, Any],
    card: str,
    now: datetime,
) -> bool:
    """Keep a version that was registered; False where it is known already."""
    row = {"recipe": recipe, "version": version, "model_id": model_id, "bundle": bundle, "snapshot": snapshot}
    papers = {"metrics": metrics, "gate": gate, "card": card, "seen_at": now}
    with database.writing() as connection:
        return insert_once(connection, Release, row | papers | {"state": WAITING, "told": True})


def releases(database: Database, recipe: str | None = None) -> list[StoredRelease]:
    """Return releases, newest version first."""
    statement = sa.select(Release).order_by(Release.recipe, Release.version.desc())
    if recipe is not None:
        statement = statement.where(Release.recipe == recipe)
    with database.reading() as connection:
        return [StoredRelease(**row._mapping) for row in connection.execute(statement)]


def release(database: Database, recipe: str, version: int) -> StoredRelease:
    """Return a release. Raises `UsageError` for one that is not known."""
    found = next((one for one in releases(database, recipe) if one.version == version), None)
    if found is None:
        raise UsageError(f"{recipe} has no version {version}", where="VERSION")
    return found


def decide_release(
    database: Database, recipe: str, version: int, decision: Decision, by: str, now: datetime, *, told: bool
) -> StoredRelease:
    """Write down a decision; the first one stays, the same one again changes nothing.

    What is deployed may be approved afterwards, but not rejected.

    Args:
        told: whether the registry knows of it; a controller tells it otherwise.

    Raises:
        UsageError: the version is not known, was decided the other way, or has gone beyond the decision.
    """
    values = {"decision": decision, "decided_by": by, "decided_at": now, "told": told}
    waits = Release.state == WAITING
    may = Release.decision.is_(None) & (waits if decision == "rejected" else sa.true())
    becomes = sa.case((waits, decision), else_=Release.state)
    with database.writing() as connection:
        connection.execute(sa.update(Release).where(_is(recipe, version), may).values(**values, state=becomes))
        if told:
            same = (Release.decision == decision) & sa.not_(Release.told)
            connection.execute(sa.update(Release).where(_is(recipe, version), same).values(told=True))
    found = release(database, recipe, version)
    if found.decision != decision:
        state = f"is {found.state}" if found.decision is None else f"was {found.decision} by {found.decided_by}"
        raise UsageError(f"{recipe} version {version} {state}", remedy="A decision stays; register another version")
    return found


def set_state(database: Database, recipe: str, version: int, state: str) -> None:
    """Write down what became of a version; of the deployed ones, the others are replaced."""
    with database.writing() as connection:
        if state == DEPLOYED:
            others = (Release.recipe == recipe) & (Release.version != version) & (Release.state == DEPLOYED)
            connection.execute(sa.update(Release).where(others).values(state=REPLACED))
        connection.execute(sa.update(Release).where(_is(recipe, version)).values(state=state))


def ask_for(database: Database, recipe: str, version: int, what: str | None) -> None:
    """Leave a wish for the controller, or take it away. Raises `UsageError` where the version was never deployed."""
    if what == RESTORE and release(database, recipe, version).state != REPLACED:
        raise UsageError(f"{recipe} version {version} was not deployed before", where="VERSION")
    with database.writing() as connection:
        connection.execute(sa.update(Release).where(_is(recipe, version)).values(asked=what))


def _is(recipe: str, version: int) -> sa.ColumnElement[bool]:
    return (Release.recipe == recipe) & (Release.version == version)
