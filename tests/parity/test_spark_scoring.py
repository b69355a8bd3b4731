"""Batch scoring: what a table gives in Spark is what its rows give in process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.bundle import Bundle
from frontdesk.errors import BadColumns, BundleError, UsageError
from frontdesk.preprocessing.spark_scoring import REFUSED, BundleTransformer, score
from frontdesk.preprocessing.spark_session import read_folder
from frontdesk.simulation.tickets import simulate, write
from frontdesk.storage import MANIFEST, Store, filesystem
from tests.s3_server import S3

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 60
INPUTS = [
    "subject",
    "body",
    "channel",
    "language",
    "product",
    "region",
    "account_age_days",
    "order_total",
    "created_at",
]


@pytest.fixture(scope="module")
def tickets() -> pa.Table:
    return simulate(ROWS, seed=3)


def answers(bundle: Path, table: pa.Table) -> list[tuple[Any, ...]]:
    """Return what the bundle says in process, per row: label, confidence rounded, decision of each head."""
    loaded = Bundle.load(bundle, engine="graph")
    columns = {name: table[name].to_pylist() for name in INPUTS}
    said = loaded.predict_columns(columns, table.num_rows)
    return [
        tuple(
            part
            for head in loaded.spec.labels
            for part in (
                prediction.labels[head].label,
                pytest.approx(prediction.labels[head].confidence, abs=1e-6),
                prediction.labels[head].decision,
            )
        )
        for prediction in said
    ]


def scores(table: pa.Table) -> list[tuple[Any, ...]]:
    names = [f"{head}{end}" for head in ("contact_type", "reply") for end in ("", "_confidence", "_decision")]
    table = table.sort_by("row")
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def read_all(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*.parquet")))


def test_a_table_is_scored_and_its_bad_rows_are_put_aside(
    spark: SparkSession, ticket_bundle: Path, tickets: pa.Table, tmp_path: Path
) -> None:
    source = tmp_path / "tickets.parquet"
    totals = [
        "dear" if row == 7 else value and str(value) for row, value in enumerate(tickets["order_total"].to_pylist())
    ]
    spoilt = tickets.drop_columns(["contact_type", "reply", "order_total"]).append_column(
        "order_total", pa.array(totals)
    )
    pq.write_table(spoilt, source)
    target = tmp_path / "scores"
    done = score(str(ticket_bundle), str(source), str(target))
    assert done == Store(str(tmp_path)).manifest("scores")
    assert (done["rows"], done["refused"]) == (ROWS - 1, 1)
    assert done["model_id"] == Bundle.load(ticket_bundle).model_id
    (refused,) = pq.read_table(target / REFUSED).to_pylist()
    assert (refused["file"], refused["row"], refused["field"]) == ("tickets.parquet", 8, "order_total")
    found = read_all(target)
    kept = [row for row in range(ROWS) if row != 7]
    assert sorted(found["row"].to_pylist()) == kept
    assert found.sort_by("row")["id"].to_pylist() == tickets["id"].take(kept).to_pylist()
    assert scores(found) == answers(ticket_bundle, tickets.take(kept))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores", "tickets.parquet"]


def test_scores_are_replaced_but_nothing_else_is(
    spark: SparkSession, ticket_bundle: Path, tickets: pa.Table, tmp_path: Path
) -> None:
    write(tickets.slice(0, 5), tmp_path / "tickets.csv")
    target = tmp_path / "folder"
    target.mkdir()
    (target / "diary.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no scores"):
        score(str(ticket_bundle), str(tmp_path / "tickets.csv"), str(target))
    assert (target / "diary.txt").read_text() == "mine"
    (target / "diary.txt").unlink()
    (target / MANIFEST).write_text('{"format": "frontdesk-scores-1"}')
    assert score(str(ticket_bundle), str(tmp_path / "tickets.csv"), str(target))["rows"] == 5
    assert len(read_all(target)) == 5


def test_bundle_table_and_scores_may_lie_in_s3(
    spark: SparkSession, s3: S3, ticket_bundle: Path, tickets: pa.Table, tmp_path: Path
) -> None:
    Store(s3.uri("score")).upload(ticket_bundle, "bundle")
    write(tickets, tmp_path / "tickets.jsonl")
    files, path = filesystem(s3.uri("score/tickets.jsonl"))
    with files.open_output_stream(path) as sink:
        sink.write((tmp_path / "tickets.jsonl").read_bytes())
    done = score(s3.uri("score/bundle"), s3.uri("score/tickets.jsonl"), s3.uri("score/out"))
    assert (done["rows"], done["refused"]) == (ROWS, 0)
    assert Store(s3.uri("score")).manifest("out") == done
    assert read_folder(spark, s3.uri("score/out"), ["row"]).count() == ROWS
    _, out = filesystem(s3.uri("score/out/part-00000.parquet"))
    assert scores(pq.read_table(out, filesystem=files)) == answers(ticket_bundle, tickets)


def test_the_stage_is_saved_and_reloaded_in_a_pipeline(
    spark: SparkSession, ticket_bundle: Path, tickets: pa.Table, tmp_path: Path
) -> None:
    from pyspark.ml import PipelineModel

    (tmp_path / "rows").mkdir()
    numbered = tickets.select(INPUTS).append_column("row", pa.array(range(ROWS), pa.int64()))
    pq.write_table(numbered, tmp_path / "rows" / "a.parquet")
    frame = read_folder(spark, str(tmp_path / "rows"), [*INPUTS, "row"])
    PipelineModel([BundleTransformer(bundle=str(ticket_bundle))]).save(str(tmp_path / "model"))
    reloaded = PipelineModel.load(str(tmp_path / "model"))
    assert isinstance(reloaded.stages[0], BundleTransformer)
    found = reloaded.transform(frame).toArrow()
    assert found.column_names[: len(INPUTS)] == INPUTS  # what was there stays, in its order
    assert scores(found) == answers(ticket_bundle, tickets)


def test_a_frame_that_does_not_fit_is_refused_before_any_work(spark: SparkSession, ticket_bundle: Path) -> None:
    stage = BundleTransformer(bundle=str(ticket_bundle))
    with pytest.raises(BadColumns, match="'order_total' is string, not a number"):
        stage.transform(spark.createDataFrame([("12",)], "order_total string"))
    with pytest.raises(BadColumns, match="'created_at' is string, not a time"):
        stage.transform(spark.createDataFrame([("today",)], "created_at string"))
    with pytest.raises(BadColumns, match="'reply' is one that scoring adds"):
        stage.transform(spark.createDataFrame([("x",)], "reply string"))
    with pytest.raises(BundleError, match="no bundle here"):
        BundleTransformer(bundle="/nowhere").transform(spark.createDataFrame([("x",)], "body string"))


def test_a_frame_that_lacks_every_field_gets_answers_for_missing_values(
    spark: SparkSession, ticket_bundle: Path
) -> None:
    (row,) = BundleTransformer(bundle=str(ticket_bundle)).transform(spark.range(1)).collect()
    (said,) = Bundle.load(ticket_bundle, engine="graph").predict_columns({}, 1)
    assert row["contact_type"] == said.labels["contact_type"].label
    assert row["contact_type_decision"] == said.labels["contact_type"].decision
