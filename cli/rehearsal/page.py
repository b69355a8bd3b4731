"""A rehearsal as files: ``rehearsal.json``, and a page with a picture of the days that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from frontdesk.evaluation.plots import BLUE, COLOURS, GREEN, GREY, INK, ORANGE, RED, percent_axis, svg
from frontdesk.storage import canonical_json, write_atomically

STORY, PAGE = "rehearsal.json", "rehearsal.html"
VERDICTS = {"none": GREY, "stable": GREEN, "watch": ORANGE, "drift": RED}
_SIZE = (8.6, 4.0)
_BAND = 0.8


def write_story(content: Mapping[str, Any], folder: Path) -> Path:
    """Write both files; return the page's path."""
    page = render(content)
    write_atomically(folder / PAGE, page.encode("utf-8", "replace"))
    write_atomically(folder / STORY, canonical_json(content))
    return folder / PAGE


def render(content: Mapping[str, Any]) -> str:
    """Return the page. It asks nothing of any server."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from frontdesk.evaluation import report as evaluation

    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(evaluation.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": evaluation.percent, "count": evaluation.count}
    picture = Markup(draw(content))  # noqa: S704  our own drawing
    return environment.get_template("rehearsal.html").render(story=content, picture=picture)


def draw(content: Mapping[str, Any]) -> str:
    """Draw the days: accuracy of closed cases, injected changes, verdicts, models and rollouts."""
    start, days = date.fromisoformat(content["start"][:10]), content["days"]
    weeks = content["weeks"]
    moments = {"promoted": "^", "rolled back": "x", "approved": "o"}

    def fill(figure: Any) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        known = [week for week in weeks if week["accuracy"] is not None]
        upper.plot([week["day"] - 3.5 for week in known], [week["accuracy"] for week in known], marker="o", color=BLUE)
        for change, found in content["found"].items():
            upper.axvline(found["injected"], color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
            words, place = {"text": "new words", "label": "label split"}[change], found["injected"] + 0.7
            upper.text(place, 0.99, words, transform=upper.get_xaxis_transform(), va="top", fontsize=8)
        upper.set_ylabel("contact type right")
        upper.set_ylim(0, 1)
        upper.grid(True, axis="y")
        percent_axis(upper.yaxis)
        for week in weeks:
            lower.barh(2, 7, left=week["day"] - 7, height=_BAND, color=VERDICTS[week["verdict"]], edgecolor="none")
        for place, model in enumerate(content["models"]):
            until = content["models"][place + 1]["day"] if place + 1 < len(content["models"]) else days
            colour = COLOURS[place % len(COLOURS)]
            lower.barh(1, until - model["day"], left=model["day"], height=_BAND, color=colour, alpha=0.6)
            lower.text(model["day"] + 0.7, 1, f"version {model['version']}", va="center", fontsize=8)
        for event in content["timeline"]:
            if event["kind"] in moments:
                good = event["kind"] != "rolled back"
                lower.plot(event["day"], 0, marker=moments[event["kind"]], color=GREEN if good else RED)
        lower.set_yticks([2, 1, 0], ["verdict", "deployed", "releases"])
        lower.set_ylim(-0.6, 2.6)
        lower.set_xlim(0, days)
        ticks = range(0, days + 1, 14)
        lower.set_xticks(list(ticks), [f"day {day}\n{start + timedelta(days=day):%d %b}" for day in ticks], fontsize=8)

    return svg("rehearsal", "The days of the quarter: accuracy, verdicts, deployed versions, releases", _SIZE, fill)
