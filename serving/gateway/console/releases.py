"""The page of releases: what is registered, what rolls out, and the buttons that decide.

A decision is written to the database; a controller carries it to the registry, where the deploy step waits. Ending a
rollout needs nobody else: the gateways read its row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from frontdesk.database.releases import RESTORE, Decision, ask_for, decide_release, releases
from frontdesk.database.rollouts import Stored, change, latest_rollouts, read_counts
from frontdesk.errors import Forbidden, InvalidRequest, UsageError
from frontdesk.rollout import Progress, abort, pause, promote, resume
from frontdesk.serving.gateway.console.pages import page
from frontdesk.serving.gateway.console.parts import Console
from frontdesk.serving.gateway.console.session import Session
from frontdesk.serving.gateway.state import gateway_of

PATH = "/console/releases"
SCOPE = "admin"
"""Of the keys that may decide; others only look."""
_DECISIONS: dict[str, Decision] = {"approve": "approved", "reject": "rejected"}
_PERSONS: dict[str, Callable[[Stored, str, datetime], Progress]] = {
    "pause": lambda stored, by, now: pause(stored.progress, by, now),
    "resume": lambda stored, by, now: resume(stored.progress, by, now),
    "promote": lambda stored, by, now: promote(stored.plan, stored.progress, by, now),
    "abort": lambda stored, by, now: abort(stored.progress, by, now),
}


async def show(request: Request, session: Session) -> Response:
    """Show every release, newest first, and the rollouts."""
    gateway = gateway_of(request)
    rollouts = await gateway.run(latest_rollouts, gateway.database)
    counts = {one.id: await gateway.run(read_counts, gateway.database, one.id) for one in rollouts.values()}
    found = await gateway.run(releases, gateway.database)
    return page(
        "releases.html",
        session,
        path=PATH,
        releases=found,
        rollouts=sorted(rollouts.values(), key=lambda one: (not one.active, one.recipe)),
        counts=counts,
        may_decide=SCOPE in session.scopes,
    )


async def act(request: Request, session: Session, console: Console, form: dict[str, str]) -> Response:
    """Do what a button says.

    Raises:
        Forbidden: the form is of another session, or the key may not decide.
        InvalidRequest: the form is not one of the page's, or it cannot be done any more.
    """
    console.sessions.require_form(session, form)
    if SCOPE not in session.scopes:
        raise Forbidden(f"the key lacks the scope {SCOPE}", remedy="Ask somebody who may decide")
    try:
        await _do(request, session.client, form)
    except UsageError as error:
        raise InvalidRequest(error.message, where=error.where, remedy=error.remedy) from None
    return RedirectResponse(PATH, 303, {"cache-control": "no-store"})


async def _do(request: Request, by: str, form: dict[str, str]) -> None:
    gateway, now, what, recipe = gateway_of(request), datetime.now(UTC), form.get("do", ""), form.get("recipe", "")
    if what in _PERSONS:
        await gateway.run(change, gateway.database, recipe, lambda stored: _PERSONS[what](stored, by, now))
        await gateway.traffic.refresh()
        return
    if what not in (*_DECISIONS, RESTORE):
        raise InvalidRequest("there is no such button", where="do")
    version = form.get("version", "")
    if not version.isdecimal() or len(version) > 9:
        raise InvalidRequest("a version is a number", where="version")
    if what == RESTORE:
        await gateway.run(ask_for, gateway.database, recipe, int(version), RESTORE)
    else:
        decision = _DECISIONS[what]
        await gateway.run(decide_release, gateway.database, recipe, int(version), decision, by, now, told=False)
