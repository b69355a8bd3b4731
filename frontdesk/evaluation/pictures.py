"""Which pictures an evaluation gets: drawn once, kept in ``pictures.json`` beside the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frontdesk.evaluation import monthly_plots, plots
from frontdesk.evaluation.intervals import wilson
from frontdesk.evaluation.report import head_name, systems

MONTHS = "month of creation"
_SMALLEST_SLICE = 20
_MOST_VALUES = 8
_MAPS = {
    "words": "Frequent words by the labels that they speak for; colour: the branch",
    "labels": "Labels by their vectors in the decoder; colour: the top-level branch",
}


def draw(metrics: Mapping[str, Any], history: Any, maps: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Draw the pictures of a report.

    Args:
        metrics: content of ``metrics.json``.
        history: entries of training, one per epoch.
        maps: points from `frontdesk.evaluation.maps`.

    Returns:
        ``{name: svg}``; a picture with nothing to show is absent.
    """
    drawn: dict[str, str] = {}
    for head, figures in metrics["test"].items():
        if figures["n"]:
            drawn |= _of_head(metrics, head)
    curves = {head_name(head): found["curve"] for head, found in metrics["automation"].items() if found["curve"]}
    if curves:
        drawn["automation"] = plots.automation("automation", curves)
    entries = _numbers(history)
    if len(entries) > 1 and any("loss" in key or "accuracy" in key for entry in entries for key in entry):
        drawn["learning"] = plots.learning("learning", entries)
    for key, words in _MAPS.items():
        if maps.get(key):
            drawn[f"map-{key}"] = plots.point_map(f"map-{key}", maps[key], words)
    return drawn


def _of_head(metrics: Mapping[str, Any], head: str) -> dict[str, str]:
    rows = []
    for system in systems(metrics, head):
        accuracy, n = system["figures"]["accuracy"], system["figures"]["n"]
        rows.append((system["name"], accuracy, *wilson(round(accuracy * n), n)))
    drawn = {
        f"systems-{head}": plots.systems(f"systems-{head}", rows),
        f"calibration-{head}": plots.calibration(f"calibration-{head}", metrics["calibration"][head]),
    }
    parts = metrics["slices"][head]
    shown = [
        (name, value["value"], value)
        for name, values in parts.items()
        if name != MONTHS and sum(value["n"] >= _SMALLEST_SLICE for value in values) > 1
        for value in [value for value in values if value["n"] >= _SMALLEST_SLICE][:_MOST_VALUES]
    ]
    if shown:
        drawn[f"slices-{head}"] = plots.slices(f"slices-{head}", shown, metrics["test"][head]["accuracy"])
    if len(parts.get(MONTHS, [])) > 1:
        drawn[f"months-{head}"] = monthly_plots.months(f"months-{head}", parts[MONTHS])
    if head in metrics["label_drift"]:
        drawn[f"drift-{head}"] = monthly_plots.shares(f"drift-{head}", metrics["label_drift"][head])
    found = metrics["confusion"][head]
    if len(found["labels"]) > 1:
        drawn[f"confusion-{head}"] = plots.confusion(f"confusion-{head}", found["labels"], found["matrix"])
    return drawn


def _numbers(history: Any) -> list[dict[str, float]]:
    return [
        {key: value for key, value in entry.items() if isinstance(value, int | float)}
        for entry in (history if isinstance(history, list) else [])
        if isinstance(entry, Mapping)
    ]
