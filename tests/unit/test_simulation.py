"""Are simulated tickets deterministic, of the promised shape, and learnable but not trivial?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from frontdesk.errors import UsageError
from frontdesk.records import DEFAULT_TICKET_COLUMNS
from frontdesk.simulation import desk
from frontdesk.simulation.tickets import DRIFT_BEGINS, DRIFTS, simulate, write
from frontdesk.tables import read_batches


@pytest.fixture(scope="module")
def tickets() -> pa.Table:
    return simulate(6_000, seed=3, truth=True)


def test_a_seed_is_a_table(tickets: pa.Table) -> None:
    assert simulate(6_000, seed=3, truth=True).equals(tickets)
    assert not simulate(6_000, seed=4, truth=True).equals(tickets)
    assert simulate(1).num_rows == 1
    with pytest.raises(UsageError):
        simulate(0)


def test_columns_are_those_of_the_default_mapping(tickets: pa.Table) -> None:
    assert set(DEFAULT_TICKET_COLUMNS.roles.values()) == set(tickets.column_names) - {"true_contact_type", "true_reply"}
    assert len(set(tickets.column("id").to_pylist())) == 6_000
    times = tickets.column("created_at").to_numpy()
    assert (np.diff(times) >= np.timedelta64(0)).all()
    assert (times[-1] - times[0]) / np.timedelta64(1, "D") > 700


def test_every_concept_of_a_leaf_has_words_in_every_language() -> None:
    for leaf, ways in desk.LEAVES.items():
        for concept in {concept for way in ways for concept in way}:
            assert len(desk.WORDS[concept]) == len(desk.LANGUAGES), (leaf, concept)
            assert all(word for words in desk.WORDS[concept] for word in words), concept
    assert {2, 3} == {leaf.count(" > ") + 1 for leaf in desk.LEAVES}


def test_noise_is_there_and_small(tickets: pa.Table) -> None:
    for head, least in (("contact_type", 0.94), ("reply", 0.93)):
        given, true = tickets.column(head), tickets.column(f"true_{head}")
        assert least < pc.mean(pc.equal(given, true).drop_null().cast(pa.float64())).as_py() < 0.995
        assert 0 < given.null_count < 0.1 * 6_000
    assert tickets.column("order_total").null_count > 0
    assert pc.sum(pc.match_substring(tickets.column("body").drop_null(), "<p>")).as_py() > 600
    texts = list(zip(tickets.column("subject").to_pylist(), tickets.column("body").to_pylist(), strict=True))
    assert len(set(texts)) < len(texts), "no ticket came twice"


def test_labels_change_over_time(tickets: pa.Table) -> None:
    labels = tickets.column("contact_type").to_pylist()
    early = {label for label in labels[:1_500] if label}
    late = {label for label in labels[-1_500:] if label}
    assert any(label.startswith("Account > Login") for label in early)
    assert not any(label.startswith("Account > Login") for label in late)
    assert any(label.startswith("Account > Sign-in") for label in late - early)
    assert not any(label.startswith("Devices > Speaker") for label in early)


def test_a_device_is_told_by_the_field_only(tickets: pa.Table) -> None:
    devices = tickets.filter(pc.starts_with(tickets.column("true_contact_type"), "Devices > "))
    named = [leaf.split(" > ")[1] for leaf in devices.column("true_contact_type").to_pylist()]
    assert named == devices.column("product").to_pylist()
    assert not any(leaf in (body or "") for leaf, body in zip(named, devices.column("body").to_pylist(), strict=True))


def test_a_reply_needs_contact_type_and_field(tickets: pa.Table) -> None:
    refunds = tickets.filter(pc.starts_with(tickets.column("true_contact_type"), "Billing > Refunds"))
    totals, replies = refunds.column("order_total").to_pylist(), refunds.column("true_reply").to_pylist()
    expected = ["Refund after approval" if total and total >= 100 else "Refund at once" for total in totals]
    assert replies == expected
    assert len(set(replies)) == 2


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_written_tables_read_back(tmp_path: Path, ending: str) -> None:
    table = simulate(500)
    path = tmp_path / f"tickets.{ending}"
    write(table, path)
    (batch,) = read_batches(str(path), DEFAULT_TICKET_COLUMNS)
    assert not batch.refused
    for name in ("id", "created_at", "channel", "order_total", "contact_type", "subject"):
        assert batch.rows.column(name).to_pylist() == table.column(name).to_pylist(), name


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.xlsx"):
        write(simulate(5), tmp_path / "tickets.xlsx")


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_drift_changes_what_comes_after_it_and_nothing_before(drift: str) -> None:
    plain, drifted = simulate(600, seed=2).to_pylist(), simulate(600, seed=2, drift=drift).to_pylist()
    changed = [row for row, (one, other) in enumerate(zip(plain, drifted, strict=True)) if one != other]
    assert len(changed) > 100
    middle = min(row["created_at"] for row in plain) + timedelta(days=2 * 365 * DRIFT_BEGINS - 10)
    assert all(plain[row]["created_at"] > middle for row in changed)


def test_an_unknown_drift_is_named() -> None:
    with pytest.raises(UsageError, match="no drift 'snow'"):
        simulate(10, drift="snow")
