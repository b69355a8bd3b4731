"""The pictures with a month on the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontdesk.evaluation.plots import BLUE, INK, percent_axis, shorten, svg


def months(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw the accuracy by month with its interval."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        x = np.arange(len(rows))
        axes.fill_between(
            x, [row["low"] for row in rows], [row["high"] for row in rows], color=BLUE, alpha=0.2, linewidth=0
        )
        axes.plot(x, [row["accuracy"] for row in rows], color=BLUE, marker="o", markersize=3)
        step = -(-len(rows) // 12)
        axes.set_xticks(x[::step], [row["value"] for row in rows[::step]], rotation=45, ha="right", fontsize=8)
        axes.set_ylim(0, 1)
        axes.grid(True, axis="y")
        percent_axis(axes.yaxis)

    return svg(name, f"Accuracy by month, {rows[0]['value']} to {rows[-1]['value']}", (6.4, 2.6), draw)


def shares(name: str, figures: Mapping[str, Any]) -> str:
    """Draw the share of every label by month, a panel each; the line across is its share over all months.

    Args:
        figures: of `frontdesk.evaluation.label_drift`.
    """
    labels, months = figures["labels"], figures["months"]
    columns = min(len(labels), 3)
    lines = -(-len(labels) // columns)

    def draw(figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        panels = figure.subplots(lines, columns, squeeze=False, sharex=True).ravel()
        x = np.arange(len(months))
        step = -(-len(months) // 6)
        for place, (axes, label) in enumerate(zip(panels, labels, strict=False)):
            values = [month["shares"][place] for month in months]
            axes.axhline(figures["shares"][place], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.6)
            axes.plot(x, values, color=BLUE, marker="o", markersize=2.5, linewidth=1.2)
            axes.set_title(shorten(label, 30), fontsize=8)
            axes.set_ylim(0, 1.1 * max(*values, 0.01))
            axes.set_xticks(
                x[::step], [month["month"] for month in months[::step]], rotation=45, ha="right", fontsize=7
            )
            axes.tick_params(axis="y", labelsize=7)
            axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
            axes.grid(True, axis="y")
            percent_axis(axes.yaxis)
        for axes in panels[len(labels) :]:
            axes.set_visible(False)
        for axes in panels[
            max(0, len(labels) - columns) : len(labels)
        ]:  # the lowest panel of every column has the months
            axes.tick_params(labelbottom=True)

    words = f"Share of {len(labels)} labels by month, {months[0]['month']} to {months[-1]['month']}"
    return svg(name, words, (7.2, 0.5 + 1.45 * lines), draw)
