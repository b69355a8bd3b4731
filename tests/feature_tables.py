"""Feature tables of a few rows, and the questions whose answers were worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.records.features import FeatureColumns

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
STAMP = pa.timestamp("us", "UTC")

TICKET = FeatureColumns(
    service="ticket_v1",
    entities={"customer": "customer_id"},
    categorical=("last_contact_type",),
    numeric=("tickets_7d", "days_since_contact"),
)

# customer, happened (days from noon), written down (days from noon), contact type, tickets of 7 and of 30 days
HISTORY = (
    ("ada", -10, -10, "A", 1.0, 2.0),
    ("ada", -2, -2, "B", 2.0, 4.0),
    ("ada", -1, +1, "late", 9.0, 9.0),  # happened before noon, known after it
    ("bob", +1, +1, "future", 3.0, 3.0),
    ("cid", -100, -100, "old", 4.0, 4.0),  # beyond the 90 days that a history counts
)

# customer, asked at (days from noon), a tag that only the row has; then what is known: contact type, tickets of 7 days
QUESTIONS = (
    ("ada", 0, "1", "B", 2.0),
    ("ada", -5, "2", "A", 1.0),
    ("ada", -11, "3", None, None),  # before anything
    ("ada", +2, "4", "late", 9.0),  # by then it was written down
    ("bob", 0, "5", None, None),  # only a value of the future
    ("cid", 0, "6", None, None),  # beyond the time to live
    ("eve", 0, "7", None, None),  # nobody knows her
    ("ada", 0, "8", "B", 2.0),  # the first question again, of another row
)


def history_table(rows: tuple[tuple[Any, ...], ...] = HISTORY) -> pa.Table:
    """Return rows as a table of ``customer_history``; the last contact was the event itself."""
    customers, happened, written, types, weeks, months = zip(*rows, strict=True)
    events = [NOON + days * DAY for days in happened]
    return pa.table(
        {
            "customer": list(customers),
            "tickets_7d": list(weeks),
            "tickets_30d": list(months),
            "last_contact_at": [event.timestamp() for event in events],
            "mean_handle_minutes": [7.0] * len(rows),
            "last_contact_type": list(types),
            "event_timestamp": pa.array(events, STAMP),
            "created": pa.array([NOON + days * DAY for days in written], STAMP),
        }
    )


def line_table(line: str, when: datetime, incident: str, queue: float) -> pa.Table:
    """Return one row of ``line_state``."""
    return pa.table(
        {
            "line": [line],
            "queue_length": [queue],
            "waiting_minutes": [1.0],
            "open_incident": [incident],
            "event_timestamp": pa.array([when], STAMP),
            "created": pa.array([when], STAMP),
        }
    )


def write_history(folder: Path, rows: tuple[tuple[Any, ...], ...] = HISTORY, name: str = "part-0") -> Path:
    """Write rows as a file of ``customer_history``; return the root of the tables."""
    (folder / "customer_history").mkdir(parents=True, exist_ok=True)
    pq.write_table(history_table(rows), folder / "customer_history" / f"{name}.parquet")
    return folder


def question_rows() -> pa.RecordBatch:
    """Return the questions as rows of tickets whose features are not known yet, and one row without a time."""
    customers = [question[0] for question in QUESTIONS]
    times = [NOON + question[1] * DAY for question in QUESTIONS]
    count = len(QUESTIONS) + 1
    return pa.record_batch(
        {
            "id": [question[2] for question in QUESTIONS] + ["9"],
            "created_at": pa.array([*times, None], STAMP),
            "customer_id": [*customers, "ada"],
            "last_contact_type": pa.nulls(count, pa.string()),
            "tickets_7d": pa.nulls(count, pa.float64()),
            "days_since_contact": pa.nulls(count, pa.float64()),
        }
    )
