"""The routes of the console: one function per page; who is not logged in is sent to the log-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from frontdesk.database.deliveries import count_deliveries
from frontdesk.database.figures import feedback_counts, latest_outcomes, prediction_counts, verdict_counts
from frontdesk.errors import FrontdeskError, NotFound, UnsupportedMediaType
from frontdesk.serving.gateway.console import coverage, experiments, playground, watching
from frontdesk.serving.gateway.console import releases as releases_page
from frontdesk.serving.gateway.console.pages import FOLDER, HEADERS, page
from frontdesk.serving.gateway.console.parts import Console, console_of
from frontdesk.serving.gateway.console.session import COOKIE, Session, require_same_site
from frontdesk.serving.gateway.problems import translated
from frontdesk.serving.gateway.state import gateway_of

router = APIRouter(prefix="/console", include_in_schema=False)
LOGIN = "/console/login"
_SHOWN_OUTCOMES = 50
_RECENT = timedelta(hours=1)
_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
_REPORT_HEADERS = {**HEADERS, "content-security-policy": _REPORT_POLICY, "x-frame-options": "SAMEORIGIN"}
_STATIC = {"console.css": "text/css", "console.js": "text/javascript"}

Page = Callable[[Request, Session, Console], Awaitable[Response]]


def _page(path: str, method: str = "GET") -> Callable[[Page], Page]:
    """Register a page that needs a session; an error of ours becomes a page too."""

    def register(function: Page) -> Page:
        async def handle(request: Request) -> Response:
            console, session = console_of(request), None
            try:
                session = await console.sessions.of(gateway_of(request), request)
                if session is None:
                    return RedirectResponse(LOGIN, 303, {"cache-control": "no-store"})
                return await function(request, session, console)
            except FrontdeskError as error:
                told = translated(error)
                return page("error.html", session, status=told.status, error=told)

        router.add_api_route(path, handle, methods=[method], response_class=Response)
        return function

    return register


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises `UnsupportedMediaType`."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("a form is expected")
    text = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=200))


@router.get("/login", response_class=Response)
async def show_login() -> Response:
    """Show the form of the log-in."""
    return page("login.html", None, path=LOGIN, problem="")


@router.post("/login", response_class=Response)
async def log_in(request: Request) -> Response:
    """Check a key and begin a session."""
    gateway = gateway_of(request)
    try:
        require_same_site(request)
        await gateway.rates.take("console:log-in")
        form = await form_of(request)
        response = RedirectResponse("/console", 303, {"cache-control": "no-store"})
        secure = request.url.scheme == "https"
        await console_of(request).sessions.log_in(gateway, form.get("key", "").strip(), response, secure=secure)
    except FrontdeskError as error:
        told = translated(error)
        return page("login.html", None, path=LOGIN, status=told.status, problem=told.message)
    return response


@_page("/logout", "POST")
async def log_out(request: Request, session: Session, console: Console) -> Response:
    """End the session."""
    console.sessions.require_form(session, await form_of(request))
    response = RedirectResponse(LOGIN, 303, {"cache-control": "no-store"})
    response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
    return response


@router.get("/static/{name}", response_class=Response)
async def static(name: str) -> Response:
    """Return the style sheet or the script."""
    if name not in _STATIC:
        raise NotFound("there is nothing at this address")
    kept = {"cache-control": "public, max-age=300"}
    return FileResponse(FOLDER / "static" / name, media_type=_STATIC[name], headers=kept)


@_page("")
async def overview(request: Request, session: Session, console: Console) -> Response:
    """Show what happens now."""
    return page("overview.html", session, path="/console", **await _live(request))


@_page("/live.json")
async def live(request: Request, session: Session, console: Console) -> Response:
    """Return the figures of the overview, for its script."""
    found = await _live(request)
    flat = {f"{recipe}-{name}": value for recipe, row in found["recipes"].items() for name, value in row.items()}
    flat |= {f"feedback-{kind}": count for kind, count in found["feedback"].items()}
    return JSONResponse(flat, headers={"cache-control": "no-store"})


async def _live(request: Request) -> dict[str, Any]:
    gateway = gateway_of(request)
    since = datetime.now(UTC) - _RECENT
    counted = await gateway.run(prediction_counts, gateway.database, since)
    nothing = {"all": 0, "recent": 0, "degraded": 0, "holdout": 0}
    recipes = {
        recipe: counted.get(recipe, nothing) | {"ready": await gateway.models.ready(recipe)}
        for recipe in sorted(set(gateway.models.urls) | set(counted))
        if recipe in gateway.models.urls
    }
    deliveries = await gateway.run(count_deliveries, gateway.database)
    return {
        "recipes": recipes,
        "feedback": await gateway.run(feedback_counts, gateway.database),
        "deliveries": [{"desk": desk, "state": state, "count": n} for (desk, state), n in sorted(deliveries.items())],
    }


@_page("/models")
async def models(request: Request, session: Session, console: Console) -> Response:
    """Show the bundles with their metrics."""
    return page("models.html", session, path="/console/models", bundles=console.bundles)


@_page("/playground")
async def show_playground(request: Request, session: Session, console: Console) -> Response:
    """Show an empty form."""
    return await playground.show(request, session, console, request.query_params.get("recipe", ""), None)


@_page("/playground", "POST")
async def try_playground(request: Request, session: Session, console: Console) -> Response:
    """Answer a form."""
    form = await form_of(request)
    console.sessions.require_form(session, form)
    return await playground.show(request, session, console, form.get("recipe", ""), form)


@_page("/coverage")
async def show_coverage(request: Request, session: Session, console: Console) -> Response:
    """Show what would be automatic."""
    return await coverage.show(request, session, console)


@_page("/feedback")
async def show_feedback(request: Request, session: Session, console: Console) -> Response:
    """Show what became of the latest cases."""
    gateway = gateway_of(request)
    outcomes = await gateway.run(latest_outcomes, gateway.database, _SHOWN_OUTCOMES)
    verdicts = {
        recipe: await gateway.run(verdict_counts, gateway.database, recipe) for recipe in sorted(gateway.models.urls)
    }
    shown = {recipe: heads for recipe, heads in verdicts.items() if heads}
    return page("feedback.html", session, path="/console/feedback", outcomes=outcomes, verdicts=shown)


@_page("/drift")
async def show_drift(request: Request, session: Session, console: Console) -> Response:
    """Show what the windows of every recipe say."""
    return await watching.show(request, session, console)


@_page("/experiments")
async def show_experiments(request: Request, session: Session, console: Console) -> Response:
    """Show every experiment, and where it stands."""
    return await experiments.show_all(request, session)


@_page("/experiments/{name}")
async def show_experiment(request: Request, session: Session, console: Console) -> Response:
    """Show what an experiment came to, and what to do."""
    return await experiments.show(request, session, request.path_params["name"])


@_page("/experiments/{name}/report.html")
async def experiment_report(request: Request, session: Session, console: Console) -> Response:
    """Return the pictures and tables of an experiment: without scripts, and apart from the console."""
    shown = await experiments.report(request, request.path_params["name"])
    return HTMLResponse(shown, headers=_REPORT_HEADERS)


@_page("/releases")
async def show_releases(request: Request, session: Session, console: Console) -> Response:
    """Show versions and rollouts."""
    return await releases_page.show(request, session)


@_page("/releases", "POST")
async def decide_on_releases(request: Request, session: Session, console: Console) -> Response:
    """Approve, reject, roll back."""
    return await releases_page.act(request, session, console, await form_of(request))


@_page("/reports")
async def reports(request: Request, session: Session, console: Console) -> Response:
    """Show the report of a bundle inside the page."""
    held = [bundle for bundle in console.bundles if bundle.report is not None]
    wanted = request.query_params.get("model", held[0].model_id if held else "")
    return page("reports.html", session, path="/console/reports", bundles=held, wanted=wanted)


@_page("/report.html")
async def report(request: Request, session: Session, console: Console) -> Response:
    """Return the report of a bundle as it is: without scripts, and apart from the console."""
    wanted = request.query_params.get("model", "")
    place = next((bundle.report for bundle in console.bundles if bundle.model_id == wanted), None)
    if place is None:
        raise NotFound("there is no such report")
    return FileResponse(place, media_type="text/html", headers=_REPORT_HEADERS)
