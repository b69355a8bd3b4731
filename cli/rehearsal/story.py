"""What happened in a rehearsal, as plain values, and whether it went as it has to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from frontdesk.cli.rehearsal.places import RECIPE, Places
from frontdesk.cli.rehearsal.rollouts import NEVER_READY
from frontdesk.database.releases import releases
from frontdesk.database.retrainings import past
from frontdesk.database.rollouts import Stored
from frontdesk.deployment import current
from frontdesk.monitoring.looking import Seen
from frontdesk.simulation.quarter import DAYS, WEEK, Quarter

FORMAT = 1
WINDOWS = 2
"""A change is found in so many windows: what persistence asks for."""
FOUND_AS = {"text": "text", "label": "label"}
"""``{injected change: kind of the cause that has to come first}``."""


@dataclass
class Story:
    """The timeline while it grows.

    Attributes:
        events: ``{"day", "kind", "words", ...}``, in order.
        weeks: a look at each window.
    """

    quarter: Quarter
    seed: int
    events: list[dict[str, Any]] = field(default_factory=list)
    weeks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def injected(self) -> dict[str, int]:
        """``{change: its day}``."""
        return {"text": self.quarter.text_day, "label": self.quarter.label_day}

    def tell(self, day: int, kind: str, words: str, **more: Any) -> dict[str, Any]:
        """Add an event."""
        date = f"{self.quarter.moment(day):%Y-%m-%d}"
        self.events.append({"day": day, "date": date, "kind": kind, "words": words} | more)
        return self.events[-1]

    def look(self, day: int, seen: Seen, accuracy: float | None, model_id: str) -> dict[str, Any]:
        """Add the look at the window that ended with a day's midnight."""
        whole = seen.whole
        verdict = whole.verdict
        causes = [] if verdict is None else [vars(cause) for cause in verdict.causes]
        self.weeks.append(
            {
                "week": day // WEEK - 1,
                "day": day,
                "verdict": whole.level,
                "words": whole.words,
                "causes": causes,
                "decision": seen.decision.answer,
                "why": seen.decision.words,
                "accuracy": accuracy,
                "model_id": model_id,
            }
        )
        first = f": {shortly(causes[0]['words'])}" if causes else f" ({whole.words})" if whole.words else ""
        return self.tell(day, "look", f"week {day // WEEK}: {whole.level}{first}", verdict=whole.level)

    def found(self) -> dict[str, dict[str, Any]]:
        """Return for each injected change when and as what it was found."""
        answer = {}
        for change, day in self.injected.items():
            later = [week for week in self.weeks if week["day"] > day]
            place = next((place for place, week in enumerate(later) if week["verdict"] == "drift"), None)
            week = None if place is None else later[place]
            answer[change] = {
                "injected": day,
                "windows": None if place is None else place + 1,
                "found": None if week is None else week["day"],
                "first_cause": None if week is None else week["causes"][0],
            }
        return answer


def as_json(
    story: Story, places: Places, rollouts: list[tuple[str | None, Stored]], models: list[dict[str, Any]], calls: Any
) -> dict[str, Any]:
    """Return everything, with what the database, the registry and the store say at the end."""
    champion, pointer = places.registry.champion(RECIPE), current(places.store, RECIPE)
    content: dict[str, Any] = {
        "format": FORMAT,
        "seed": story.seed,
        "start": story.quarter.start.isoformat(),
        "until": (story.quarter.start + timedelta(days=DAYS)).isoformat(),
        "days": DAYS,
        "tickets": {"history": story.quarter.history.num_rows, "quarter": story.quarter.tickets.num_rows},
        "split": story.quarter.split,
        "found": story.found(),
        "weeks": story.weeks,
        "timeline": story.events,
        "models": models,
        "retrainings": [_retraining(row) for row in past(places.database, RECIPE)],
        "rollouts": [{"fault": fault} | one.as_json() for fault, one in rollouts],
        "releases": [one.as_json() for one in releases(places.database, RECIPE)],
        "deployed": {
            "store": None if pointer is None else pointer["model_id"],
            "registry": None if champion is None else champion.model_id,
            "reason": None if champion is None else champion.reason,
        },
        "calls": calls,
    }
    content["problems"] = problems(content)
    content["summary"] = summary(content)
    return content


def problems(content: dict[str, Any]) -> list[str]:
    """Say what did not go as it has to."""
    wrong = []
    for change, found in content["found"].items():
        if found["windows"] is None or found["windows"] > WINDOWS:
            wrong.append(f"The change of {change} was not found within {WINDOWS} windows.")
        elif found["first_cause"]["kind"] != FOUND_AS[change]:
            wrong.append(f"The first cause of the change of {change} was {found['first_cause']['column']}.")
    first = min(found["injected"] for found in content["found"].values())
    wrong += [
        f"A false alarm on day {week['day']}."
        for week in content["weeks"]
        if week["verdict"] == "drift" and week["day"] <= first
    ]
    if len(content["retrainings"]) != 1 or content["retrainings"][0]["state"] != "promoted":
        wrong.append(f"There were {len(content['retrainings'])} retrainings, or the one was not promoted.")
    faults = {one["fault"]: one["status"] for one in content["rollouts"]}
    if faults.get(None) != "promoted":
        wrong.append("The candidate of the retraining was not promoted.")
    wrong += [
        f"A candidate with the fault “{fault}” was not rolled back: {status}."
        for fault, status in faults.items()
        if fault is not None and status != "rolled back"
    ]
    if NEVER_READY not in faults:
        wrong.append("Not every broken candidate was tried.")
    if content["calls"]["failed"]:
        wrong.append(f"{content['calls']['failed']} requests failed.")
    ids = {content["deployed"]["store"], content["deployed"]["registry"], content["calls"]["last_model"]}
    if len(ids) != 1:
        wrong.append("Store, registry and gateway do not name the same model.")
    return wrong


def summary(content: dict[str, Any]) -> list[str]:
    """Say what happened, in a few sentences."""
    names = {"text": "New words", "label": "The split of a contact type"}
    told = []
    for change, found in sorted(content["found"].items(), key=lambda item: item[1]["injected"]):
        words = f"{names[change]} set in on day {found['injected']}"
        if found["windows"] is None:
            told.append(f"{words} and were never found.")
        else:
            windows = f"after {found['windows']} windows, on day {found['found']}"
            told.append(f"{words}; found {windows}, first cause: {shortly(found['first_cause']['words'])}.")
    for one in content["retrainings"]:
        told.append(f"One retraining was asked for by {one['reason']} ({shortly(one['words'])}): {one['state']}.")
    waits = [week for week in content["weeks"] if week["decision"] == "cooling_down"]
    if waits:
        told.append(f"{len(waits)} later wishes for a retraining waited: {waits[-1]['why']}.")
    for one in content["rollouts"]:
        what = "The retrained candidate" if one["fault"] is None else f"A candidate with the fault “{one['fault']}”"
        told.append(f"{what} was {one['status']}: {' '.join(one['reasons'])}")
    calls = content["calls"]
    told.append(f"{calls['answers']:,} answers, {calls['failed']} failed requests.")
    return told


def shortly(words: str) -> str:
    """Return the first of several statements about a column."""
    return words.partition("; ")[0]


def _retraining(row: Any) -> dict[str, Any]:
    names = ("key", "reason", "words", "snapshot", "state", "model_id", "run")
    return {name: getattr(row, name) for name in names} | {"started_at": row.started_at.isoformat()}
