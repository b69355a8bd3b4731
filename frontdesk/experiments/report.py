"""The result as files: ``result.json``, and a page that says first what happened and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frontdesk.experiments.decision import change_words, metric_words
from frontdesk.experiments.plots import draw
from frontdesk.storage import canonical_json, write_atomically

RESULT, REPORT = "result.json", "report.html"


def write_result(result: Mapping[str, Any], folder: Path) -> Path:
    """Write ``result.json`` and ``report.html``; return the page's path."""
    page = render(result)
    write_atomically(folder / RESULT, canonical_json(result))
    write_atomically(folder / REPORT, page.encode("utf-8", "replace"))
    return folder / REPORT


def render(result: Mapping[str, Any]) -> str:
    """Return the page of a result. It asks nothing of any server."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from frontdesk.evaluation import report as evaluation

    places = [Path(__file__).parent, Path(evaluation.__file__).parent]
    environment = Environment(
        loader=FileSystemLoader(places),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": evaluation.percent,
        "points": evaluation.points,
        "count": evaluation.count,
        "figure": evaluation.figure,
        "words": metric_words,
        "change": change_words,
    }
    pictures = {name: Markup(drawn) for name, drawn in draw(result).items()}  # noqa: S704  our own drawings
    return environment.get_template("experiment.html").render(result=result, pictures=pictures)
