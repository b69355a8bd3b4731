"""The pages of experiments: where each stands, what it came to and what to do.

Results are read, never computed here: the monitoring pipeline and ``frontdesk experiment refresh`` keep them
(`frontdesk.experiments.refreshing`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontdesk.database.experiments import Registered, Result, kept_report, kept_results, list_experiments
from frontdesk.errors import NotFound
from frontdesk.experiments.decision import metric_words
from frontdesk.serving.gateway.console.pages import page
from frontdesk.serving.gateway.console.session import Session
from frontdesk.serving.gateway.state import gateway_of

PATH = "/console/experiments"
_TONES = {"ship": "good", "keep": "", "go on": "", "invalid": "bad"}
_OLD_DAYS = 2
"""A result of a running experiment that is older misses whole days."""


async def show_all(request: Request, session: Session) -> Response:
    """Show the experiments: those that run first, then the newest."""
    gateway = gateway_of(request)
    results = await gateway.run(kept_results, gateway.database)
    shown = [_told(one, results.get(one.name)) for one in await gateway.run(list_experiments, gateway.database)]
    shown.sort(key=lambda one: one["started_at"], reverse=True)
    shown.sort(key=lambda one: one["state"] != "running")
    return page("experiments.html", session, path=PATH, experiments=shown)


async def show(request: Request, session: Session, name: str) -> Response:
    """Show one experiment. Raises `NotFound`."""
    gateway = gateway_of(request)
    found = next((one for one in await gateway.run(list_experiments, gateway.database) if one.name == name), None)
    if found is None:
        raise NotFound("there is no such experiment")
    result = (await gateway.run(kept_results, gateway.database)).get(name)
    return page("experiment.html", session, path=PATH, one=_told(found, result))


async def report(request: Request, name: str) -> str:
    """Return the page that an analysis left. Raises `NotFound`."""
    gateway = gateway_of(request)
    found = await gateway.run(kept_report, gateway.database, name)
    if found is None:
        raise NotFound("there is no such report")
    return found


def _told(one: Registered, result: Result | None) -> dict[str, Any]:
    """Return what the templates tell of an experiment."""
    told: dict[str, Any] = vars(one) | {"result": None, "tone": "", "old": False}
    if result is not None:
        content = result.content
        primary = content["definition"]["primary"]["metric"]
        told |= {
            "result": content,
            "made_at": result.made_at,
            "tone": _TONES.get(content["decision"]["verdict"], ""),
            "old": one.state == "running" and (datetime.now(UTC) - result.made_at).days >= _OLD_DAYS,
            "primary": metric_words(primary),
            "figures": content["ab"].get(primary),
        }
    return told
