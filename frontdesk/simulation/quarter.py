"""A quarter of a desk after a year of history, with two injected changes whose days and truth are known.

Nothing else changes: the rows come from the end of the simulator's time span, where its own labels stand still. On one
day customers begin to use other words for half of what they write about (`tickets.DRIFTS`, ``wording``). On another
day the desk splits its most frequent contact type in two, and closes cases with labels that no model has seen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.errors import UsageError
from frontdesk.simulation import tickets

DAYS = 91
WEEK = 7
_STANDS_STILL = 0.9
"""Place in the simulator's time span behind all of its own changes of labels."""
_OPENS, _OPEN_HOURS = 8, 12
_CLOSES_AFTER = (2.0, 48.0)  # hours
_KNOWN_SINCE = 365.0  # days
NEW, KNOWN = "New customer", "Known customer"
"""The parts of the split contact type, by the age of the customer's account."""
_STAMP = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Quarter:
    """What happens on a desk.

    Attributes:
        start: midnight (UTC) of the first day, a Monday.
        text_day: place of the first day with other words.
        label_day: place of the first day on which the split contact type is closed by its new names.
        split: the contact type.
        history: a year of tickets before `start`, in the simulator's columns.
        tickets: those of the quarter in the order of their time stamps; ``closed_at`` beside the simulator's columns.
    """

    start: datetime
    text_day: int
    label_day: int
    split: str
    history: pa.Table
    tickets: pa.Table

    def opened(self, day: int) -> list[dict[str, Any]]:
        """Return the tickets that come in on a day, in their order."""
        return self._by_day[0].get(day, [])

    def closed(self, day: int) -> list[dict[str, Any]]:
        """Return the tickets that are closed on a day, in the order of closing."""
        return sorted(self._by_day[1].get(day, []), key=lambda row: row["closed_at"])

    def moment(self, day: int) -> datetime:
        """Return the midnight with which a day begins."""
        return self.start + timedelta(days=day)

    @cached_property
    def _by_day(self) -> tuple[dict[int, list[dict[str, Any]]], dict[int, list[dict[str, Any]]]]:
        found: tuple[dict[int, list[dict[str, Any]]], dict[int, list[dict[str, Any]]]] = ({}, {})
        for row in self.tickets.to_pylist():
            for days, name in zip(found, ("created_at", "closed_at"), strict=True):
                days.setdefault((row[name] - self.start).days, []).append(row)
        return found


def simulate_quarter(
    start: datetime,
    *,
    history_rows: int = 4_000,
    per_day: int = 80,
    text_day: int = 28,
    label_day: int = 70,
    seed: int = 0,
) -> Quarter:
    """Return a quarter; two calls with the same arguments return the same one.

    Args:
        start: midnight of a Monday, with its zone.
        history_rows: tickets of the year before.
        per_day: tickets of each day of the quarter.
        text_day: place of the day on which the words change.
        label_day: place of the day on which a contact type is split.
        seed: of everything.

    Raises:
        UsageError: there is nothing to simulate, or a change lies outside the quarter.
    """
    if history_rows < 1 or per_day < 1:
        raise UsageError("a quarter needs tickets", where="history_rows, per_day")
    if not (0 <= text_day < DAYS and 0 <= label_day < DAYS):
        raise UsageError(f"changes are injected on days 0 to {DAYS - 1}", where="text_day, label_day")
    rows = history_rows + DAYS * per_day
    rng = np.random.default_rng([seed, 3])
    order = rng.permutation(rows)
    plain, reworded = (
        tickets.simulate(rows, seed, drift, since=_STANDS_STILL).take(order) for drift in (None, "wording")
    )
    history = _stamped(plain.slice(0, history_rows), start, -365 * rng.random(history_rows))
    opened = np.arange(DAYS)[:, None] + (_OPENS + _OPEN_HOURS * rng.random((DAYS, per_day))) / 24
    border = history_rows + text_day * per_day
    late = pa.concat_tables([plain.slice(history_rows, text_day * per_day), reworded.slice(border)])
    late = _stamped(late, start, opened.ravel())
    lasts = rng.uniform(*_CLOSES_AFTER, late.num_rows)
    rows_now = late.to_pylist()
    counts = Counter(label for label in history["contact_type"].to_pylist() if label is not None)
    split = min(counts, key=lambda label: (-counts[label], label))
    changes = start + timedelta(days=label_day)
    for row, hour in zip(rows_now, lasts.tolist(), strict=True):
        row["closed_at"] = row["created_at"] + timedelta(hours=hour)
        if row["contact_type"] == split and row["closed_at"] >= changes:
            known = (row["account_age_days"] or 0.0) >= _KNOWN_SINCE
            row["contact_type"] = f"{split} > {KNOWN if known else NEW}"
    schema = late.schema.append(pa.field("closed_at", _STAMP))
    return Quarter(start, text_day, label_day, split, history, pa.Table.from_pylist(rows_now, schema))


def _stamped(table: pa.Table, start: datetime, days: np.ndarray) -> pa.Table:
    """Give rows other time stamps, in days from the start, in their order."""
    stamps = pa.array([start + timedelta(days=day) for day in np.sort(days).tolist()], _STAMP)
    return table.set_column(table.schema.get_field_index("created_at"), "created_at", stamps)
