"""Figures of a window that people ask for beside the verdict: shares of levels, coverage, diversity, churn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from frontdesk.monitoring.log_columns import NOTHING

Figures = dict[str, list[float | None]]
"""``{name: [reference, current]}``; null where nothing was there to count."""


def shares(reference: pa.Table, current: pa.Table) -> Figures:
    """Return accuracy, acceptance, abstention, degradation, orphans and churn, as far as the tables tell them."""
    found: Figures = {}
    for name in reference.column_names:
        kind, _, head = name.partition(".")
        suffix = f".{head}" if head else ""
        if (wanted := _LEVELS.get(kind)) is not None:
            for figure, level in wanted.items():
                found[figure + suffix] = [_share(table, name, level) for table in (reference, current)]
        elif name == "suggested.churn":
            found["churn"] = [_mean(table, name) for table in (reference, current)]
    return found


_LEVELS: Mapping[str, Mapping[str, str]] = {
    "answer": {"accuracy": "right"},
    "decision": {"abstained": "abstain"},
    "degraded": {"degraded": "yes"},
    "opened_from": {"opened_from_suggestions": "suggested"},
    "orphan": {"orphans": "yes"},
    "suggestion": {"accepted": "accepted", "changed": "changed"},
}


def variety(reference: Sequence[Iterable[str]], current: Sequence[Iterable[str]]) -> Figures:
    """Return how much of the catalogue two windows' lists show.

    ``coverage`` is the share of all intents that either window shows; ``diversity`` the entropy of what is shown,
    1 where every intent of either window is shown equally often.
    """
    counts = [Counter(name for one in lists for name in one if name != NOTHING) for lists in (reference, current)]
    catalogue = len(counts[0].keys() | counts[1].keys())
    return {
        "coverage": [len(count) / catalogue if count else None for count in counts],
        "diversity": [_evenness(count, catalogue) for count in counts],
    }


def _evenness(counts: Counter[str], catalogue: int) -> float | None:
    total = counts.total()
    if not total:
        return None
    if catalogue == 1:
        return 1.0
    return -sum(n / total * math.log(n / total) for n in counts.values()) / math.log(catalogue)


def _share(table: pa.Table, column: str, level: str) -> float | None:
    values = [value for value in table[column].to_pylist() if value is not None]
    return sum(value == level for value in values) / len(values) if values else None


def _mean(table: pa.Table, column: str) -> float | None:
    values = [value for value in table[column].to_pylist() if value is not None]
    return math.fsum(values) / len(values) if values else None
