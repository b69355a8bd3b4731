"""The newest result of each experiment, kept where the console finds it: a gateway computes none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from frontdesk.database import Database
from frontdesk.database.experiments import RUNNING, Registered, Result, keep_result, kept_results, list_experiments
from frontdesk.errors import DataError, UsageError
from frontdesk.experiments.analysis import analyse
from frontdesk.experiments.definition import from_content
from frontdesk.experiments.logged import logged_rows
from frontdesk.experiments.report import render


def refresh(database: Database, now: datetime, recipe: str | None = None) -> list[dict[str, Any]]:
    """Analyse the experiments that run, and those whose last analysis is older than their end; keep the results.

    Only whole days count, so that a result does not depend on the hour.

    Args:
        recipe: of these experiments; None for all.

    Returns:
        ``[{"experiment", "verdict", "words"}]``, the verdict None where there is nothing to analyse yet.
    """
    kept = kept_results(database)
    return [
        _refreshed(database, one, now)
        for one in list_experiments(database)
        if recipe in (None, one.recipe) and _is_due(one, kept.get(one.name))
    ]


def _is_due(one: Registered, result: Result | None) -> bool:
    return one.state == RUNNING or result is None or one.stopped_at is None or result.made_at <= one.stopped_at


def _refreshed(database: Database, one: Registered, now: datetime) -> dict[str, Any]:
    try:
        definition = from_content(one.definition, one.name)
        result = analyse(definition, logged_rows(database, definition), today=now.date())
    except (DataError, UsageError) as error:  # nothing is known yet, or another release's definition
        return {"experiment": one.name, "verdict": None, "words": error.message}
    keep_result(database, one.name, result, render(result), now=now)
    decision = result["decision"]
    return {"experiment": one.name, "verdict": decision["verdict"], "words": decision["headline"]}
