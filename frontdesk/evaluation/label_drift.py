"""How the shares of the labels change from month to month, whatever a model says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.evaluation.metrics import rounded
from frontdesk.preprocessing.spec import CREATED_AT

SHOWN_LABELS = 8
"""Labels that are told apart, the most frequent ones; the rest is one."""
REST = "(other)"


def label_drift(batches: Iterable[pa.RecordBatch], heads: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Count the labels of every month.

    Args:
        batches: rows with true labels and, where the table has dates, `created_at`.
        heads: label columns.

    Returns:
        ``{head: {"labels", "shares", "months"}}`` of heads with labelled rows in two months or more: the most frequent
        labels and `REST`, their shares over all months, and per month ``{"month", "n", "shares", "distance",
        "chance"}``. ``distance`` is half the sum of the absolute differences from the shares of all other months (over
        every label, shown or not): the share of the rows that would have to change their label. ``chance`` is what
        as many rows drawn from those shares would show.
    """
    counts: dict[str, Counter[tuple[str, str]]] = {head: Counter() for head in heads}
    for batch in batches:
        names = batch.schema.names
        if CREATED_AT not in names:
            return {}
        months = pc.strftime(batch.column(CREATED_AT), "%Y-%m")
        for head in heads:
            if head in names:
                table = pa.table({"month": months, "label": batch.column(head)}).drop_null()
                for row in table.group_by(["month", "label"]).aggregate([([], "count_all")]).to_pylist():
                    counts[head][row["month"], row["label"]] += row["count_all"]
    found = {head: _of_head(counted) for head, counted in counts.items()}
    return {head: figures for head, figures in found.items() if len(figures["months"]) > 1}


def _of_head(counted: Counter[tuple[str, str]]) -> dict[str, Any]:
    months = sorted({month for month, _ in counted})
    totals: Counter[str] = Counter()
    for (_, label), count in counted.items():
        totals[label] += count
    labels = sorted(totals, key=lambda label: (-totals[label], label))
    place = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(months), len(labels)))
    for (month, label), count in counted.items():
        table[months.index(month), place[label]] = count
    rest = len(labels) > SHOWN_LABELS
    return {
        "labels": [*labels[:SHOWN_LABELS], REST] if rest else labels,
        "shares": _shown(table.sum(0), rest),
        "months": [
            {"month": month, "n": int(row.sum()), "shares": _shown(row, rest)} | _distance(row, table.sum(0) - row)
            for month, row in zip(months, table, strict=True)
        ],
    }


def _shown(counts: np.ndarray, rest: bool) -> list[float | None]:
    shares = counts / max(counts.sum(), 1)
    kept = [rounded(share) for share in shares[:SHOWN_LABELS]]
    return [*kept, rounded(shares[SHOWN_LABELS:].sum())] if rest else kept


def _distance(month: np.ndarray, others: np.ndarray) -> dict[str, float | None]:
    if not others.sum():
        return {"distance": None, "chance": None}
    expected = others / others.sum()
    # The mean of |share - expected| of a binomial share is near that of a normal one: sqrt(2 / pi) deviations.
    deviations = np.sqrt(expected * (1 - expected) * (1 / month.sum() + 1 / others.sum()))
    return {
        "distance": rounded(0.5 * np.abs(month / month.sum() - expected).sum()),
        "chance": rounded(0.5 * np.sqrt(2 / np.pi) * deviations.sum()),
    }
