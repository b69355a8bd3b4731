"""Does a training row get what was known at its time, and does every row come out again?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from frontdesk.errors import BadColumns, StorageError, UnreadableFile, UsageError
from frontdesk.feature_repo.joining import PointInTime
from frontdesk.feature_repo.repository import Repository, open_repository
from frontdesk.feature_repo.views import clock, contact_rhythm
from frontdesk.records import parse_columns
from frontdesk.records.features import FeatureColumns
from tests.feature_tables import DAY, HISTORY, NOON, QUESTIONS, STAMP, TICKET, question_rows, write_history


def join(repository: Repository, rows: pa.RecordBatch, columns: FeatureColumns = TICKET) -> pa.RecordBatch:
    with repository.offline_session(repository.stored_views(repository.service(columns))):
        return PointInTime(repository, columns)(rows)


def assert_worked_out_by_hand(joined: pa.RecordBatch) -> None:
    rows = joined.to_pylist()
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 10)]
    for row, (_, asked, _, kind, tickets) in zip(rows, QUESTIONS, strict=False):
        assert (row["last_contact_type"], row["tickets_7d"]) == (kind, tickets), row["id"]
        last = {"A": -10, "B": -2, "late": -1}.get(kind)
        assert row["days_since_contact"] == (None if last is None else pytest.approx(asked - last))
    assert rows[8]["last_contact_type"] is None  # a row without a time has no history


def test_duckdb_joins_as_worked_out_by_hand(tmp_path: Path) -> None:
    repository = open_repository(str(write_history(tmp_path)), offline="duckdb")
    assert_worked_out_by_hand(join(repository, question_rows()))


def test_spark_joins_as_worked_out_by_hand(spark, tmp_path: Path) -> None:
    quoting = spark.conf.get("spark.sql.parser.quotedRegexColumnNames")
    repository = open_repository(str(write_history(tmp_path)), offline="spark")
    assert_worked_out_by_hand(join(repository, question_rows()))
    assert spark.conf.get("spark.sql.parser.quotedRegexColumnNames") == quoting


def test_a_value_that_a_row_has_stays(tmp_path: Path) -> None:
    rows = question_rows()
    place = rows.schema.get_field_index("last_contact_type")
    rows = rows.set_column(place, "last_contact_type", pa.array(["own"] + [None] * (rows.num_rows - 1), pa.string()))
    joined = join(open_repository(str(write_history(tmp_path))), rows)
    assert joined["last_contact_type"].to_pylist()[:2] == ["own", "A"]


def test_many_rows_in_any_order_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Against the definition: the newest row that had happened and was known, not older than 90 days."""
    rng = np.random.default_rng(0)
    names = [f"c{number}" for number in range(30)]
    history = tuple(
        (
            str(rng.choice(names)),
            float(happened),
            float(happened + rng.integers(0, 3)),
            f"t{number}",
            float(number),
            1.0,
        )
        for number, happened in enumerate(rng.permutation(400) - 200)
    )
    write_history(tmp_path, history[:200], "part-0")
    repository = open_repository(str(write_history(tmp_path, history[200:], "part-1")))
    asked = [(str(rng.choice([*names, "nobody"])), int(rng.integers(-200, 200))) for _ in range(500)]
    rows = pa.record_batch(
        {
            "created_at": pa.array([NOON + days * DAY for _, days in asked], STAMP),
            "customer_id": [name for name, _ in asked],
            "last_contact_type": pa.nulls(500, pa.string()),
            "tickets_7d": pa.nulls(500, pa.float64()),
            "days_since_contact": pa.nulls(500, pa.float64()),
        }
    )
    joined = join(repository, rows)
    assert joined["customer_id"].to_pylist() == [name for name, _ in asked]
    for (name, days), kind in zip(asked, joined["last_contact_type"].to_pylist(), strict=True):
        known = [row for row in history if row[0] == name and days - 90 <= row[1] <= days and row[2] <= days]
        assert kind == (max(known, key=lambda row: row[1])[3] if known else None)


