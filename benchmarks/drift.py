"""How often does a comparison of two windows cry wolf, and what does it find?

    python -m benchmarks.drift [--out FILE] [--quick]
    python -m benchmarks.drift --rows 100000 --first 0 --runs 50   # a piece of the first table: seeds 0 to 49

Streams of `frontdesk.simulation.streams`: three months of reference, one of current rows, seven columns, twenty
statistics. No drift: how many comparisons have any cause, at every size, with rows of one population and with months
that differ by themselves. Drifts of known size: how many are found, and named first, in the first window and within
three. Seeded; writes the Markdown tables of docs/drift.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.stats import beta

from frontdesk.monitoring.comparison import FALSE_ALARM_RATE, Watched, compare
from frontdesk.monitoring.embeddings import places_column
from frontdesk.simulation.streams import Change, stream

WATCHED = (
    Watched("paid", "input", "categorical"),
    Watched("channel", "input", "categorical"),
    Watched("product", "input", "categorical"),
    Watched("queue", "label", "categorical", given="channel"),
    Watched("amount", "input", "numeric"),
    Watched("total", "input", "numeric"),
    Watched("visits", "input", "numeric"),
)
RUNS = {100: 300, 1_000: 300, 10_000: 100, 100_000: 300, 1_000_000: 110}
SEASON_RUNS = {1_000: 60}
COLUMN = {"share": "channel", "number": "amount", "missing": "visits", "new level": "product", "routing": "queue"}
CHANGES = [
    Change("share", 0.05),
    Change("share", 0.1),
    Change("share", 0.2),
    Change("number", 0.1),
    Change("number", 0.25),
    Change("number", 0.5),
    Change("missing", 0.05),
    Change("missing", 0.2),
    Change("new level", 0.005),
    Change("new level", 0.02),
    Change("routing", 0.02),
    Change("routing", 0.05),
]
SIZES = (100, 1_000, 10_000)
WINDOWS = 3
MONTHS = 12


def false_alarms(rows: int, runs: int, *, seasons: float = 0.0, first: int = 0) -> tuple[int, int]:
    """Return how many comparisons without drift say ``drift``, and how many have any cause; seeds from ``first`` on."""
    drifts = causes = 0
    for seed in range(first, first + runs):
        rng = np.random.default_rng([seed, rows, int(100 * seasons)])
        months = MONTHS if seasons else 3
        options = {"seasons": seasons, "season_seed": seed}
        reference = stream(months * rows, rng, days=30.0 * months, **options)
        current = stream(rows, rng, first_day=30.0 * months, **options)
        verdict = compare(reference, current, WATCHED, time="at" if seasons else None, seed=seed)
        drifts += verdict.verdict == "drift"
        causes += bool(verdict.causes)
    return drifts, causes


def found(change: Change, rows: int, runs: int) -> tuple[int, int, int]:
    """Return in how many runs a drift is any cause of the first window, the first cause of it, a cause within three."""
    first = named = later = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, rows, 7])
        reference = stream(3 * rows, rng, days=90)
        hits = []
        for window in range(WINDOWS):
            current = stream(rows, rng, change=change, first_day=90 + 30 * window)
            causes = [cause.column for cause in compare(reference, current, WATCHED, seed=seed).causes]
            hits.append(COLUMN[change.what] in causes)
            named += window == 0 and causes[:1] == [COLUMN[change.what]]
            if hits[-1]:
                break
        first += hits[0]
        later += any(hits)
    return first, named, later


def places(rng: np.random.Generator, rows: int, share: float) -> pa.Table:
    """Return texts of eight subjects where a model puts them; a share of them is of a ninth subject."""
    subjects = np.random.default_rng(7).normal(0, 2.0, (9, 24))
    of = np.where(rng.random(rows) < share, 8, rng.integers(0, 8, rows))
    return pa.table({"places": places_column((subjects[of] + rng.normal(0, 1, (rows, 24))).astype(np.float32))})


def places_table() -> str:
    """Return how often the model's embeddings are a cause, without drift and with a new subject of known share."""
    watched = (Watched("places", "text", "places"),)
    lines = [
        "| share of a new subject | texts of a window | comparisons | any cause | `drift` |",
        "|---|---|---|---|---|",
    ]
    for rows, share, runs in ((100, 0, 300), (500, 0, 300), (500, 0.05, 40), (500, 0.1, 40), (500, 0.2, 40)):
        causes = drifts = 0
        for seed in range(runs):
            rng = np.random.default_rng([seed, rows, int(100 * share)])
            verdict = compare(places(rng, 3 * rows, 0), places(rng, rows, share), watched, seed=seed)
            causes += bool(verdict.causes)
            drifts += verdict.verdict == "drift"
        told = [percent(count, runs) if share == 0 else f"{100 * count / runs:.0f} %" for count in (causes, drifts)]
        lines.append(f"| {share:g} | {rows} | {runs} | {told[0]} | {told[1]} |")
    return "\n".join(lines) + "\n"


