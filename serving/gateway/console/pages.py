"""Pages from templates: everything is escaped, nothing is loaded from elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse

from frontdesk.serving.gateway.console.session import Session

FOLDER = Path(__file__).parent
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}
PLACES = (
    ("/console", "Overview"),
    ("/console/models", "Models"),
    ("/console/playground", "Playground"),
    ("/console/coverage", "Coverage"),
    ("/console/feedback", "Feedback"),
    ("/console/drift", "Drift"),
    ("/console/experiments", "Experiments"),
    ("/console/releases", "Releases"),
    ("/console/reports", "Reports"),
)


def page(template: str, session: Session | None, *, path: str = "", status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        template: file name.
        session: who looks; None before log-in.
        path: of the page, to mark it in the navigation.
    """
    made = _templates().get_template(template).render(session=session, places=PLACES, path=path, **values)
    return HTMLResponse(made, status, HEADERS)


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"
    return environment


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"
