"""Figures as SVG attributes: the page's policy allows no inline style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 14, 40


def coverage_curve(curve: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the template draws of a row of simulated precisions: points, an area of the intervals, ticks.

    Args:
        curve: see `frontdesk.coverage.simulate_head`.
    """
    first, last = float(curve[0]["precision"]), float(curve[-1]["precision"])

    def x(precision: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (precision - first) / (last - first), 1)

    def y(share: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - share), 1)

    upper = [f"{x(one['precision'])},{y(one['share_interval'][1])}" for one in curve]
    lower = [f"{x(one['precision'])},{y(one['share_interval'][0])}" for one in reversed(curve)]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": _LEFT,
        "right": WIDTH - _RIGHT,
        "bottom": HEIGHT - _BOTTOM,
        "line": " ".join(f"{x(one['precision'])},{y(one['share'])}" for one in curve),
        "band": " ".join([*upper, *lower]),
        "points": [{"x": x(one["precision"]), "y": y(one["share"])} for one in curve],
        "across": [{"y": y(share), "words": f"{share:.0%}"} for share in (0, 0.25, 0.5, 0.75, 1)],
        "along": [{"x": x(p), "words": f"{p:.0%}"} for p in (0.7, 0.8, 0.9, 0.95, 0.99) if first <= p <= last],
    }


def strip(verdicts: Sequence[str]) -> dict[str, Any]:
    """Return a row of squares, one for each verdict, oldest first. What differs differs in height too, not in colour
    alone."""
    height = {"none": 4, "stable": 10, "watch": 22, "drift": 34}
    squares = [
        {"x": 14 * place, "y": 36 - height[verdict], "height": height[verdict], "verdict": verdict}
        for place, verdict in enumerate(verdicts)
    ]
    return {"width": max(14 * len(verdicts), 14), "height": 36, "squares": squares}
