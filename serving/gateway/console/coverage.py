"""The coverage simulator: choose a precision, see what would be automatic. Nothing is switched on."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from frontdesk.coverage import simulate, simulate_head
from frontdesk.database.figures import labelled_confidences
from frontdesk.decisions import MIN_SUPPORT, TARGET_PRECISION
from frontdesk.serving.gateway.console.bundles import ShownBundle
from frontdesk.serving.gateway.console.drawing import coverage_curve
from frontdesk.serving.gateway.console.pages import page
from frontdesk.serving.gateway.console.parts import Console
from frontdesk.serving.gateway.console.session import Session
from frontdesk.serving.gateway.state import gateway_of

_RANGE = (0.5, 0.99)


async def show(request: Request, session: Session, console: Console) -> Response:
    """Return the page. Figures come from closed cases, and where there are few, from the bundle's evaluation."""
    gateway = gateway_of(request)
    recipes = [recipe for recipe in sorted(gateway.models.urls) if recipe != "intent"]
    recipe = request.query_params.get("recipe", "")
    recipe = recipe if recipe in recipes else recipes[0] if recipes else ""
    precision = _precision(request.query_params.get("precision", ""))
    closed = await gateway.run(labelled_confidences, gateway.database, recipe) if recipe else {}
    heads: dict[str, Any] = {}
    for head, rows in closed.items():
        if len(rows) >= MIN_SUPPORT:
            confidence, correct = (np.array(values) for values in zip(*rows, strict=True))
            made = await gateway.run(simulate_head, confidence, correct)
            heads[head] = made | {
                "asked": simulate(confidence, correct, precision),
                "drawn": coverage_curve(made["curve"]),
            }
    bundle = next((bundle for bundle in console.bundles if bundle.recipe == recipe), None)
    return page(
        "coverage.html",
        session,
        path="/console/coverage",
        recipe=recipe,
        recipes=recipes,
        precision=precision,
        heads=heads,
        few={head: len(rows) for head, rows in closed.items() if head not in heads},
        evaluated={} if bundle is None else _evaluated(bundle),
        least=MIN_SUPPORT,
    )


def _precision(text: str) -> float:
    """Return a precision that was typed in per cent, within what can be simulated."""
    try:
        found = float(text) / 100
    except ValueError:
        return TARGET_PRECISION
    return min(max(found, _RANGE[0]), _RANGE[1]) if found == found else TARGET_PRECISION


def _evaluated(bundle: ShownBundle) -> dict[str, list[dict[str, Any]]]:
    """Return per head what the bundle's held-out rows gave: ``[{"precision", "threshold", "share"}]``."""
    return (
        {head: policy.get("coverage", []) for head, policy in bundle.policy["heads"].items()}
        if "heads" in bundle.policy
        else {}
    )
