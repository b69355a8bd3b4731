"""Rollouts in the database, one at a time per recipe, changed only by who has read the newest state; their counts."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.identity import new_id
from frontdesk.database.tables import NAME, Rollout, RolloutCount
from frontdesk.errors import UsageError
from frontdesk.evidence import Counts, Verdict
from frontdesk.rollout import ACTIVE, Plan, Progress, begin

Counted = Mapping[tuple[str, int, str, str, str], int]
"""``{(rollout, step, arm, measure, name): how many more}``."""
_NAME_CHARACTERS = 2 * NAME


@dataclass(frozen=True)
class Stored:
    """A rollout as it was read; the attributes are those of `frontdesk.database.tables.Rollout`."""

    id: str
    recipe: str
    revision: int
    version: int
    candidate: str
    champion: str
    plan: Plan
    salt: str
    questions: list[dict[str, Any]]
    progress: Progress
    verdict: dict[str, Any]
    history: list[dict[str, Any]]
    started_at: datetime
    started_by: str

    @property
    def share(self) -> float:
        """Share of the cases that the candidate answers, 0 to 1."""
        return self.progress.share(self.plan)

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return self.progress.status in ACTIVE

    def as_json(self) -> dict[str, Any]:
        """Return plain values to show."""
        return {
            "recipe": self.recipe,
            "rollout": self.id,
            "version": self.version,
            "candidate": self.candidate,
            "champion": self.champion,
            "status": self.progress.status,
            "share": self.share,
            "step": self.progress.step,
            "steps": list(self.plan.steps),
            "since": self.progress.since.isoformat(),
            "reasons": list(self.progress.words),
            "verdict": self.verdict,
            "started_at": self.started_at.isoformat(),
            "started_by": self.started_by,
            "history": self.history,
        }


def start_rollout(
    database: Database,
    *,
    recipe: str,
    version: int,
    candidate: str,
    champion: str,
    plan: Plan,
    questions: list[dict[str, Any]],
    by: str,
    now: datetime,
) -> Stored:
    """Begin a rollout. Raises `UsageError` where one of the recipe goes on."""
    progress = begin(now)
    row = {
        "id": new_id(),
        "recipe": recipe,
        "active": recipe,
        "revision": 0,
        "version": version,
        "candidate": candidate,
        "champion": champion,
        "plan": plan.model_dump(mode="json"),
        "salt": secrets.token_hex(16),
        "questions": questions,
        "verdict": {},
        "history": [_entry(progress, plan)],
        "started_at": now,
        "started_by": by,
        **_columns(progress, plan),
    }
    with database.writing() as connection:
        # On PostgreSQL and SQLite alike, no conflict target means: any constraint, also that of `active`.
        if not insert_once(connection, Rollout, row):
            raise UsageError(
                f"a rollout of {recipe} goes on already",
                remedy=f"frontdesk rollout status {recipe}, or frontdesk rollout abort {recipe}",
            )
        return _stored(connection.execute(sa.select(Rollout).where(Rollout.id == row["id"])).one())


def active_rollouts(database: Database) -> list[Stored]:
    """Return the rollouts that go on."""
    with database.reading() as connection:
        return [_stored(row) for row in connection.execute(sa.select(Rollout).where(Rollout.active.is_not(None)))]


def latest_rollouts(database: Database) -> dict[str, Stored]:
    """Return the newest rollout of each recipe."""
    newest = sa.select(Rollout).where(Rollout.id.in_(sa.select(sa.func.max(Rollout.id)).group_by(Rollout.recipe)))
    with database.reading() as connection:
        return {row.recipe: _stored(row) for row in connection.execute(newest)}


def latest_rollout(database: Database, recipe: str) -> Stored:
    """Return the newest rollout of a recipe. Raises `UsageError` where there never was one."""
    if (found := latest_rollouts(database).get(recipe)) is None:
        raise UsageError(f"{recipe} has had no rollout", remedy=f"frontdesk rollout start {recipe}")
    return found


def move(database: Database, stored: Stored, progress: Progress, verdict: Verdict | None = None) -> Stored | None:
    """Write where a rollout goes, and what was thought of it; None where somebody else moved it first."""
    values: dict[str, Any] = {"revision": stored.revision + 1, **_columns(progress, stored.plan)}
    if progress.status not in ACTIVE:
        values["active"] = None
    seen = stored.verdict
    if verdict is not None:
        seen = {"state": verdict.state, "reasons": list(verdict.reasons), "watch": list(verdict.watch)}
        values["verdict"] = seen
    history = stored.history
    if (progress.status, progress.step) != (stored.progress.status, stored.progress.step):
        history = values["history"] = [*history, _entry(progress, stored.plan)]
    mine = (Rollout.id == stored.id) & (Rollout.revision == stored.revision)
    with database.writing() as connection:
        if connection.execute(sa.update(Rollout).where(mine).values(**values)).rowcount != 1:
            return None
    return replace(stored, revision=stored.revision + 1, progress=progress, verdict=seen, history=history)


def change(database: Database, recipe: str, how: Callable[[Stored], Progress]) -> Stored:
    """Move the newest rollout of a recipe by a person's word.

    Args:
        how: returns where it goes, or raises `UsageError` where it cannot.
    """
    while True:
        stored = latest_rollout(database, recipe)
        if (moved := move(database, stored, how(stored))) is not None:
            return moved


def hold(database: Database, stored: Stored, holder: str, now: datetime, lease: timedelta) -> bool:
    """Take or keep the lead of a rollout; False where another controller has it."""
    free = (Rollout.holder.is_(None)) | (Rollout.holder == holder) | (Rollout.held_until < now)
    with database.writing() as connection:
        statement = sa.update(Rollout).where(Rollout.id == stored.id, free)
        return connection.execute(statement.values(holder=holder, held_until=now + lease)).rowcount == 1


def add_counts(database: Database, counted: Counted) -> None:
    """Add what a gateway has counted to what all of them have."""
    with database.writing() as connection:
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        for (rollout, step, arm, measure, name), count in sorted(counted.items()):  # one order: no deadlock
            row = {"rollout": rollout, "step": step, "arm": arm, "measure": measure, "name": name[:_NAME_CHARACTERS]}
            made = dialect.insert(RolloutCount).values(**row, count=count)
            more = {"count": RolloutCount.count + made.excluded.count}
            connection.execute(made.on_conflict_do_update(index_elements=list(row), set_=more))


def read_counts(database: Database, rollout: str) -> dict[tuple[int, str], Counts]:
    """Return ``{(step, arm): counts}`` of a rollout."""
    with database.reading() as connection:
        found = connection.execute(sa.select(RolloutCount).where(RolloutCount.rollout == rollout)).all()
    by_place: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for row in found:
        by_place[row.step, row.arm].append(row)
    return {place: _counts(rows) for place, rows in by_place.items()}


def _counts(rows: Iterable[Any]) -> Counts:
    named: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        named[row.measure][row.name] = int(row.count)
    return Counts(
        named["calls"].get("", 0),
        named["errors"].get("", 0),
        {int(place): count for place, count in named["latency"].items()},
        named["decisions"],
        named["labels"],
    )


def _columns(progress: Progress, plan: Plan) -> dict[str, Any]:
    return {
        "status": progress.status,
        "step": progress.step,
        "share": progress.share(plan),
        "since": progress.since,
        "ready_at": progress.ready_at,
        "words": list(progress.words),
    }


def _entry(progress: Progress, plan: Plan) -> dict[str, Any]:
    return {
        "at": progress.since.isoformat(),
        "status": progress.status,
        "step": progress.step,
        "share": progress.share(plan),
        "words": list(progress.words),
    }


def _stored(row: Any) -> Stored:
    progress = Progress(row.status, row.step, row.since, row.ready_at, tuple(row.words))
    own = (row.questions, progress, row.verdict, row.history, row.started_at, row.started_by)
    plan = Plan(**row.plan)
    return Stored(row.id, row.recipe, row.revision, row.version, row.candidate, row.champion, plan, row.salt, *own)
