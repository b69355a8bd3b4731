"""The comparison of two windows of one recipe: what changed, beyond chance and habit, and by enough to matter."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from frontdesk.monitoring import bags, embeddings, measures, routing, texts
from frontdesk.monitoring.habits import Parts, parts_of
from frontdesk.monitoring.measures import Measured, Pair, TooFew
from frontdesk.monitoring.verdict import Cause, Check, Level, Verdict
from frontdesk.monitoring.windows import Watched, Window, window_of

__all__ = ["FALSE_ALARM_RATE", "SAMPLE_ROWS", "Watched", "compare", "compare_windows"]

FALSE_ALARM_RATE = 0.01
SAMPLE_ROWS = 20_000
MARGIN = 1.25
"""A drift is larger than the largest change between parts of the reference by this factor; a watch only larger."""
_MOST_STATISTICS = 3
"""Statistics of one column that a cause tells in words."""
_STATISTICS = {"categorical": 3, "numeric": 2, "text": 1 + texts.STATISTICS, "bag": 2, "places": 1}


def compare(
    reference: pa.Table,
    current: pa.Table,
    watched: Sequence[Watched],
    *,
    time: str | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    seed: int = 0,
) -> Verdict:
    """Compare two windows, column by column. A pure function of its arguments.

    Args:
        reference: what is normal; better several windows long than one.
        current: what came in.
        watched: the columns; both tables have them. Others are ignored.
        time: a column of time stamps in both tables, or None. With it, what counts as normal contains the reference's
            own changes from part to part of its time.
        false_alarm_rate: of a whole comparison, over all columns together, where nothing changed.
        seed: of the samples and permutations that set the thresholds.

    Raises:
        EmptyTable: a window has no row.
        BadColumns: a watched column is missing, is not of its type, or holds an infinite number.
    """
    windows = [
        window_of(table, watched, time, rows=SAMPLE_ROWS, seed=seed, where=where)
        for table, where in ((reference, "reference"), (current, "current"))
    ]
    return compare_windows(windows[0], windows[1], watched, time=time, false_alarm_rate=false_alarm_rate, seed=seed)


def compare_windows(
    reference: Window,
    current: Window,
    watched: Sequence[Watched],
    *,
    time: str | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    seed: int = 0,
) -> Verdict:
    """Compare two windows that were read before. Arguments as of `compare`."""
    statistics = sum(_STATISTICS[each.type] + (each.given is not None) for each in watched) + 1

    @functools.cache
    def parts(name: str) -> Parts | None:
        return parts_of(reference.sample(name), current.sample(name), time)

    level = 1 - (1 - false_alarm_rate) ** (1 / statistics)
    pair = Pair(reference, current, time, np.random.default_rng(seed), level, parts)
    checks: list[Check] = []
    causes: list[tuple[float, Cause]] = []
    notes: list[str] = []
    for each in watched:
        crossed = []
        for measure in _measures(pair, each):
            try:
                found = measure()
            except TooFew as few:
                checks.append(Check(each.title, each.kind, "", reason=str(few)))
                notes.append(f"{each.title}: {few}")
                continue
            for measured in found if isinstance(found, list) else [found]:
                watch, drift = thresholds(measured, level)
                checks.append(Check(each.title, each.kind, measured.method, _plain(measured.score), watch, drift))
                if measured.score >= watch and measured.score > 0:
                    crossed.append((measured, watch, drift))
        if crossed:
            causes.append(_cause(each, crossed))
    if (refused := measures.refused_share(pair)) is not None:
        each = Watched(refused[0], "quality", "categorical")
        watch, drift = thresholds(refused[1], level)
        checks.append(Check(each.title, each.kind, refused[1].method, _plain(refused[1].score), watch, drift))
        if refused[1].score >= watch:
            causes.append(_cause(each, [(refused[1], watch, drift)]))
    causes.sort(key=lambda pair: (pair[1].level != "drift", -pair[0]))
    verdict: Level = causes[0][1].level if causes else "stable"
    spans = {"reference": reference.span(time), "current": current.span(time)}
    return Verdict(
        verdict=verdict,
        causes=tuple(cause for _, cause in causes),
        checks=tuple(checks),
        rows={"reference": reference.rows, "current": current.rows},
        false_alarm_rate=false_alarm_rate,
        spans={window: days for window, days in spans.items() if days is not None},
        notes=tuple(dict.fromkeys(notes)),
    )


def _measures(pair: Pair, each: Watched) -> list[Callable[[], Measured | list[Measured]]]:
    """Return the statistics of a column, not yet computed."""
    name = each.name
    found: list[Callable[[], Measured | list[Measured]]] = []
    if each.type not in ("bag", "places"):
        found.append(lambda: measures.missing_share(pair, name))
    if each.type == "categorical":
        found += [lambda: measures.level_shares(pair, name), lambda: measures.unseen_levels(pair, name)]
        if (given := each.given) is not None:
            found.append(lambda: routing.moved_share(pair, name, given))
    elif each.type == "numeric":
        found.append(lambda: measures.number_distance(pair, name))
    elif each.type == "text":
        found.append(lambda: texts.text_measures(pair, name))
    elif each.type == "places":
        found.append(lambda: embeddings.place_distance(pair, name))
    else:
        found.append(lambda: bags.bag_measures(pair, name, "sessions"))
    return found


def thresholds(measured: Measured, level: float) -> tuple[float, float]:
    """Return where a score is worth a look, and where it is a drift.

    Either is the largest of what matters at all and of what chance (at this level) and the reference's habit together
    explain.
    """
    power = measured.chance.power
    chance = measured.chance.quantile(level) ** power
    explained = [(chance + (factor * measured.habit) ** power) ** (1 / power) for factor in (1.0, MARGIN)]
    watch, drift = (max(floor, value) for floor, value in zip(measured.floors, explained, strict=True))
    return _plain(watch), _plain(drift)


def _cause(each: Watched, crossed: Sequence[tuple[Measured, float, float]]) -> tuple[float, Cause]:
    """Return one cause of a column: its statistic that goes farthest, and all of them in words."""

    def weight(found: tuple[Measured, float, float]) -> tuple[bool, float]:
        measured, watch, drift = found
        passed = drift if measured.score >= drift else watch
        return measured.score >= drift, measured.affected * (1 - passed / measured.score)

    ordered = sorted(crossed, key=weight, reverse=True)
    measured, watch, drift = ordered[0]
    is_drift, severity = weight(ordered[0])
    words = "; ".join(found.words() for found, *_ in ordered[:_MOST_STATISTICS])
    if len(ordered) > _MOST_STATISTICS:
        words += f"; and {len(ordered) - _MOST_STATISTICS} more statistics"
    return severity, Cause(
        column=each.title,
        kind=each.kind,
        method=measured.method,
        score=_plain(measured.score),
        threshold=drift if is_drift else watch,
        words=f"{each.title}: {words}",
        level="drift" if is_drift else "watch",
        within=measured.within,
    )


def _plain(value: float) -> float:
    return float(f"{value:.6g}")
