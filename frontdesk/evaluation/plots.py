"""The pictures of the report, as SVG that takes its ink from the page, so that they fit a light and a dark one.

Colours are those of Okabe and Ito, which people with any colour vision tell apart. The same figures give the same
bytes.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#c4b000",
)
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW)
GREY = "#8c8c8c"
INK = "#010203"  # stands for the page's text colour until the SVG is written
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
_CONFUSION_LABELS = 20
_LABEL_WIDTH = 34

Draw = Callable[[Any], None]


def shorten(text: str, width: int = _LABEL_WIDTH) -> str:
    """Return a label for a picture: printable characters only, the middle left out where it is too long."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    if len(plain) <= width:
        return plain
    tail = width // 2
    return f"{plain[: width - tail - 1].rstrip()}…{plain[-tail:].lstrip()}"


def svg(name: str, words: str, size: tuple[float, float], draw: Draw) -> str:
    """Draw a figure and return it as an inline ``<svg>``.

    Args:
        name: unique on the page; seeds the ids inside.
        words: what the picture shows, for those who do not see it.
        size: width and height in inches.
        draw: fills a matplotlib figure.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's browser has the fonts that this machine lacks
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_alpha(0)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = _without_unused_ids(text[text.index("<svg") :].replace(INK, "currentColor"))
    opening = re.match(r"<svg[^>]*>", text)
    assert opening is not None
    box = re.search(r'viewBox="([^"]*)"', opening.group())
    assert box is not None
    label = html.escape(words, quote=True)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box.group(1)}" role="img" aria-label="{label}"'
    # So wide that 9 points of the drawing are 12.5 pixels, and narrower where the page is.
    return f'{head} style="max-width:{100 * size[0]:.0f}px;width:100%">' + text[opening.end() :].rstrip()


def _without_unused_ids(text: str) -> str:
    """Drop the ids that nothing in the drawing refers to: every drawing would bring the same ones to the page."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    return re.sub(r' id="([^"]*)"', lambda found: found.group() if found.group(1) in used else "", text)


def percent_axis(axis: Any) -> None:
    """Write an axis's ticks as percentages."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def systems(name: str, rows: Sequence[tuple[str, float, float, float]]) -> str:
    """Draw accuracies with their intervals, one system per line; the first is ours.

    Args:
        rows: (system, accuracy, low, high).
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for place, (_, value, low, high) in enumerate(rows):
            colour = BLUE if place == 0 else GREY
            axes.barh(place, value, height=0.62, color=colour, alpha=0.9 if place == 0 else 0.55)
            axes.plot([low, high], [place, place], color=INK, linewidth=1.2)
            axes.text(max(high, value) + 0.015, place, f"{100 * value:.1f} %", va="center")
        axes.set_yticks(range(len(rows)), [system for system, *_ in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.1)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        percent_axis(axes.xaxis)

    words = "; ".join(f"{system} {100 * value:.1f} %" for system, value, *_ in rows)
    return svg(name, f"Accuracy by system: {words}", (6.4, 0.5 + 0.36 * len(rows)), draw)


def calibration(name: str, figures: Mapping[str, Any]) -> str:
    """Draw confidence against accuracy, before and after temperature scaling."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5, linestyle=(0, (4, 3)))
        scaled = figures["bins_before"] != figures["bins"]
        before = [("bins_before", "before", ORANGE, "--")] if scaled else []
        for key, words, colour, style in (*before, ("bins", "after scaling", BLUE, "-")):
            x, y = zip(*((point["confidence"], point["accuracy"]) for point in figures[key]), strict=True)
            axes.plot(x, y, style, color=colour, marker="o", markersize=3.5, label=words)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that is right")
        axes.set_aspect("equal")
        axes.grid(True)
        if scaled:
            axes.legend(loc="upper left")
        percent_axis(axes.xaxis)
        percent_axis(axes.yaxis)

    words = f"Reliability curve; calibration error {figures['ece']}, before scaling {figures['ece_before']}"
    return svg(name, words, (3.8, 3.8), draw)


def automation(name: str, curves: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Draw precision against the share of rows that are answered automatically, one line per head."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for (head, curve), colour, style in zip(curves.items(), COLOURS, ("-", "--", "-.", ":") * 2, strict=False):
            x, y = zip(*curve, strict=True)
            axes.plot(x, y, style, color=colour, label=head)
        for precision in (0.9, 0.95, 0.99):
            axes.axhline(precision, color=INK, linewidth=0.6, alpha=0.35, linestyle=":")
        lowest = min(point[1] for curve in curves.values() for point in curve)
        axes.set(xlim=(0, 1), ylim=(min(0.85, lowest), 1.005), xlabel="share answered", ylabel="precision")
        axes.grid(True, axis="x")
        axes.legend(loc="lower left")
        percent_axis(axes.xaxis)
        percent_axis(axes.yaxis)

    return svg(name, "Precision against the share of rows answered without a person", (5.2, 3.6), draw)


def confusion(name: str, labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Draw a confusion matrix by rows: of the rows with this label, the share predicted as that."""
    counts = np.asarray(matrix, np.float64)
    if len(labels) > _CONFUSION_LABELS + 1:
        keep = _CONFUSION_LABELS
        counts = np.add.reduceat(np.add.reduceat(counts, [*range(keep), keep], axis=0), [*range(keep), keep], axis=1)
        labels = [*labels[:keep], "(other)"]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(labels)

    def draw(figure: Any) -> None:
        from matplotlib.colors import to_rgb

        axes = figure.subplots()
        colours = np.zeros((size, size, 4))
        colours[..., :3] = np.where(np.eye(size, dtype=bool)[..., None], to_rgb(BLUE), to_rgb(RED))
        colours[..., 3] = 0.04 + 0.7 * shares
        axes.pcolormesh(colours, edgecolor="none")
        for row, column in zip(*np.nonzero(shares >= 0.08), strict=True):
            axes.text(
                column + 0.5, row + 0.52, f"{100 * shares[row, column]:.0f}", ha="center", va="center", fontsize=7
            )
        short = [shorten(label) for label in labels]
        axes.set_yticks(np.arange(size) + 0.5, short, fontsize=7.5)
        axes.set_xticks(np.arange(size) + 0.5, short, fontsize=7.5, rotation=55, ha="right", rotation_mode="anchor")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set(ylabel="true label", xlabel="predicted label (% of the row)")

    side = 2.6 + 0.26 * size
    return svg(name, f"Confusion matrix of the {size} most frequent labels, in percent of each row", (side, side), draw)


def slices(name: str, rows: Sequence[tuple[str, str, Mapping[str, Any]]], overall: float) -> str:
    """Draw the accuracy of slices with their intervals; the line is the accuracy over all.

    Args:
        rows: (slice, value, ``{"n", "accuracy", "low", "high"}``), in groups.
        overall: accuracy over all rows.
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        place, ticks, names, group = 0.0, [], [], None
        for slice_name, value, row in rows:
            if slice_name != group:
                place += 1.1 if group is None else 1.5
                axes.text(0.0, place - 0.78, slice_name, fontsize=8, fontweight="bold", va="center")
                group = slice_name
            colour = RED if row["high"] < overall else GREEN if row["low"] > overall else BLUE
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2.2, alpha=0.5)
            axes.plot(row["accuracy"], place, marker="o", markersize=5, color=colour)
            ticks.append(place)
            names.append(f"{shorten(value, 30)}  ({row['n']:,})")
            place += 1
        axes.axvline(overall, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.6)
        axes.set_yticks(ticks, names, fontsize=8)
        axes.set(xlim=(0, 1), ylim=(place, -0.4))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(True, axis="x")
        percent_axis(axes.xaxis)

    groups = len({slice_name for slice_name, *_ in rows})
    words = f"Accuracy of {len(rows)} slices against {100 * overall:.1f} % over all rows"
    return svg(name, words, (6.4, 0.6 + 0.22 * len(rows) + 0.34 * groups), draw)


def learning(name: str, history: Sequence[Mapping[str, float]]) -> str:
    """Draw the curves of training: losses on the left, shares (accuracies) on the right."""
    keys = sorted({key for entry in history for key in entry})
    groups = [[key for key in keys if "loss" in key], [key for key in keys if "accuracy" in key]]
    groups = [group for group in groups if group]

    def draw(figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
            for key, colour, style in zip(group, COLOURS, ("-", "--", "-.", ":") * 2, strict=False):
                points = [
                    (entry.get("epoch", place), entry[key]) for place, entry in enumerate(history) if key in entry
                ]
                x, y = zip(*points, strict=True)
                axes.plot(
                    x,
                    y,
                    style,
                    color=colour,
                    marker="o",
                    markersize=2.5,
                    label=key.replace("_", " ").replace(".", ": "),
                )
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(True)
            axes.legend(fontsize=8)

    return svg(name, "Learning curves by epoch", (3.6 * len(groups), 2.9), draw)


def point_map(name: str, points: Sequence[Mapping[str, Any]], words: str) -> str:
    """Draw a map of words or labels, coloured by branch; names where there is room, the most frequent first."""
    counts = Counter(point["branch"] for point in points)
    branches = [branch for branch, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    colour_of = dict(zip(branches, COLOURS, strict=False))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for branch in [*branches[: len(COLOURS)], None]:
            chosen = [point for point in points if (colour_of.get(point["branch"]) is None) == (branch is None)]
            chosen = [point for point in chosen if branch is None or point["branch"] == branch]
            if chosen:
                label = "other" if branch is None else shorten(branch, 28) or None
                x, y = [point["x"] for point in chosen], [point["y"] for point in chosen]
                axes.scatter(x, y, s=14, color=colour_of.get(branch or "", GREY), alpha=0.75, linewidths=0, label=label)
        for point in _spaced(points):
            axes.annotate(
                shorten(point["name"], 26), (point["x"], point["y"]), (3, 2), textcoords="offset points", fontsize=6.5
            )
        axes.set_axis_off()
        if branches != [""]:
            figure.legend(loc="outside lower center", ncols=3, fontsize=7.5, markerscale=1.6)

    return svg(name, words, (7.2, 6.2), draw)


def _spaced(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the points that get a name: the most frequent first, none over another's name."""
    places = np.array([(point["x"], point["y"]) for point in points])
    width, height = np.maximum(np.ptp(places, axis=0), 1e-9)
    chosen: list[tuple[float, float, float]] = []
    named = []
    for place in sorted(range(len(points)), key=lambda place: (-points[place]["n"], points[place]["name"])):
        x, y = places[place, 0] / width, places[place, 1] / height
        length = 0.011 * min(len(points[place]["name"]), 26)
        if all(
            abs(y - other_y) > 0.025 or x > other_end or x + length < other_x for other_x, other_end, other_y in chosen
        ):
            chosen.append((x, x + length, y))
            named.append(points[place])
    return named
