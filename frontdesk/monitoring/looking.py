"""One run of monitoring: look, ask, decide; and its answer as files, JSON and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from frontdesk.database import Database
from frontdesk.database.retrainings import begin
from frontdesk.database.verdicts import newest_verdicts, note_decision
from frontdesk.errors import UsageError
from frontdesk.monitoring.asking import Deployed, request_after
from frontdesk.monitoring.plan import WatchPlan
from frontdesk.monitoring.retraining import NOT_ASKED, Decision, Request, decide
from frontdesk.monitoring.starting import Launch, Started, noted, request_noted, retrain
from frontdesk.monitoring.watching import Look, watch
from frontdesk.storage import Store, canonical_json, write_atomically

VERDICT, PAGE = "verdict.json", "report.html"


@dataclass(frozen=True)
class Seen:
    """What one run of monitoring came to.

    Attributes:
        looks: at the whole window first, then at its parts.
        request: for a retraining; None where nothing asks for one.
        decision: what would be answered to it.
    """

    recipe: str
    looks: Sequence[Look]
    request: Request | None
    decision: Decision

    @property
    def whole(self) -> Look:
        """The look at the whole window."""
        return self.looks[0]

    @property
    def asks(self) -> bool:
        """Whether a retraining is asked for and would be granted."""
        return self.decision.answer == "dry_run"

    def as_json(self, decision: Decision | None = None) -> dict[str, Any]:
        """Return plain values; ``decision`` is what became of the request, where it was answered since."""
        whole = self.whole
        return _plain(whole) | {
            "recipe": self.recipe,
            "parts": {look.part: _plain(look) for look in self.looks[1:]},
            "retraining": noted(decision or self.decision, self.request),
        }


def look_at(database: Database, recipe: str, plan: WatchPlan, root: str | None, now: datetime) -> Seen:
    """Judge the newest window, keep its verdict, and say what would be answered to what it asks for.

    Args:
        root: of the store with the deployed bundle; None where there is none: labels are then not checked against it.
    """
    deployed = Deployed.of(root, recipe)
    looks = watch(database, recipe, plan, now, known=None if deployed is None else deployed.known)
    request = request_after(database, recipe, plan.retraining, looks, deployed, now)
    decision = NOT_ASKED
    if request is not None:
        decision = begin(database, request, partial(decide, limits=plan.retraining.limits, dry_run=True))
    seen = Seen(recipe, looks, request, decision)
    note(database, seen, decision)
    return seen


def note(database: Database, seen: Seen, decision: Decision) -> None:
    """Write a decision beside the verdict that asked for it."""
    if seen.whole.window is not None:
        note_decision(database, seen.recipe, seen.whole.window.current.end, noted(decision, seen.request))


def answer_newest(
    database: Database, recipe: str, plan: WatchPlan, store: Store, launch: Launch
) -> tuple[Decision, Started | None]:
    """Answer what the newest verdict asks for, and start what is granted; see `starting.retrain`."""
    for row in newest_verdicts(database):
        if row.recipe == recipe and row.part == "" and (request := request_noted(row.retraining or {})) is not None:
            decision, started = retrain(database, store, plan.retraining, request, launch)
            note_decision(database, recipe, row.window_end, noted(decision, request))
            return decision, started
    return NOT_ASKED, None


def write_answer(seen: Seen, content: dict[str, Any], out: Path, *, page: bool) -> list[Path]:
    """Write ``verdict.json``, and ``report.html`` on drift or where it is wanted; return what was written."""
    files = []
    whole = seen.whole
    if whole.verdict is not None and whole.compared is not None and (page or whole.level == "drift"):
        from frontdesk.monitoring.report import render

        compared = whole.compared
        html = render(
            seen.recipe, whole.verdict, compared.reference, compared.current, compared.watched, evidently=None
        )
        write_atomically(out / PAGE, html.encode())
        files.append(out / PAGE)
    else:
        (out / PAGE).unlink(missing_ok=True)  # of an earlier window
    write_atomically(out / VERDICT, canonical_json(content))
    return [*files, out / VERDICT]


def moment(text: str | None) -> datetime:
    """Return a moment (ISO 8601; without a zone it is UTC), the present one for none. Raises `UsageError`."""
    if not text:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("not a moment", where="now", remedy="Write 2024-02-29T12:00:00+00:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _plain(look: Look) -> dict[str, Any]:
    window = look.window
    content: dict[str, Any] = {"verdict": look.level, "causes": []}
    if look.verdict is not None:
        content = look.verdict.as_json()
    spans = {} if window is None else {"current": window.current, "reference": window.reference}
    return content | {
        "words": look.words,
        "window": {name: None if span is None else [span.start, span.end] for name, span in spans.items()},
        "figures": look.figures,
    }
