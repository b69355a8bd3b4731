"""Does the readiness report find what is wrong with a table, and leave alone what is not?"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from frontdesk.errors import BadColumns
from frontdesk.readiness import Readiness, readiness
from frontdesk.records import DEFAULT_TICKET_COLUMNS, TicketColumns
from frontdesk.sample import Sample
from frontdesk.simulation.tickets import simulate, write
from frontdesk.storage import canonical_json
from frontdesk.text.language import UNKNOWN_LANGUAGE, languages

ROWS = 1_200


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Readiness:
    path = tmp_path_factory.mktemp("data") / "tickets.csv"
    write(simulate(ROWS), path)
    return readiness("ticket", str(path), DEFAULT_TICKET_COLUMNS)


def test_simulated_tickets_are_ready(report: Readiness) -> None:
    assert report.verdict in ("ready", "usable")
    assert report.suspects == []
    assert (report.rows, report.refused) == (ROWS, 0)
    assert report.span is not None
    assert report.span[0].startswith("2023-01")
    assert report.duplicates > 0
    head = report.heads["contact_type"]
    assert head.labelled + head.empty == ROWS
    assert head.learnable + head.few == head.labels
    assert head.depth == 3
    assert head.conflicts > 0
    assert [count for _, count in head.top] == sorted((count for _, count in head.top), reverse=True)
    expected = head.expectation
    assert expected is not None
    assert expected.majority < expected.low <= expected.accuracy <= expected.high <= 1
    assert list(report.languages)[:2] == ["en", "de"]
    assert abs(report.languages["en"] - 0.42) < 0.1


def test_report_as_json_and_on_a_terminal(report: Readiness) -> None:
    content = json.loads(canonical_json(report.to_json()))
    assert content["heads"]["reply"]["labels"] == report.heads["reply"].labels
    text = io.StringIO()
    Console(file=text, width=160).print(report.render())
    for words in ("Readiness of tickets.csv for ticket", "contact_type", "reply", "expect reply to be right"):
        assert words in text.getvalue()


def _report(folder: Path, columns: TicketColumns, **cells: Any) -> Readiness:
    path = folder / "t.parquet"
    pq.write_table(pa.table(cells), path)
    return readiness("ticket", str(path), columns)


def test_leaks_are_suspected_and_harmless_fields_are_not(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    kinds = random.integers(0, 8, ROWS)
    columns = TicketColumns(
        text=("body",),
        categorical=("team", "ticket_number", "city", "always"),
        numeric=("code", "noisy_code", "age", "moment"),
        contact_type="kind",
    )
    report = _report(
        tmp_path,
        columns,
        body=[f"something about {word}" for word in random.integers(0, 50, ROWS)],
        team=[f"team {kind}" if random.random() < 0.97 else "team 0" for kind in kinds],
        ticket_number=[f"N{row}" for row in range(ROWS)],
        city=[f"city {city}" for city in random.integers(0, 30, ROWS)],
        always=["x"] * ROWS,
        code=kinds * 10.0,
        noisy_code=kinds * 10.0 + random.random(ROWS),
        age=random.normal(size=ROWS),
        moment=np.arange(ROWS, dtype=float),
        kind=[f"Kind {kind}" for kind in kinds],
    )
    assert {suspect.field for suspect in report.suspects} == {"team", "code", "noisy_code"}
    assert report.verdict == "usable"
    assert any("team alone gives contact_type in 9" in words for words in report.words)


def test_a_text_that_quotes_the_label_is_suspected(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = ["Billing > Refund missing", "Billing > Refund", "Delivery > Late", "Delivery > Lost"]
    kinds = [names[kind] for kind in random.integers(0, 4, 600)]
    columns = TicketColumns(text=("body",), contact_type="kind")
    quoted = _report(tmp_path, columns, body=[f"Hi! [{kind}] please" for kind in kinds], kind=kinds)
    assert [(suspect.field, suspect.accuracy) for suspect in quoted.suspects] == [("body", 1.0)]
    other = _report(tmp_path, columns, body=[f"Hi! nr {row % 97}" for row in range(600)], kind=kinds)
    assert other.suspects == []
    assert any("hardly tell more" in words for words in other.words)


def test_a_frequent_label_is_no_leak(tmp_path: Path) -> None:
    kinds = ["A" if row % 20 else "B" for row in range(600)]
    columns = TicketColumns(categorical=("field",), contact_type="kind")
    assert _report(tmp_path, columns, field=["same"] * 600, kind=kinds).suspects == []


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["A", "B"] * 50, "100 rows are too few"),
        (["A"] * 400, "only one label"),
        ([None] * 400, "no label in training"),
        ([f"label {row}" for row in range(400)], "no label column has two labels with 20 rows"),
    ],
)
def test_what_cannot_be_learnt_is_not_ready(tmp_path: Path, kinds: list[str | None], words: str) -> None:
    columns = TicketColumns(text=("body",), contact_type="kind")
    bodies = [f"text {row}" for row in range(len(kinds))]
    report = _report(tmp_path, columns, body=bodies, kind=pa.array(kinds, pa.string()))
    assert report.verdict == "not_ready"
    assert any(words in line for line in report.words)


def test_refused_rows_are_counted_with_reasons(tmp_path: Path) -> None:
    ages = ["old" if row % 2 else "7" for row in range(400)]
    columns = TicketColumns(text=("body",), numeric=("age",), contact_type="kind")
    report = _report(tmp_path, columns, body=["x y z"] * 400, age=ages, kind=["A", "A", "B", "B"] * 100)
    assert (report.rows, report.refused) == (200, 200)
    assert report.reasons == {"age: not a number": 200}
    assert report.heads["contact_type"].conflicts == 200, "one text, two labels"


def test_a_mapping_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadColumns, match="names no label"):
        _report(tmp_path, TicketColumns(text=("body",)), body=["x"])


def test_a_sample_is_uniform_and_bounded() -> None:
    sample = Sample(500)
    for start in range(0, 20_000, 1_000):
        numbers = pa.array(np.arange(start, start + 1_000))
        sample.add(pa.RecordBatch.from_arrays([numbers, pa.array(["x" * 5_000] * 1_000)], names=["row", "text"]))
        assert sample._held <= 1_500
    table = sample.table()
    assert table is not None
    rows = table.column("row").to_numpy()
    assert len(set(rows)) == 500
    assert abs(rows.mean() - 10_000) < 4 * 20_000 / np.sqrt(12 * 500)
    assert abs(np.corrcoef(rows, np.arange(500))[0, 1]) < 0.2, "in random order"
    assert set(table.column("text").to_pylist()) == {"x" * 4_000}
    assert Sample(5).table() is None


def test_languages() -> None:
    texts = [
        "The parcel has not arrived yet and I am waiting",
        "<p>Das Paket ist leider noch nicht angekommen</p>",
        "Todavía no ha llegado el paquete que pedí",
        "ok",
        None,
        "<p></p>",
    ]
    assert languages(texts) == ["en", "de", "es", UNKNOWN_LANGUAGE, UNKNOWN_LANGUAGE, UNKNOWN_LANGUAGE]
