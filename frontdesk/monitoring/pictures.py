"""The pictures of a drift report: before and now, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from frontdesk.evaluation.plots import BLUE, GREY, percent_axis, shorten, svg
from frontdesk.monitoring.statistics import Floats

_MOST_BARS = 8
_BINS = 30


def shares(name: str, levels: Sequence[str], before: npt.ArrayLike, now: npt.ArrayLike) -> str:
    """Draw the shares of the levels that moved most, the reference above the current window.

    Args:
        before, now: share of each level.
    """
    p, q = (np.asarray(values, np.float64) for values in (before, now))
    order = np.argsort(-np.abs(q - p), kind="stable")[:_MOST_BARS]

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        places = np.arange(len(order))
        axes.barh(places - 0.2, p[order], height=0.38, color=GREY, alpha=0.6, label="reference")
        axes.barh(places + 0.2, q[order], height=0.38, color=BLUE, label="current")
        axes.set_yticks(places, [shorten(levels[i]) for i in order])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(True, axis="x")
        percent_axis(axes.xaxis)
        figure.legend(loc="outside lower center", ncols=2)

    said = "; ".join(f"{levels[i]} {100 * p[i]:.1f} % before, {100 * q[i]:.1f} % now" for i in order)
    return svg(name, f"Shares: {said}", (6.4, 1.0 + 0.42 * len(order)), draw)


def numbers(name: str, before: Floats, now: Floats) -> str:
    """Draw how a number is distributed in both windows, without its most extreme hundredth on either side."""
    low, high = np.percentile(np.concatenate([before, now]), [1, 99])
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for values, colour, words in ((before, GREY, "reference"), (now, BLUE, "current")):
            heights = np.histogram(values, edges)[0] / len(values)
            axes.stairs(heights, edges, color=colour, linewidth=1.8, label=words, fill=colour == GREY, alpha=0.8)
        axes.grid(True, axis="y")
        percent_axis(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=2)

    words = f"Distribution: median {np.median(before):.4g} before, {np.median(now):.4g} now"
    return svg(name, words, (6.4, 2.6), draw)
