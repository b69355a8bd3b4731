"""Sessions for tests: simulated ones, hand-made ones, and the real sets where they lie beside the repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS, IntentColumns, parse_intent_columns, rows_of
from frontdesk.intent.sessions import SessionSet, session_set, temporal_split, usable_rows
from frontdesk.intent.tokens import Tokenizer
from frontdesk.simulation.sessions import simulate

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared/data"
START = datetime(2025, 5, 5, 9, 0, 0, 250_000, tzinfo=UTC)
PLAIN = IntentColumns(session="session", operator="operator", line="line", timestamp="time", kind="kind", name="name")


@dataclass(frozen=True)
class Split:
    """A data set after the temporal split."""

    columns: IntentColumns
    tokenizer: Tokenizer
    train: SessionSet
    test: SessionSet


def split(table: pa.Table, columns: IntentColumns) -> Split:
    """Read, split and tokenise a table as the jobs do."""
    rows, _ = rows_of(table, columns)
    rows = usable_rows(rows, columns)
    test = temporal_split(rows)
    train_rows = rows.filter(pa.array(~test))
    tokenizer = Tokenizer.fit(train_rows)
    return Split(
        columns,
        tokenizer,
        session_set(train_rows, tokenizer, columns),
        session_set(rows.filter(pa.array(test)), tokenizer, columns),
    )


def simulated(rows: int = 6_000, seed: int = 0) -> Split:
    """Return simulated sessions."""
    return split(simulate(rows, seed), DEFAULT_INTENT_COLUMNS)


def real_table(name: str) -> pa.Table:
    """Return a real set; skip the test where it is missing."""
    path = DATA / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"{name}.parquet is not in ../shared/data")
    return pq.read_table(path)


def real(name: str, columns: str) -> Split:
    """Return a real set, read by one of the examples' mappings."""
    content = yaml.safe_load((ROOT / "examples" / columns).read_text())
    return split(real_table(name), parse_intent_columns(content))


def table(*sessions: Sequence[str], **more: Sequence[Any]) -> pa.Table:
    """Return a table of hand-made sessions, a day apart and ten seconds between rows.

    A session is ``(operator, line, token, ...)``; a token in capitals is an opened intent, another one an event.

    Args:
        more: further columns.
    """
    records = [
        (f"s{number}", operator, line, START + timedelta(days=number, seconds=10 * place), token)
        for number, (operator, line, *tokens) in enumerate(sessions)
        for place, token in enumerate(tokens)
    ]
    names = ("session", "operator", "line", "time", "name")
    made = pa.table({name: list(values) for name, values in zip(names, zip(*records, strict=True), strict=True)})
    kinds = ["intent" if record[-1].isupper() else "event" for record in records]
    made = made.append_column("kind", pa.array(kinds))
    for name, values in more.items():
        made = made.append_column(name, pa.array(values))
    return made


def sessions(*made: Sequence[str]) -> tuple[SessionSet, Tokenizer]:
    """Return hand-made sessions (see `table`) and a tokeniser that knows them all."""
    rows, _ = rows_of(table(*made), PLAIN)
    tokenizer = Tokenizer.fit(rows)
    return session_set(rows, tokenizer, PLAIN), tokenizer


def names_of(tokenizer: Tokenizer, intents: np.ndarray) -> list[str]:
    """Return the names of intent ids, without the missing ones."""
    return [tokenizer.intents[intent] for intent in intents.tolist() if intent >= 0]
