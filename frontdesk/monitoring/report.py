"""The page for whoever is on call: what happened and what to do, then the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.monitoring import pictures
from frontdesk.monitoring.advice import LEAD, advice
from frontdesk.monitoring.bags import counted
from frontdesk.monitoring.measures import OTHER, common_levels, levels_of
from frontdesk.monitoring.phrases import quoted
from frontdesk.monitoring.routing import crossed
from frontdesk.monitoring.texts import describe, frequent, new_words
from frontdesk.monitoring.verdict import LEVELS, Cause, Verdict
from frontdesk.monitoring.windows import Watched, Window

TEMPLATE = "report.html"
_MOST_PICTURES = 8


def headline(verdict: Verdict) -> str:
    """Say the verdict in one sentence; a part that is worse than the whole is named too."""
    worst = verdict.slices[0] if verdict.slices else None
    if worst is None or LEVELS.index(worst.verdict) <= LEVELS.index(verdict.verdict):
        return _of_the_whole(verdict)
    part = f"{'drift' if worst.verdict == 'drift' else 'watch'} {worst.part}, {worst.causes[0].column} first"
    return f"{_of_the_whole(verdict)} in the whole; {part}"


def _of_the_whole(verdict: Verdict) -> str:
    if not verdict.causes:
        return "Stable: nothing changed that matters"
    columns = list(dict.fromkeys(cause.column for cause in verdict.causes if cause.level == verdict.verdict))
    more = f" and {len(columns) - 1} more" if len(columns) > 1 else ""
    return f"Drift in {columns[0]}{more}" if verdict.verdict == "drift" else f"Watch {columns[0]}{more}"


def render(
    recipe: str,
    verdict: Verdict,
    reference: Window,
    current: Window,
    watched: Sequence[Watched],
    *,
    evidently: str | None,
) -> str:
    """Return the page.

    Args:
        recipe: of the tables.
        verdict: of the windows.
        reference, current: the windows.
        watched: what was compared.
        evidently: name of Evidently's page in the same folder, None where there is none.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader([here, here.parent / "evaluation"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = {each.title: each for each in watched}
    shown: list[dict[str, Any]] = []
    for place, cause in enumerate(verdict.causes):
        each = columns.get(cause.column)
        drawn, caption = "", cause.column
        if each and place < _MOST_PICTURES:
            drawn = _picture(f"cause-{place}", each, cause, reference, current)
            caption += f" where {each.given} is {quoted(cause.within)}" if cause.within else ""
        picture = Markup(drawn)  # noqa: S704  our drawing
        shown.append({"cause": cause, "advice": advice(cause), "picture": picture, "caption": caption})
    return environment.get_template(TEMPLATE).render(
        recipe=recipe,
        verdict=verdict,
        headline=headline(verdict),
        lead=LEAD[verdict.verdict],
        shown=shown,
        slices=[{"slice": one, "advice": advice(one.causes[0]) if one.causes else ""} for one in verdict.slices],
        evidently=evidently,
    )


def _picture(name: str, each: Watched, cause: Cause, reference: Window, current: Window) -> str:
    """Draw a column of both windows, or its rows of one level of another column; empty where there is nothing."""
    if cause.within and each.given:
        levels = common_levels(reference, current, each.name)
        parts = [
            crossed(w.sample(each.name), each.given, each.name, [cause.within], levels)[0] for w in (reference, current)
        ]
        return pictures.shares(name, [*levels, OTHER], *(part / max(part.sum(), 1) for part in parts))
    if each.type == "places":
        return ""  # hundreds of dimensions have no picture that is true
    columns = [window.sample(each.name).column(each.name) for window in (reference, current)]
    if each.type == "categorical":
        top, before, now = levels_of(reference, current, each.name)
        counts = [current.levels[each.name].counts, reference.levels[each.name].counts]
        new = sorted((level for level in counts[0] if level not in counts[1]), key=lambda x: (-counts[0][x], x))[:5]
        fresh = np.array([counts[0][level] for level in new], np.float64)
        sides = [
            np.append(before[:-1], [before[-1], *np.zeros(len(new))]),
            np.append(now[:-1], [now[-1] - fresh.sum(), *fresh]),
        ]
        if not all(side.sum() for side in sides):
            return ""
        names = [*top, OTHER, *(f"{level} (new)" for level in new)]
        return pictures.shares(name, names, *(side / side.sum() for side in sides))
    if each.type == "numeric":
        values = [np.asarray(column.drop_null().cast(pa.float64()).to_numpy(), np.float64) for column in columns]
        return pictures.numbers(name, values[0], values[1]) if all(map(len, values)) else ""
    if each.type == "bag":
        bags = [[bag or [] for bag in column.to_pylist()] for column in columns]
    else:
        bags = [
            [sorted(set(words)) for words in describe(column.slice(0, 5_000).to_pylist()).tokens] for column in columns
        ]
    top = frequent(bags[0], bags[1])
    if "unknown words" in cause.method:
        top = [word for word, _ in new_words(bags[0], bags[1])] or top
    shares = [counted(side, top)[:, :-1].astype(bool).mean(0) for side in bags]
    return pictures.shares(name, top, shares[0], shares[1]) if top else ""
