"""The statistics of a column: each with its score, what chance and habit make of it, and the change in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.monitoring import phrases
from frontdesk.monitoring.habits import HABIT_LEVEL, Parts, Rows, habit
from frontdesk.monitoring.statistics import (
    Chance,
    Floats,
    chance_of_counts,
    chance_of_numbers,
    chance_of_shares,
    jensen_shannon,
    total_variation,
    unseen_beyond_chance,
    wasserstein,
)
from frontdesk.monitoring.windows import Window

DISTANCE_FLOORS = (0.05, 0.1)
"""Distances below the first are no change that anybody would act on, however many rows prove it; below the second they
are worth a look. The second is Evidently's own threshold for either distance."""
MISSING_FLOORS = (0.02, 0.05)
REFUSED_FLOORS = (0.01, 0.05)
UNSEEN_FLOORS = (0.001, 0.01)
FEWEST_ROWS = 30
TOP_LEVELS = 30
OTHER = "all others"

CERTAIN = Chance(0.0, 0.0, 1.0)
"""Of a score that is zero where only chance is at work."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """One statistic of one column.

    Attributes:
        method: its name.
        score: its value.
        chance: its distribution where rows are drawn from one population.
        habit: the largest value between parts of the reference, beyond chance.
        floors: what matters at all, and what matters much.
        affected: share of the current rows that would have to be other ones for no change, 0 to 1.
        words: the change.
        within: see `frontdesk.monitoring.verdict.Cause`.
    """

    method: str
    score: float
    chance: Chance
    habit: float
    floors: tuple[float, float]
    affected: float
    words: Callable[[], str]
    within: str = ""


@dataclass(frozen=True)
class Pair:
    """Both windows and what their comparison needs."""

    reference: Window
    current: Window
    time: str | None
    rng: np.random.Generator
    level: float
    parts: Callable[[str], Parts | None]

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows of the reference and of the current window."""
        return self.reference.rows, self.current.rows


class TooFew(Exception):
    """There are not enough values to compare. The message says how many there are."""


def enough(reference: int, current: int) -> None:
    """Raise `TooFew` where one side has fewer than `FEWEST_ROWS` values."""
    if min(reference, current) < FEWEST_ROWS:
        where = "the reference" if reference < FEWEST_ROWS else "the current window"
        raise TooFew(f"{where} has {min(reference, current):,} values, fewer than {FEWEST_ROWS}")


def missing_share(pair: Pair, name: str) -> Measured:
    """Compare the shares of rows without a value."""
    before, now = pair.reference.share_missing(name), pair.current.share_missing(name)
    n, m = pair.reference.rows_of(name), pair.current.rows_of(name)
    chance = chance_of_shares((before * n + now * m) / (n + m), n, m)
    empty = np.asarray(pair.reference.sample(name).column(name).is_null().to_numpy(), np.float64)
    usual = habit(pair.parts(name), lambda rest, part: abs(empty[rest].mean() - empty[part].mean()), chance, (n, m))
    score = abs(now - before)
    return Measured("missing_share", score, chance, usual, MISSING_FLOORS, score, lambda: phrases.missing(before, now))


def levels_of(reference: Window, current: Window, name: str) -> tuple[list[str], Counts, Counts]:
    """Return the reference's most frequent levels, and the rows of each and of `OTHER` in both windows."""
    before, now = reference.levels[name], current.levels[name]
    top = [level for level, _ in sorted(before.counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_LEVELS]]
    counts = []
    for counter in (before, now):
        of = [counter.counts.get(level, 0) for level in top]
        counts.append(np.array([*of, counter.counts.total() + counter.rest - sum(of)], np.int64))
    return top, counts[0], counts[1]


def common_levels(reference: Window, current: Window, name: str) -> list[str]:
    """Return the most frequent levels of both windows, in shares, new ones among them."""
    sides = [
        (window.levels[name].counts, max(window.levels[name].counts.total(), 1)) for window in (reference, current)
    ]
    levels = {level: sum(counts[level] / total for counts, total in sides) for counts, _ in sides for level in counts}
    return sorted(levels, key=lambda level: (-levels[level], level))[:TOP_LEVELS]


def codes_of(column: pa.ChunkedArray, top: list[str]) -> npt.NDArray[np.int64]:
    """Return the place of each row's level in ``top``, ``len(top)`` for another one, -1 for none."""
    found = pc.index_in(column, value_set=pa.array(top, pa.string())).fill_null(len(top))
    return np.where(column.is_null().to_numpy(), -1, found.to_numpy()).astype(np.int64)


def level_shares(pair: Pair, name: str) -> Measured:
    """Compare the shares of levels: Jensen-Shannon distance over the most frequent ones and all others together."""
    top, before, now = levels_of(pair.reference, pair.current, name)
    enough(int(before.sum()), int(now.sum()))
    chance = chance_of_counts(before, now, pair.rng)
    codes = codes_of(pair.reference.sample(name).column(name), top)

    def distance(rest: Rows, part: Rows) -> float:
        sides = [np.bincount(codes[rows][codes[rows] >= 0], minlength=len(top) + 1) for rows in (rest, part)]
        return float(jensen_shannon(*sides)) if all(side.sum() for side in sides) else 0.0

    usual = habit(pair.parts(name), distance, chance, (int(before.sum()), int(now.sum())))
    names = [*map(phrases.quoted, top), OTHER]
    return Measured(
        "jensenshannon",
        float(jensen_shannon(before, now)),
        chance,
        usual,
        DISTANCE_FLOORS,
        total_variation(before, now),
        lambda: phrases.moved(names, before, now),
    )