def test_of_rows_about_one_moment_the_last_written_down_by_then_counts(tmp_path: Path) -> None:
    corrected = tuple(
        ("ada", -2, written, kind, 1.0, 1.0) for written, kind in ((-2, "first"), (-1, "corrected"), (1, "later"))
    )
    joined = join(open_repository(str(write_history(tmp_path, corrected))), question_rows())
    assert joined["last_contact_type"].to_pylist()[:4] == ["corrected", None, None, "later"]


def test_the_key_of_a_join_follows_the_tables(tmp_path: Path) -> None:
    first = PointInTime(open_repository(str(write_history(tmp_path))), TICKET).key
    assert PointInTime(open_repository(str(tmp_path)), TICKET).key == first
    write_history(tmp_path, HISTORY[:1], "part-1")
    assert PointInTime(open_repository(str(tmp_path)), TICKET).key != first


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"service": "ticket_v9"}, r"no feature service 'ticket_v9'.*ticket_v1"),
        ({"categorical": ("tickets_7d",), "numeric": ()}, r"no categorical feature 'tickets_7d'.*last_contact_type"),
        ({"numeric": ("nothing",)}, r"no numeric feature 'nothing'"),
        ({"entities": {"operator": "who"}}, r"about customer too"),
        ({"entities": {"customer": "customer_id", "line": "line"}}, r"nothing of line"),
    ],
)
def test_a_mapping_that_does_not_fit_its_service_is_refused(change, words: str, tmp_path: Path) -> None:
    columns = FeatureColumns(**(TICKET.model_dump() | change))
    with pytest.raises(BadColumns, match=words):
        open_repository(str(tmp_path)).service(columns)


def test_tables_that_are_missing_or_have_other_columns_are_named(tmp_path: Path) -> None:
    repository = open_repository(str(tmp_path))
    with pytest.raises(UnreadableFile, match="customer_history"):
        join(repository, question_rows())
    (tmp_path / "customer_history").mkdir()
    pa.parquet.write_table(pa.table({"customer": ["ada"]}), tmp_path / "customer_history" / "part.parquet")
    with pytest.raises(StorageError, match=r"ticket_v1.*event_timestamp"):
        join(repository, question_rows())


def test_a_store_must_be_named_and_reachable_by_its_engine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FRONTDESK_FEATURES"):
        open_repository()
    with pytest.raises(UsageError, match="spark"):
        open_repository("s3://bucket/features")
    with pytest.raises(UsageError, match="FRONTDESK_REDIS"):
        open_repository("s3://bucket/features", offline="spark")


def test_relations_without_an_input_are_missing() -> None:
    asked = NOON.timestamp()
    inputs = {
        "asked_at": [asked, asked, None],
        "last_contact_at": [asked - 86_400, None, 5.0],
        "tickets_7d": [1.0, None, 1.0],
        "tickets_30d": [4.0, 0.0, 0.0],
    }
    assert contact_rhythm(inputs) == {"days_since_contact": [1.0, None, None], "week_share": [0.25, None, None]}
    assert clock({"asked_at": [asked + timedelta(minutes=30).total_seconds(), None]}) == {
        "hour": [12.5, None],
        "weekday": [5.0, None],
    }


def test_a_mapping_with_features_reads_back_as_it_was() -> None:
    given = {"created_at": "at", "text": ["body"], "numeric": ["age"], "contact_type": "type"}
    columns = parse_columns(given | {"features": TICKET.model_dump()})
    assert columns.categorical == ("last_contact_type",)
    assert columns.numeric == ("age", "tickets_7d", "days_since_contact")
    assert columns.keys == ("customer_id",)
    assert parse_columns(columns.model_dump(mode="json")) == columns


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"created_at": None}, "name created_at"),
        ({"numeric": ["customer_id"]}, "cannot be a number: customer_id"),
        ({"features": {"service": "ticket_v1", "entities": {"customer": "c"}}}, "no feature"),
        ({"features": TICKET.model_dump() | {"store": "x"}}, r"features.store: unknown key.*features.service"),
        ({"features": TICKET.model_dump() | {"entities": {"customer": "row"}}}, "cannot be called row"),
    ],
)
def test_a_wrong_mapping_of_features_is_told(change, words: str) -> None:
    given = {"created_at": "at", "text": ["body"], "contact_type": "type", "features": TICKET.model_dump()}
    with pytest.raises(BadColumns, match=words):
        parse_columns(given | change)
