"""Bags: rows that hold many levels at once, as a session holds intents and a text holds words.

What is in one bag belongs together, so bags, and not their content, change sides in the permutations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frontdesk.monitoring import phrases
from frontdesk.monitoring.habits import Parts, Rows, habit
from frontdesk.monitoring.measures import (
    DISTANCE_FLOORS,
    OTHER,
    TOP_LEVELS,
    Counts,
    Measured,
    Pair,
    enough,
    new_levels,
    unseen_habit,
    unseen_share,
)
from frontdesk.monitoring.statistics import chance_of_bags, jensen_shannon, total_variation

Matrix = npt.NDArray[np.float32]
Bags = Sequence[Sequence[str]]


def bag_measures(pair: Pair, name: str, what: str) -> list[Measured]:
    """Compare the levels in the bags of a column.

    Args:
        what: how a bag is called: ``sessions``.
    """
    reference, current = (
        [bag or [] for bag in window.sample(name).column(name).to_pylist()] for window in (pair.reference, pair.current)
    )
    enough(sum(map(bool, reference)), sum(map(bool, current)))
    parts = pair.parts(name)
    return [_shares(pair, reference, current, parts), _unseen(pair, reference, current, parts, what)]


def counted(bags: Bags, levels: Sequence[str]) -> Matrix:
    """Return how often each bag holds each level, float32 [bags, levels + 1]; the last column counts all others."""
    place = {level: i for i, level in enumerate(levels)}
    matrix = np.zeros((len(bags), len(levels) + 1), np.float32)
    for row, bag in enumerate(bags):
        for level in bag:
            matrix[row, place.get(level, len(levels))] += 1
    return matrix


def _shares(pair: Pair, reference: Bags, current: Bags, parts: Parts | None) -> Measured:
    counts = Counter(level for bag in reference for level in bag)
    top = [level for level, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_LEVELS]]
    before, now = counted(reference, top), counted(current, top)
    names = [*map(phrases.quoted, top), OTHER]
    a, b = before.sum(0, dtype=np.float64), now.sum(0, dtype=np.float64)
    return bag_distance(pair, before, now, parts, "jensenshannon", lambda: phrases.moved(names, a, b))


def bag_distance(pair: Pair, before: Matrix, now: Matrix, parts: Parts | None, method: str, words: object) -> Measured:
    """Compare two matrices of counts, one row per bag, by the Jensen-Shannon distance of their sums."""
    a, b = before.sum(0, dtype=np.float64), now.sum(0, dtype=np.float64)
    chance = chance_of_bags(np.concatenate([before, now]), len(before), pair.rng)

    def distance(rest: Rows, part: Rows) -> float:
        sides = [before[rows].sum(0, dtype=np.float64) for rows in (rest, part)]
        return float(jensen_shannon(*sides)) if all(side.sum() for side in sides) else 0.0

    usual = habit(parts, distance, chance, (len(before), len(now)))
    score = float(jensen_shannon(a, b))
    return Measured(method, score, chance, usual, DISTANCE_FLOORS, total_variation(a, b), words)  # type: ignore[arg-type]


def _unseen(pair: Pair, reference: Bags, current: Bags, parts: Parts | None, what: str) -> Measured:
    """Compare the levels of the current bags with all that the reference ever had, by the bags that hold new ones."""
    before, now = (Counter(level for bag in bags for level in set(bag)) for bags in (reference, current))
    names = list({**before, **now})
    new, beyond = new_levels(before, now, pair.level)
    strange = {level for level, _ in new}
    # Counted per level; a bag may hold several new ones.
    share = sum(any(level in strange for level in bag) for bag in current) / len(current)
    score = min(beyond / len(current), share)

    def count(rows: Rows) -> Counts:
        inside = Counter(level for row in rows for level in set(reference[row]))
        return np.array([inside[level] for level in names], np.int64)

    usual = unseen_habit(parts, count)
    return unseen_share(score, usual, lambda: phrases.new_levels(new, len(current), share, what))
