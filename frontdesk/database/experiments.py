"""Experiments as they were started, and what the log and feedback know of their units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.tables import Experiment, ExperimentResult, Outcome, Prediction
from frontdesk.errors import NotFound, UsageError

RUNNING, STOPPED = "running", "stopped"
_BATCH = 5_000


@dataclass(frozen=True)
class Registered:
    """An experiment of the table; see `frontdesk.database.tables.Experiment`."""

    name: str
    recipe: str
    digest: str
    definition: dict[str, Any]
    state: str
    started_at: datetime
    stopped_at: datetime | None
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return vars(self) | {
            "started_at": self.started_at.isoformat(),
            "stopped_at": None if self.stopped_at is None else self.stopped_at.isoformat(),
        }


def start_experiment(
    database: Database, name: str, recipe: str, digest: str, definition: dict[str, Any], *, now: datetime
) -> bool:
    """Register an experiment; return False, and change nothing, where it runs already with this very definition.

    Raises:
        UsageError: another definition has the name, or the experiment was stopped, or another one runs for the recipe.
        StorageError: nothing was written.
    """
    row = {"name": name, "recipe": recipe, "digest": digest, "definition": definition, "state": RUNNING}
    with database.writing() as connection:
        # One statement knows both: the name, and the recipe's only running experiment.
        if insert_once(connection, Experiment, row | {"started_at": now, "stopped_at": None, "reason": None}):
            return True
        known = connection.execute(sa.select(Experiment.__table__).where(Experiment.name == name)).first()
    if known is None:
        raise UsageError(f"another experiment runs for {recipe}", where=name, remedy="Stop it first")
    if known.digest != digest:
        words = "the experiment was registered with another definition, which cannot be changed"
        raise UsageError(words, where=name, remedy="Stop it, and start one of another name")
    if known.state != RUNNING:
        raise UsageError("the experiment was stopped", where=name, remedy="Start one of another name")
    return False


def stop_experiment(database: Database, name: str, reason: str | None, *, now: datetime) -> Registered:
    """End the assignment of an experiment; stopping it again changes nothing. Raises `NotFound`, `StorageError`."""
    with database.writing() as connection:
        mine = (Experiment.name == name) & (Experiment.state == RUNNING)
        connection.execute(sa.update(Experiment).where(mine).values(state=STOPPED, stopped_at=now, reason=reason))
        found = connection.execute(sa.select(Experiment.__table__).where(Experiment.name == name)).first()
    if found is None:
        raise NotFound("there is no such experiment", where=name)
    return Registered(**found._mapping)


def list_experiments(database: Database, *, running: bool = False) -> list[Registered]:
    """Return the experiments in the order of their start."""
    statement = sa.select(Experiment.__table__).order_by(Experiment.started_at, Experiment.name)
    if running:
        statement = statement.where(Experiment.state == RUNNING)
    with database.reading() as connection:
        return [Registered(**row._mapping) for row in connection.execute(statement)]


@dataclass(frozen=True)
class Result:
    """The newest analysis of an experiment; see `frontdesk.database.tables.ExperimentResult`."""

    content: dict[str, Any]
    made_at: datetime


def keep_result(database: Database, name: str, content: dict[str, Any], report: str, *, now: datetime) -> None:
    """Keep an analysis in place of the last one of the experiment."""
    values = {"name": name, "content": content, "report": report, "made_at": now}
    with database.writing() as connection:
        if not insert_once(connection, ExperimentResult, values):
            mine = ExperimentResult.name == name
            connection.execute(sa.update(ExperimentResult).where(mine).values(**values))


def kept_results(database: Database) -> dict[str, Result]:
    """Return the newest analysis of every experiment that has one, by name."""
    columns = sa.select(ExperimentResult.name, ExperimentResult.content, ExperimentResult.made_at)
    with database.reading() as connection:
        return {row.name: Result(row.content, row.made_at) for row in connection.execute(columns)}


def kept_report(database: Database, name: str) -> str | None:
    """Return the page of an experiment's newest analysis, None where there is none."""
    statement = sa.select(ExperimentResult.report).where(ExperimentResult.name == name)
    with database.reading() as connection:
        return connection.execute(statement).scalar_one_or_none()


def experiment_cases(database: Database, name: str, head: str | None) -> Iterator[dict[str, Any]]:
    """Yield each case of an experiment once: ``unit``, ``arm``, ``day``, and the metrics that are known of it.

    ``day`` is that of the case's first answer, and the arm the one that this answer had. Cases that went without
    suggestions are left out: the hash that chose them knows nothing of the arms.

    Args:
        head: whose last answer and verdict count; None for intents, whose lists count.
    """
    joined = (Outcome.recipe == Prediction.recipe) & (Outcome.case_id == Prediction.case_id)
    statement = (
        sa.select(
            Prediction.case_id, Prediction.unit, Prediction.arm, Prediction.at, Prediction.labels, Prediction.intents,
            Outcome.labels.label("outcome"), Outcome.verdicts, Outcome.measures, Outcome.closed_at,
        )
        .join(Outcome, joined, isouter=True)
        .where(Prediction.experiment == name, sa.not_(Prediction.holdout))
        .order_by(Prediction.case_id, Prediction.id)
    )  # fmt: skip
    with database.reading() as connection:
        case: dict[str, Any] | None = None
        for row in connection.execution_options(yield_per=_BATCH).execute(statement).mappings():
            if case is None or case["case_id"] != row["case_id"]:
                if case is not None:
                    yield _told(case, head)
                case = dict(row) | {"answers": []}
            case["answers"].append(row["labels"] if head is not None else row["intents"])
        if case is not None:
            yield _told(case, head)


def _told(case: dict[str, Any], head: str | None) -> dict[str, Any]:
    moment: datetime = case["at"]
    day: date = moment.date()
    told: dict[str, Any] = {"unit": case["unit"] or case["case_id"], "arm": case["arm"], "day": day}
    told |= case["measures"] or {}
    outcome, verdicts = case["outcome"] or {}, case["verdicts"] or {}
    if head is None:
        told |= _of_intents(case["answers"], outcome, verdicts)
        return told
    said, true = case["answers"][-1].get(head, {}), outcome.get(head)
    if true is not None and true["origin"] == "closed":
        told["accuracy"] = float(said.get("label") == true["label"])
    verdict = verdicts.get(head, verdicts.get("*"))
    if verdict is not None:
        told["suggestion_share"] = float(verdict == "accepted")
    return told


def _of_intents(
    answers: list[list[dict[str, Any]] | None], outcome: dict[str, Any], verdicts: dict[str, Any]
) -> dict[str, float]:
    """Return whether the intent that was opened stood in a list, and whether it was opened from there."""
    found: dict[str, float] = {}
    opened = outcome.get("intent")
    if opened is not None:
        listed = {one["id"] for answer in answers for one in answer or ()}
        found["accuracy"] = float(opened["label"] in listed)
    verdict = verdicts.get("intent", verdicts.get("*"))
    if verdict is not None:
        found["suggestion_share"] = found["searches_avoided"] = float(verdict == "accepted")
    return found
