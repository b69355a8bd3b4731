"""Are rows of every age brought to the version asked for, and are labels without a place counted and masked?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.records import EmailColumns, EmailLabels, TicketColumns
from frontdesk.simulation.emails import simulate
from frontdesk.snapshots import read_rows, take_snapshot
from frontdesk.storage import Store
from frontdesk.taxonomy import RowMapper, load_taxonomy, parse_taxonomy
from frontdesk.ticket.recipe import TicketParameters
from tests.label_files import START, label_files

EXAMPLE = Path(__file__).with_name("labels.yaml")


def _rows(*rows: tuple[str | None, str | None, str | None, str | None]) -> pa.RecordBatch:
    """Return rows of (day, queue, topic, bank)."""
    days, queues, topics, banks = zip(*rows, strict=True)
    times = [None if day is None else datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days]
    return pa.record_batch(
        {
            "created_at": pa.array(times, pa.timestamp("us", "UTC")),
            "custodian_bank": pa.array(banks, pa.string()),
            "queue": pa.array(queues, pa.string()),
            "topic": pa.array(topics, pa.string()),
        }
    )


def test_every_row_is_read_by_the_version_of_its_day() -> None:
    rows = _rows(
        ("2023-02-01", "Securities", "Dividends", None),
        ("2023-08-01", "Securities desk", "Fax order", None),
        ("2023-08-01", "Complaints", "Card", None),
        ("2023-08-01", "Payments", "Card", "Baader Bank"),
        ("2023-08-01", "Payments", "Card", None),
        ("2024-02-01", "Payments", "Lost card", None),
        (None, "Securities", "Securities orders", None),
        (None, None, None, None),
        ("2024-02-01", "Roof", "Transfer", None),
    )
    mapper = RowMapper(load_taxonomy(EXAMPLE))
    mapped = mapper(rows)
    assert mapped.schema.equals(rows.schema)
    assert mapped.column("topic").to_pylist() == [
        "Securities orders", None, "Lost card", "Card order", None, "Lost card", "Securities orders", None, "Transfer",
    ]  # fmt: skip
    assert mapped.column("queue").to_pylist() == [
        "Securities desk", "Securities desk", "Complaints", *["Payments"] * 3, "Securities desk", None, None,
    ]  # fmt: skip
    assert mapper.summary() == {
        "queue": {
            "reasons": {"kept": 5, "renamed": 2, "unknown": 1},
            "unknown": {"Roof": 1},
            "without_examples": ["Account services"],
        },
        "topic": {
            "reasons": {"ask": 1, "kept": 3, "merged": 1, "retired": 1, "split": 2},
            "unknown": {},
            "without_examples": ["Crypto assets"],
        },
    }
    assert mapper.summary(min_examples=2)["topic"]["without_examples"] == ["Card order", "Crypto assets", "Transfer"]


def test_an_older_version_can_be_asked_for() -> None:
    mapper = RowMapper(load_taxonomy(EXAMPLE), "2023-08-01")
    rows = _rows(
        ("2024-02-01", "Securities desk", "Lost card", None),
        ("2024-07-01", None, "Crypto assets", None),
        ("2024-07-01", None, "Securities orders", None),
    )
    assert mapper(rows).column("topic").to_pylist() == ["Card", None, None]
    assert mapper.reasons["topic"] == {"split": 1, "not_yet": 1, "ask": 1}


def test_a_table_without_the_rules_columns_or_times() -> None:
    rows = pa.record_batch({"topic": pa.array(["Card", "Transfer"])})
    assert RowMapper(load_taxonomy(EXAMPLE))(rows).column("topic").to_pylist() == [None, "Transfer"]


_DAYS = st.none() | st.integers(-2, 20)


@given(label_files(), st.lists(st.tuples(_DAYS, st.integers(0, 12), st.sampled_from(["A", "B", None])), max_size=30))
@settings(max_examples=80, deadline=None)
def test_a_column_maps_as_its_rows_do(content: dict[str, Any], drawn: list[tuple[int | None, int, str | None]]) -> None:
    history = parse_taxonomy(content)
    days = [None if day is None else START + timedelta(days=day) for day, _, _ in drawn]
    labels = [f"name {number}" if number else None for _, number, _ in drawn]
    rows = pa.record_batch(
        {
            "created_at": pa.array(
                [day and datetime(day.year, day.month, day.day) for day in days], pa.timestamp("us")
            ),
            "h": pa.array(labels, pa.string()),
            "bank": pa.array([bank for _, _, bank in drawn], pa.string()),
        }
    )
    for version in history.versions():
        mapped = RowMapper(history, version)(rows).column("h").to_pylist()
        assert set(mapped) <= {None, *version.labels("h")}
        assert mapped == [
            None if label is None else history.map_label("h", label, day, version, {"bank": bank}).label
            for day, label, (_, _, bank) in zip(days, labels, drawn, strict=True)
        ]


def test_a_snapshot_in_the_labels_of_a_version(tmp_path: Path) -> None:
    topics = ["Order execution", "Dividends", "Fax order", "Transfer"]
    lines = [
        {"b": f"text {row}", "at": f"2023-{row % 9 + 1:02d}-01", "t": topics[row % 4]} for row in range(200)
    ]  # all before the merge and the end of the fax
    (tmp_path / "mails.jsonl").write_text("\n".join(map(json.dumps, lines)))
    columns = EmailColumns(body="b", received_at="at", labels=EmailLabels(topic="t"))
    store, ids = Store(str(tmp_path / "store")), set()
    for when, distinct, empty in [("2023-01-01", 4, 0), ("2023-10-01", 3, 0), (None, 2, 50)]:
        mapper = RowMapper(load_taxonomy(EXAMPLE), when)
        manifest = take_snapshot(
            store,
            recipe="email",
            data=str(tmp_path / "mails.jsonl"),
            columns=columns,
            parameters=TicketParameters(),
            prepare=mapper,
            prepare_key=mapper.key,
        )
        ids.add(manifest["id"])
        assert manifest["labels"]["topic"] == {"n": 200 - empty, "distinct": distinct, "empty": empty}
        assert manifest["unseen_test_labels"] == {"topic": 0}
        rows = [label for batch in read_rows(store, manifest["id"], "train") for label in batch["topic"].to_pylist()]
        assert set(rows) <= {None, *mapper.version.labels("topic")}
    assert len(ids) == 3


def test_the_tree_of_tickets(tmp_path: Path) -> None:
    history = parse_taxonomy(
        {
            "start": "2024-01-01",
            "heads": {"contact_type": {"separator": " > ", "labels": ["Cards > Debit > Lost", "Cards > Limit"]}},
            "changes": [
                {"date": "2024-02-01", "head": "contact_type", "rename": {"branch": "Cards", "name": "Payment > Cards"}}
            ],
        }
    )
    columns = TicketColumns(text=("body",), contact_type="kind")
    (tmp_path / "t.jsonl").write_text(
        "\n".join(json.dumps({"body": f"t {n}", "kind": ["Cards > Debit > Lost", "Cards > Limit"][n % 2]})
                  for n in range(100))
    )  # fmt: skip
    mapper = RowMapper(history)
    manifest = take_snapshot(
        Store(str(tmp_path)),
        recipe="ticket",
        data=str(tmp_path / "t.jsonl"),
        columns=columns,
        parameters=TicketParameters(),
        prepare=mapper,
        prepare_key=mapper.key,
    )
    assert manifest["labels"]["contact_type"]["n"] == 100
    assert mapper.counts["contact_type"] == {"Payment > Cards > Debit > Lost": 50, "Payment > Cards > Limit": 50}


def test_the_example_holds_every_label_of_the_simulated_desk() -> None:
    mails = simulate(3_000, truth=True)
    rows = mails.rename_columns({"received_at": "created_at"}).combine_chunks().to_batches()[0]
    mapper = RowMapper(load_taxonomy(Path(__file__).parents[2] / "examples/taxonomy.yaml"))
    mapped = mapper(rows)
    summary = mapper.summary()
    assert all(not head["unknown"] and not head["without_examples"] for head in summary.values())
    assert all(head["reasons"]["kept"] > 1_000 for head in summary.values())
    assert {"ask", "merged", "retired"} <= summary["topic"]["reasons"].keys()
    for head in mapper.history.heads:
        assert set(mapped.column(head).to_pylist()) == {None, *mapper.version.labels(head)}