def unseen_levels(pair: Pair, name: str) -> Measured:
    """Compare the current rows' levels with all that the reference ever had."""
    before, now = pair.reference.levels[name], pair.current.levels[name]
    enough(before.counts.total(), now.counts.total())
    if before.rest:
        raise TooFew(f"more than {len(before.counts):,} levels: a new one says nothing")
    new, beyond = new_levels(before.counts, now.counts, pair.level)
    total = now.counts.total()
    score = beyond / total
    column = pair.reference.sample(name).column(name).combine_chunks().dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy()
    usual = unseen_habit(
        pair.parts(name), lambda rows: np.bincount(codes[rows][codes[rows] >= 0], minlength=len(column.dictionary))
    )
    return unseen_share(score, usual, lambda: phrases.new_levels(new, total, sum(count for _, count in new) / total))


def new_levels(before: Counter[str], now: Counter[str], level: float) -> tuple[list[tuple[str, int]], int]:
    """Return the levels that only ``now`` has, most frequent first, and how many of its counts are beyond chance.

    Args:
        level: see `frontdesk.monitoring.statistics.unseen_beyond_chance`.
    """
    names = list({**before, **now})
    a, b = (np.array([counter[name] for name in names], np.int64) for counter in (before, now))
    places, beyond = unseen_beyond_chance(a, b, level)
    return sorted(((names[place], int(b[place])) for place in places), key=lambda item: (-item[1], item[0])), beyond


def unseen_share(score: float, usual: float, words: Callable[[], str]) -> Measured:
    """Return the statistic of levels that the reference never had, which chance alone does not bring."""
    return Measured("unseen_share", score, CERTAIN, usual, UNSEEN_FLOORS, score, words)


def unseen_habit(parts: Parts | None, count: Callable[[Rows], Counts]) -> float:
    """Return the largest share of a part's rows, beyond chance, whose levels stand in no other part."""
    largest = 0.0
    for part in parts.rows if parts else ():
        inside, outside = count(part), count(parts.rest(part) if parts else part)
        _, beyond = unseen_beyond_chance(outside, inside, HABIT_LEVEL)
        largest = max(largest, beyond / max(int(inside.sum()), 1))
    return largest


def refused_share(pair: Pair) -> tuple[str, Measured] | None:
    """Compare the shares of rows that could not be read; return the field that more of them fail in than before."""
    sides = [(window.refused, window.rows + sum(window.refused.values())) for window in (pair.reference, pair.current)]
    rates = [{reason: count / total for reason, count in refused.items()} for refused, total in sides]
    if not rates[1]:
        return None
    before, now = (sum(rate.values()) for rate in rates)
    n, m = sides[0][1], sides[1][1]
    worst = max(sorted(rates[1]), key=lambda reason: rates[1][reason] - rates[0].get(reason, 0.0))
    said = f"{phrases.percent(now)} of the rows could not be read ({worst}), {phrases.percent(before)} before"
    chance = chance_of_shares((before * n + now * m) / (n + m), n, m)
    score = max(now - before, 0.0)
    measured = Measured("refused_share", score, chance, 0.0, REFUSED_FLOORS, score, lambda: said)
    return worst.partition(": ")[0], measured


def number_distance(pair: Pair, name: str) -> Measured:
    """Compare numbers: Wasserstein distance over the reference's standard deviation."""
    columns = [window.sample(name).column(name) for window in (pair.reference, pair.current)]
    values = [np.asarray(column.cast(pa.float64()).to_numpy(), np.float64) for column in columns]
    return of_numbers(pair, values[0], values[1], pair.parts(name), "wasserstein")


def of_numbers(pair: Pair, reference: Floats, current: Floats, parts: Parts | None, method: str) -> Measured:
    """Compare numbers, NaN where missing, of the rows that `parts` numbers."""
    before, now = reference[~np.isnan(reference)], current[~np.isnan(current)]
    enough(len(before), len(now))
    chance = chance_of_numbers(before, now, pair.rng)

    def distance(rest: Rows, part: Rows) -> float:
        sides = [reference[rows][~np.isnan(reference[rows])] for rows in (rest, part)]
        return wasserstein(sides[0], sides[1]) if all(map(len, sides)) else 0.0

    edges = np.unique(np.percentile(before, np.arange(5, 100, 5)))
    bins = [np.bincount(np.searchsorted(edges, side), minlength=len(edges) + 1) for side in (before, now)]
    return Measured(
        method,
        wasserstein(before, now),
        chance,
        habit(parts, distance, chance, (len(before), len(now))),
        DISTANCE_FLOORS,
        total_variation(bins[0], bins[1]),
        lambda: phrases.numbers(before, now),
    )
