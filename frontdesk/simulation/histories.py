"""Seeded tickets whose customers have a history, and the feature tables that know it.

A part of the tickets only asks for news of the customer's last matter. Their text says nothing, so their contact type
can be known from the history alone: from the newest row that had happened and had been written down when the ticket
came. Rows are written minutes after the fact, some days later, as real ones are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.simulation import tickets

TICKETS_PER_CUSTOMER = 20
FOLLOW_UPS = 0.4
"""Share of the tickets that ask for news, where the customer's last matter is one that people ask about."""
ASKED_ABOUT = 8
"""So many of the most frequent contact types are asked about."""
LATE = 0.05
REMEMBERED = timedelta(days=90)
QUESTIONS = {
    "en": "Any news?",
    "de": "Gibt es etwas Neues?",
    "es": "¿Hay novedades?",
    "fr": "Des nouvelles ?",
    "pt": "Há novidades?",
    "it": "Ci sono novità?",
}

MAPPING: dict[str, Any] = {
    "id": "id",
    "created_at": "created_at",
    "text": ["subject", "body"],
    "categorical": ["channel", "language", "product", "region"],
    "numeric": ["account_age_days", "order_total"],
    "contact_type": "contact_type",
    "reply": "reply",
    "features": {
        "service": "ticket_v1",
        "entities": {"customer": "customer_id"},
        "categorical": ["last_contact_type"],
        "numeric": ["tickets_7d", "tickets_30d", "mean_handle_minutes", "days_since_contact", "week_share"],
    },
}
"""A column mapping of the tickets with their features."""

_STAMP = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Histories:
    """What was simulated.

    Attributes:
        tickets: columns of `tickets.SCHEMA`, ``customer_id``, and ``is_follow_up``.
        features: table of each feature view by name.
    """

    tickets: pa.Table
    features: dict[str, pa.Table]

    def write_features(self, folder: Path) -> None:
        """Write the feature tables as the feature store reads them."""
        write_feature_tables(self.features, folder)


@dataclass
class _Customer:
    """What a customer's tickets have left so far: times of tickets, and rows ``(event, created, contact type)``."""

    times: list[datetime]
    rows: list[tuple[datetime, datetime, str]]
    minutes: list[float]

    def last_known(self, now: datetime) -> str | None:
        known = [row for row in self.rows if row[0] <= now and row[1] <= now and now - row[0] <= REMEMBERED]
        return max(known)[2] if known else None

    def within(self, now: datetime, days: int) -> float:
        return float(sum(now - moment <= timedelta(days=days) for moment in self.times))


def simulate(rows: int, seed: int = 0) -> Histories:
    """Return tickets in the order of their time stamps, and the features of their customers.

    Args:
        rows: how many tickets.
        seed: two calls with the same arguments return the same tables.

    Raises:
        UsageError: fewer than one row.
    """
    plain = tickets.simulate(rows, seed)
    rng = np.random.default_rng([seed, 2])
    customers = [f"C{number:05d}" for number in rng.integers(max(rows // TICKETS_PER_CUSTOMER, 1), size=rows)]
    counts = plain["contact_type"].drop_null().value_counts().to_pylist()
    frequent = sorted(counts, key=lambda each: (-each["counts"], each["values"]))
    asked_about = {each["values"] for each in frequent[:ASKED_ABOUT]}
    known: defaultdict[str, _Customer] = defaultdict(lambda: _Customer([], [], []))
    made, history, progress = [], [], []
    for record, name, dice in zip(plain.to_pylist(), customers, rng.random((rows, 5)), strict=True):
        customer, now = known[name], record["created_at"]
        last = customer.last_known(now)
        follows = last in asked_about and dice[0] < FOLLOW_UPS
        if follows:
            question = QUESTIONS.get(record["language"], QUESTIONS["en"])
            record |= {"subject": None, "body": question, "contact_type": last, "reply": None}
        made.append(record | {"customer_id": name, "is_follow_up": follows})
        delay = timedelta(days=2 + 8 * dice[2]) if dice[1] < LATE else timedelta(minutes=5 + 55 * dice[2])
        customer.times.append(now)
        customer.minutes.append(round(5 + 40 * float(dice[3]), 1))
        progress.append(_progress(record, now, reopened=follows))
        if record["contact_type"] is not None:
            customer.rows.append((now, now + delay, record["contact_type"]))
            history.append(_history(name, customer))
    schema = tickets.SCHEMA.append(pa.field("customer_id", pa.string())).append(pa.field("is_follow_up", pa.bool_()))
    features = {"customer_history": feature_table(history), "ticket_progress": feature_table(progress)}
    return Histories(pa.Table.from_pylist(made, schema=schema), features)


def _history(name: str, customer: _Customer) -> dict[str, Any]:
    now, created, contact_type = customer.rows[-1]
    return {
        "customer": name,
        "tickets_7d": customer.within(now, 7),
        "tickets_30d": customer.within(now, 30),
        "last_contact_at": now.timestamp(),
        "mean_handle_minutes": round(float(np.mean(customer.minutes)), 2),
        "last_contact_type": contact_type,
        "event_timestamp": now,
        "created": created,
    }


def _progress(record: dict[str, Any], now: datetime, *, reopened: bool) -> dict[str, Any]:
    return {
        "ticket": record["id"],
        "messages": 1.0,
        "reopened": float(reopened),
        "waits_for": "desk",
        "event_timestamp": now,
        "created": now,
    }


def write_feature_tables(tables: Mapping[str, pa.Table], folder: Path) -> None:
    """Write the tables of feature views: one folder of Parquet per view."""
    for view, table in tables.items():
        (folder / view).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / view / "part-00000.parquet", compression="zstd")


def feature_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows with their time stamps in microseconds: DuckDB does not read nanoseconds."""
    table = pa.Table.from_pylist(rows)
    for name in ("event_timestamp", "created"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(_STAMP))
    return table
