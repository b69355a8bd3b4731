"""To which label a level leads: the shares of one column for every level of another.

A mix of topics changes with the seasons, and a model copes. That mails of one topic go to another queue than before is
different: what the model has learned is wrong from then on, whatever the mix. So here only chance is allowed for, not
the reference's own habit, and the score is the share of all rows that now go elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from frontdesk.monitoring import phrases
from frontdesk.monitoring.measures import (
    CERTAIN,
    FEWEST_ROWS,
    OTHER,
    Counts,
    Measured,
    Pair,
    codes_of,
    common_levels,
    levels_of,
)
from frontdesk.monitoring.statistics import chance_of, jensen_shannon, permuted_counts, total_variation

FLOORS = (0.01, 0.02)


def moved_share(pair: Pair, name: str, given: str) -> Measured:
    """Compare the shares of a column's levels for every level of another column.

    A level of `given` counts where its rows' labels changed by more than chance, over all those levels together.
    """
    outer, *_ = levels_of(pair.reference, pair.current, given)
    inner = common_levels(pair.reference, pair.current, name)
    before, now = (crossed(window.sample(name), given, name, outer, inner) for window in (pair.reference, pair.current))
    candidates = [
        place
        for place in range(len(outer))  # what is in "all others" is not one level
        if before[place].sum() >= FEWEST_ROWS and now[place].sum() >= FEWEST_ROWS / 3
    ]
    total = max(int(now.sum()), 1)
    found = []
    for place in candidates:
        a, b = before[place], now[place]
        chance = chance_of(jensen_shannon(*permuted_counts(a, b, pair.rng)) ** 2)
        if float(jensen_shannon(a, b)) > chance.quantile(pair.level / len(candidates)):
            found.append((total_variation(a, b) * b.sum() / total, place))
    found.sort(reverse=True)
    score = float(sum(share for share, _ in found))
    names = [*map(phrases.quoted, inner), OTHER]

    def words() -> str:
        said = [
            f"where {given} is {phrases.quoted(outer[i])}, {phrases.moved(names, before[i], now[i])}"
            for _, i in found[:2]
        ]
        more = f"; the same in {len(found) - 2} more" if len(found) > 2 else ""
        return f"{phrases.percent(score)} of all rows go elsewhere than before: " + "; ".join(said) + more

    return Measured("moved_share", score, CERTAIN, 0.0, FLOORS, score, words, outer[found[0][1]] if found else "")


def crossed(table: pa.Table, given: str, name: str, outer: Sequence[str], inner: Sequence[str]) -> Counts:
    """Return rows per level of both columns, int64 [outer + 1, inner + 1]."""
    x = codes_of(table.column(given), list(outer))
    y = codes_of(table.column(name), list(inner))
    both = (x >= 0) & (y >= 0)
    counts = np.bincount(x[both] * (len(inner) + 1) + y[both], minlength=(len(outer) + 1) * (len(inner) + 1))
    return counts.reshape(len(outer) + 1, len(inner) + 1)
