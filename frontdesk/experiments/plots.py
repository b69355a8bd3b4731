"""The pictures of a result: each metric day by day with the phases marked, the effect so far, the arms' sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from frontdesk.evaluation.plots import BLUE, GREY, INK, RED, percent_axis, svg
from frontdesk.experiments.decision import metric_words
from frontdesk.experiments.definition import BETTER

_LOOKS_WIDE = (7.2, 2.7)
_SHARES = ("accuracy", "suggestion_share")


def draw(result: Mapping[str, Any]) -> dict[str, str]:
    """Return ``{name: svg}``: ``daily-<metric>`` and ``effect-<metric>``."""
    drawn = {}
    names = (result["definition"]["control"]["name"], result["definition"]["treatment"]["name"])
    for metric, series in result["daily"].items():
        if sum(one[arm]["mean"] is not None for one in series for arm in ("control", "treatment")) > 1:
            drawn[f"daily-{metric}"] = daily(f"daily-{metric}", metric, series, names)
    for metric, figures in result["ab"].items():
        looks = [look for look in figures["looks"] if look["low"] is not None and look["high"] is not None]
        if len(looks) > 1:
            bound = result["guardrails"].get(metric, {}).get("bound")
            higher = _higher_is_better(result, metric)
            drawn[f"effect-{metric}"] = effect(f"effect-{metric}", metric, looks, bound, higher=higher)
    return drawn


def daily(name: str, metric: str, series: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> str:
    """Draw a metric's daily mean in each arm, with its 95 % interval; A/A lies before the line, A/B behind it."""
    days = [date.fromisoformat(one["day"]) for one in series]
    x = np.array([(day - days[0]).days for day in days])
    phases = [one["phase"] for one in series]

    def fill(figure: Any) -> None:
        axes = figure.subplots()
        for arm, label, colour in (("control", names[0], GREY), ("treatment", names[1], BLUE)):
            mean = np.array([np.nan if one[arm]["mean"] is None else one[arm]["mean"] for one in series])
            error = np.array([np.nan if one[arm]["error"] is None else one[arm]["error"] for one in series])
            axes.fill_between(x, mean - 1.96 * error, mean + 1.96 * error, color=colour, alpha=0.16, linewidth=0)
            axes.plot(x, mean, color=colour, marker="o", markersize=3, linewidth=1.5, label=label)
        if "ab" in phases and "aa" in phases:
            border = x[phases.index("ab")] - 0.5
            axes.axvline(border, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.7)
            for place, words, side in ((border - 0.3, "A/A", "right"), (border + 0.3, "A/B", "left")):
                axes.text(place, 1.02, words, transform=axes.get_xaxis_transform(), ha=side, va="bottom", fontsize=9)
        _days(axes, days, x)
        axes.set_ylabel(metric_words(metric))
        axes.grid(True, axis="y")
        if metric in _SHARES:
            percent_axis(axes.yaxis)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8)

    return svg(name, f"{metric_words(metric)} by day in {names[0]} and {names[1]}", _LOOKS_WIDE, fill)


def effect(name: str, metric: str, looks: Sequence[Mapping[str, Any]], bound: float | None, *, higher: bool) -> str:
    """Draw the relative change so far at every look, with the interval that may be looked at every time."""
    days = [date.fromisoformat(look["day"]) for look in looks]
    x = np.array([(day - days[0]).days for day in days])
    value, low, high = (np.array([look[key] for look in looks]) for key in ("relative", "low", "high"))

    def fill(figure: Any) -> None:
        axes = figure.subplots()
        axes.fill_between(x, low, high, color=BLUE, alpha=0.18, linewidth=0)
        axes.plot(x, value, color=BLUE, marker="o", markersize=3)
        axes.axhline(0, color=INK, linewidth=0.9)
        if bound is not None:
            axes.axhline(-bound if higher else bound, color=RED, linewidth=1.0, linestyle=(0, (4, 3)))
        # The first intervals are so wide that nothing else could be seen.
        settled = slice(min(len(looks) - 1, len(looks) // 5), None)
        reach = 1.25 * float(max(np.abs(low[settled]).max(), np.abs(high[settled]).max(), bound or 0.0))
        axes.set_ylim(-reach, reach)
        _days(axes, days, x)
        axes.set_ylabel("change")
        axes.grid(True, axis="y")
        percent_axis(axes.yaxis)

    return svg(name, f"Relative change of {metric_words(metric)} so far, with its interval", _LOOKS_WIDE, fill)


def _higher_is_better(result: Mapping[str, Any], metric: str) -> bool:
    declared = {one["metric"]: one["better"] for one in result["definition"]["guardrails"]}
    return (declared.get(metric) or BETTER.get(metric)) == "higher"


def _days(axes: Any, days: Sequence[date], x: np.ndarray) -> None:
    step = -(-len(days) // 12)
    axes.set_xticks(x[::step], [f"{day.day} {day:%b}" for day in days[::step]], fontsize=8)