def percent(count: int, runs: int) -> str:
    """Return a share with its upper 95 % bound (Clopper-Pearson)."""
    bound = beta.ppf(0.95, count + 1, runs - count) if count < runs else 1.0
    return f"{100 * count / runs:.1f} % (under {100 * bound:.1f} %)"


def tables(quick: bool) -> str:
    """Run the study and return its tables."""
    scale = 20 if quick else 1
    lines = [
        f"| rows of a window | comparisons | with any cause (stated: {100 * FALSE_ALARM_RATE:g} %) | `drift` |",
        "|---|---|---|---|",
    ]
    for rows, runs in RUNS.items():
        if quick and rows > 10_000:
            continue
        count = max(runs // scale, 5)
        drifts, causes = false_alarms(rows, count)
        lines.append(f"| {rows:,} | {count} | {percent(causes, count)} | {percent(drifts, count)} |")
        sys.stderr.write(lines[-1] + "\n")
    lines += [
        "",
        "| rows of a month | months differ by | comparisons | with any cause | `drift` |",
        "|---|---|---|---|---|",
    ]
    for rows, runs in SEASON_RUNS.items():
        for seasons in (0.1, 0.3):
            count = max(runs // scale, 5)
            drifts, causes = false_alarms(rows, count, seasons=seasons)
            lines.append(f"| {rows:,} | {seasons} | {count} | {percent(causes, count)} | {percent(drifts, count)} |")
            sys.stderr.write(lines[-1] + "\n")
    lines += [
        "",
        "| drift | rows of a window | found in the first window | named first there | found within three windows |",
        "|---|---|---|---|---|",
    ]
    runs = 5 if quick else 8
    for change in CHANGES:
        for rows in SIZES[:2] if quick else SIZES:
            first, named, later = found(change, rows, runs)
            cells = " | ".join(f"{100 * count / runs:.0f} %" for count in (first, named, later))
            lines.append(f"| {change.what} {change.size:g} | {rows:,} | {cells} |")
            sys.stderr.write(lines[-1] + "\n")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, help="only comparisons without drift, of windows of this many rows")
    parser.add_argument("--first", type=int, default=0, help="their first seed")
    parser.add_argument("--runs", type=int, default=10, help="how many")
    parser.add_argument("--places", action="store_true", help="only the table of a model's embeddings")
    arguments = parser.parse_args()
    if arguments.places:
        print(places_table())
        return
    if arguments.rows:
        drifts, causes = false_alarms(arguments.rows, arguments.runs, first=arguments.first)
        print(f"{arguments.rows} rows, seeds {arguments.first} to {arguments.first + arguments.runs - 1}: ", end="")
        print(f"{causes} with any cause, {drifts} drift")
        return
    text = tables(arguments.quick)
    if arguments.out:
        arguments.out.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
