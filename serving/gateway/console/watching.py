"""The page of drift: where each recipe stands, what moved first and what to do, every window, every retraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from frontdesk.database.retrainings import past
from frontdesk.database.verdicts import newest_verdicts, verdict_history
from frontdesk.monitoring.advice import LEAD, advice
from frontdesk.monitoring.verdict import Verdict
from frontdesk.serving.gateway.console.drawing import strip
from frontdesk.serving.gateway.console.pages import page
from frontdesk.serving.gateway.console.parts import Console
from frontdesk.serving.gateway.console.session import Session
from frontdesk.serving.gateway.state import gateway_of

_WINDOWS = 26
_RETRAININGS = 30
_CAUSES = 5


async def show(request: Request, session: Session, console: Console) -> Response:
    """Show the newest verdict of every recipe, worst first, and what came of it."""
    gateway = gateway_of(request)
    newest = await gateway.run(newest_verdicts, gateway.database)
    recipes = []
    for recipe in sorted({row.recipe for row in newest}):
        history = await gateway.run(verdict_history, gateway.database, recipe, "", _WINDOWS)
        parts = [row for row in newest if row.recipe == recipe and row.part]
        recipes.append(_recipe(recipe, history, parts))
    worst = ("drift", "watch", "stable", "none")
    recipes.sort(key=lambda one: worst.index(one["verdict"]))
    retrainings = await gateway.run(past, gateway.database, None, _RETRAININGS)
    return page("drift.html", session, path="/console/drift", recipes=recipes, retrainings=retrainings)


def _recipe(recipe: str, history: Sequence[Any], parts: Sequence[Any]) -> dict[str, Any]:
    """Return what the template tells of a recipe.

    Args:
        history: verdicts of whole windows, newest first; the last that had enough rows is the one that counts.
        parts: the newest verdicts of parts of windows.
    """
    judged = next((row for row in history if row.verdict != "none"), None)
    windows = [
        {"end": row.window_end, "verdict": row.verdict, "words": _first_words(row), "retraining": row.retraining}
        for row in history
    ]
    told: dict[str, Any] = {
        "recipe": recipe,
        "verdict": "none" if judged is None else judged.verdict,
        "windows": windows,
        "strip": strip([one["verdict"] for one in reversed(windows)]),
        "parts": [
            {"part": row.part, "verdict": row.verdict, "words": _first_words(row)}
            for row in parts
            if row.verdict in ("watch", "drift")
        ],
    }
    if judged is not None:
        verdict = Verdict.from_json(judged.content)
        told |= {
            "window": (judged.window_start, judged.window_end),
            "rows": verdict.rows,
            "lead": LEAD[verdict.verdict],
            "causes": [{"cause": cause, "advice": advice(cause)} for cause in verdict.causes[:_CAUSES]],
            "more": max(0, len(verdict.causes) - _CAUSES),
            "retraining": judged.retraining,
        }
    return told


def _first_words(row: Any) -> str:
    """Return the first cause of a verdict in words, empty where it has none."""
    causes = row.content.get("causes") or [{}]
    return str(causes[0].get("words", ""))
