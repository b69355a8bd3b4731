"""An experiment's rows to its result: figures of every metric, sample ratio, guardrails, and a decision."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from frontdesk.experiments.decision import decide, guard_state
from frontdesk.experiments.definition import Definition, Phase
from frontdesk.experiments.effects import Effects, cross_checks, effects
from frontdesk.experiments.mismatch import sample_ratio
from frontdesk.experiments.rows import Rows, day_number, day_of
from frontdesk.experiments.sequential import boundaries
from frontdesk.experiments.units import Units, assigned

SEED = 20_171
"""Of the bootstrap."""


def analyse(definition: Definition, rows: Rows, *, today: date | None = None, seed: int = SEED) -> dict[str, Any]:
    """Return the result of an experiment as plain values, the content of ``result.json``.

    Args:
        today: the first day that is not complete yet; the day after the last row, where none is given.
    """
    units = assigned(rows, definition)
    end = day_number(definition.phases.ab.until)
    inside = rows.day[(rows.day >= day_number(definition.begin)) & (rows.day < end)]
    last = int(inside.max()) + 1 if len(inside) else day_number(definition.begin)
    now = last if today is None else day_number(today)
    over = now >= end
    seen = max(0, min(now, end) - day_number(definition.begin))
    control, treatment = units.new(seen)
    ratio = sample_ratio(control, treatment, definition.share, over=over)
    aa, ab = definition.phases.aa, definition.phases.ab
    followed = [metric for metric in definition.metrics if metric in rows.values]
    before = {} if aa is None else {metric: _control_phase(units, metric, aa, now) for metric in followed}
    during = {metric: _comparison(units, metric, ab, now, seed) for metric in followed}
    figures = {metric: found for metric, found in during.items() if found is not None}
    decision = decide(
        definition,
        days=_days(ab, now),
        over=over,
        ratio=ratio,
        crossed=units.crossed,
        control_phase=before.get(definition.primary.metric),
        metrics=figures,
    )
    return {
        "experiment": definition.name,
        "recipe": definition.recipe,
        "digest": definition.digest,
        "definition": definition.content(),
        "until": day_of(now).isoformat(),
        "over": over,
        "days": {"aa": 0 if aa is None else _days(aa, now), "ab": _days(ab, now), "horizon": ab.days},
        "decision": decision.as_json(),
        "sample_ratio": ratio.as_json() | {"crossed": units.crossed},
        "guardrails": {
            guard.metric: {"bound": guard.bound, "state": guard_state(guard, figures[guard.metric])}
            for guard in definition.guardrails
            if guard.metric in figures
        },
        "aa": {metric: found for metric, found in before.items() if found is not None},
        "ab": figures,
        "daily": {metric: _daily(units, metric, now) for metric in followed},
    }


def look_days(definition: Definition, days: int) -> np.ndarray:
    """Return after which days of the A/B phase somebody may look, of the first ``days``, from 1."""
    horizon = definition.phases.ab.days
    every = np.arange(1, days + 1)
    step = {"daily": 1, "weekly": 7, "once": horizon}[definition.looks]
    return np.asarray(every[(every % step == 0) | (every == horizon)])


def critical_values(definition: Definition, found: Effects, looks: np.ndarray) -> np.ndarray:
    """Return the critical value of |z| after each day, float64 [D]; infinite on days without a look."""
    critical = np.full(len(found.z), np.inf)
    information = found.information
    usable = looks[information[looks - 1] > 0]
    if len(usable):
        time = usable / definition.phases.ab.days
        critical[usable - 1] = boundaries(information[usable - 1].tolist(), time.tolist(), definition.alpha)
    return critical


def _days(phase: Phase, now: int) -> int:
    return max(0, min(now, day_number(phase.until)) - day_number(phase.begin))


def _control_phase(units: Units, metric: str, phase: Phase, now: int) -> dict[str, Any] | None:
    """Compare the arms once, over the whole A/A phase, at the definition's alpha."""
    from scipy.special import ndtr, ndtri

    days = _days(phase, now)
    if days == 0:
        return None
    found = effects(units.moments(metric, phase, days))
    low, high = found.interval(np.full(days, -ndtri(units.definition.alpha / 2)))
    p = 2 * ndtr(-np.abs(found.z[-1]))
    return _figures(found, -1, low[-1], high[-1]) | {"p": _plain(p)}


def _comparison(units: Units, metric: str, phase: Phase, now: int, seed: int) -> dict[str, Any] | None:
    """Compare the arms over the A/B phase, at every look."""
    days = _days(phase, now)
    if days == 0:
        return None
    definition = units.definition
    moments = units.moments(metric, phase, days)
    found = effects(moments)
    looks = look_days(definition, days)
    critical = critical_values(definition, found, looks)
    low, high = found.interval(critical)
    crossings = np.flatnonzero(np.abs(found.z) > critical)
    outcome, day = "open", None
    if len(crossings):
        outcome = "better" if found.z[crossings[0]] * definition.sign(metric) > 0 else "worse"
        day = day_of(day_number(phase.begin) + int(crossings[0])).isoformat()
    place = int(looks[-1]) - 1 if len(looks) else days - 1
    control, treatment = units.of_phase(metric, phase, days)
    enough = min(len(control), len(treatment)) > 1
    return _figures(found, place, low[place], high[place]) | {
        "outcome": outcome,
        "crossed_on": day,
        "units": {"control": int(moments.units[place, 0]), "treatment": int(moments.units[place, 1])},
        "variance_explained": _plain(found.reduction[place]),
        "z": _plain(found.z[place]),
        "critical": _plain(critical[place]),
        "looks": [
            {
                "day": day_of(day_number(phase.begin) + int(look) - 1).isoformat(),
                "relative": _plain(found.relative[look - 1]),
                "low": _plain(low[look - 1]),
                "high": _plain(high[look - 1]),
                "z": _plain(found.z[look - 1]),
                "critical": _plain(critical[look - 1]),
            }
            for look in looks
        ],
        "single_look": cross_checks(control, treatment, definition.alpha, seed) if enough else {},
    }


def _figures(found: Effects, place: int, low: float, high: float) -> dict[str, Any]:
    return {
        "control": _plain(found.control[place]),
        "treatment": _plain(found.treatment[place]),
        "relative": _plain(found.relative[place]),
        "low": _plain(low),
        "high": _plain(high),
    }


def _daily(units: Units, metric: str, now: int) -> list[dict[str, Any]]:
    """Return a metric day by day: ``{"day", "phase", "control", "treatment"}``, the arms with mean, error and units."""
    phases = units.definition.phases
    series = []
    for name, phase in (("aa", phases.aa), ("ab", phases.ab)):
        days = 0 if phase is None else _days(phase, now)
        if phase is None or days == 0:
            continue
        found = units.daily(metric, phase, days)
        for place in range(days):
            arms = {
                arm: {"mean": _plain(found["mean"][place, side]), "error": _plain(found["error"][place, side])}
                | {"units": int(found["units"][place, side])}
                for side, arm in enumerate(("control", "treatment"))
            }
            series.append({"day": day_of(day_number(phase.begin) + place).isoformat(), "phase": name, **arms})
    return series


def _plain(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
