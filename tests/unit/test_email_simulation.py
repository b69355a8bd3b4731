"""Are simulated mails deterministic, of the promised shape, learnable but not trivial, and is their truth true?"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from frontdesk.errors import UsageError
from frontdesk.simulation import broker, identities
from frontdesk.simulation.emails import HEADS, SCHEMA, TRUTH, changes, simulate, write, write_changes
from frontdesk.simulation.topics import TOPICS
from frontdesk.text.mail import clean_mail
from frontdesk.text.masking import KINDS

ROWS = 2_000


@pytest.fixture(scope="module")
def mails() -> pa.Table:
    return simulate(ROWS, 3, truth=True)


def labels(table: pa.Table, head: str, begin: str = "2024-01-01", end: str = "2026-01-01") -> set[str]:
    first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (begin, end))
    rows = table.filter(pc.field("received_at") >= first).filter(pc.field("received_at") < last)
    return set(rows.column(f"true_{head}").to_pylist())


def test_a_seed_is_a_table(mails: pa.Table) -> None:
    assert simulate(ROWS, 3, truth=True).equals(mails)
    assert not simulate(ROWS, 4, truth=True).equals(mails)
    assert simulate(1).schema == SCHEMA
    assert mails.schema == pa.schema([*SCHEMA, *TRUTH])
    assert len(set(mails.column("id").to_pylist())) == ROWS
    assert mails.column("received_at").to_pylist() == sorted(mails.column("received_at").to_pylist())


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(UsageError, match="0 rows"):
        simulate(0)
    with pytest.raises(UsageError, match="bank-mix"):
        simulate(5, drift="unheard")


def test_labels_hang_together_with_noise_and_gaps(mails: pa.Table) -> None:
    for head in HEADS:
        given, true = mails.column(head), mails.column(f"true_{head}")
        assert 0.93 < pc.mean(pc.equal(given, true).drop_null().cast(pa.float64())).as_py() < 1
        assert 0 < given.null_count < 0.1 * ROWS
    by_bank = {bank: Counter[str]() for bank in broker.BANKS}
    for bank, line in zip(
        *(mails.column(name).to_pylist() for name in ("custodian_bank", "true_business_line")), strict=True
    ):
        if bank is not None:
            by_bank[bank][line] += 1
    assert len({counts.most_common(1)[0][0] for counts in by_bank.values()}) >= 3
    assert {topic.queue for topic in TOPICS} > {"Trading", "Tax"}


def test_every_change_of_the_label_sets_happens_on_its_day(mails: pa.Table, tmp_path: Path) -> None:
    for change in changes():
        before = labels(mails, change["head"], end=change["date"])
        after = labels(mails, change["head"], begin=change["date"])
        assert not before & set(change["to"]), change
        assert not after & set(change["from"]), change
        assert not set(change["from"]) - before, change
    write_changes(tmp_path / "changes.json")
    assert orjson.loads((tmp_path / "changes.json").read_bytes()) == {"changes": changes()}


def test_cleaning_finds_the_words_of_the_author(mails: pa.Table) -> None:
    bodies, texts = (mails.column(name).to_pylist() for name in ("body", "true_text"))
    right = sum(clean_mail(body).text.split() == text.split() for body, text in zip(bodies, texts, strict=True))
    assert right >= 0.98 * ROWS
    assert 0.15 < sum("<html>" in body for body in bodies) / ROWS < 0.4
    assert sum("MIME-Version" in body for body in bodies) > 0.04 * ROWS


def test_identifiers_stand_where_the_truth_says(mails: pa.Table) -> None:
    kinds = Counter[str]()
    for text, truth in zip(
        *(mails.column(name).to_pylist() for name in ("true_text", "true_identifiers")), strict=True
    ):
        for one in orjson.loads(truth):
            kinds[one["kind"]] += 1
            value = text[one["start"] : one["end"]]
            assert value == value.strip()
            assert len(value) >= 5
    assert set(kinds) == set(KINDS) == set(identities.MAKERS)


def test_drifts_do_what_they_say(mails: pa.Table) -> None:
    drifted = {name: simulate(ROWS, 3, drift=name, truth=True) for name in broker.DRIFTS}

    def share(table: pa.Table, column: str, value: str) -> float:
        return table.column(column).to_pylist().count(value) / ROWS

    def saying(table: pa.Table, word: str) -> int:
        return sum(word in text for text in table.column("true_text").to_pylist())

    assert saying(drifted["text"], "igrat") > 0.2 * ROWS > saying(mails, "igrat") == 0
    assert saying(drifted["language"], " my ") > 2 * saying(mails, " my ")
    assert share(drifted["bank-mix"], "custodian_bank", "Direktbank Süd") > 2 * share(
        mails, "custodian_bank", "Direktbank Süd"
    )
    assert share(drifted["topic-mix"], "true_topic", "Stock split") > 2 * share(mails, "true_topic", "Stock split")
    assert labels(drifted["queue-rename"], "queue") == {f"Team {name}" for name in labels(mails, "queue")}
    assert 0.25 < share(drifted["empty-bodies"], "body", "") < 0.42
    assert share(mails, "body", "") == 0


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_tables_are_written(tmp_path: Path, ending: str) -> None:
    write(simulate(50), tmp_path / f"mails.{ending}")
    assert (tmp_path / f"mails.{ending}").stat().st_size > 1_000
