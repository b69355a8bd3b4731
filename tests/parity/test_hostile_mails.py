"""Mails that break careless code: Spark cleans, masks and answers as the library does in process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.bundle import Bundle
from frontdesk.engines import PORTABLE
from frontdesk.preprocessing.spark_scoring import BundleTransformer
from frontdesk.preprocessing.spark_session import read_folder
from frontdesk.simulation.emails import simulate
from tests.bundles import EmailRun
from tests.hostile import hostile_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 250
WHOLE = (
    "From: a@b.org\nSubject: =?utf-8?Q?K=C3=BCndigung?=\nMIME-Version: 1.0\n\nBitte schließen DE89370400440532013000"
)


def test_spark_answers_mails_as_the_process_does(spark: SparkSession, email_run: EmailRun, tmp_path: Path) -> None:
    bundle = Bundle.load(email_run.bundle, engine=PORTABLE)
    names = bundle.spec.fields
    rows = hostile_rows(
        ROWS,
        12,
        categorical=("custodian_bank",),
        numeric=(),
        levels=bundle.spec.categorical["custodian_bank"],
        words=bundle.spec.vocabulary[:300],
    )
    columns = {name: [row[name] for row in rows] for name in names}
    raw = simulate(50, 5)
    for name in names:
        columns[name] += [None if name == "subject" else WHOLE, *raw[name].to_pylist()]
    count = len(columns["body"])
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    pq.write_table(table.append_column("row", pa.array(range(count), pa.int64())), tmp_path / "rows.parquet")
    scored = BundleTransformer(bundle=str(email_run.bundle)).transform(
        read_folder(spark, str(tmp_path), [*names, "row"])
    )
    found = scored.toArrow().sort_by("row").to_pydict()
    expected = bundle.predict_columns(columns, count)
    assert found["row"] == list(range(count))
    assert found["body"] == columns["body"]  # the caller's own column stays as it was
    for head in bundle.spec.labels:
        answers = [said.labels[head] for said in expected]
        confidences = np.array([answer.confidence for answer in answers])
        np.testing.assert_allclose(found[f"{head}_confidence"], confidences, atol=1e-6)
        assert np.isfinite(confidences).all()
        assert found[head] == [answer.label for answer in answers]
        assert found[f"{head}_decision"] == [answer.decision for answer in answers]
    assert len(set(found["topic"])) > 1, "rows that all get one label prove little"


def test_numbers_in_a_foreign_frame_are_read_as_text(spark: SparkSession, email_run: EmailRun) -> None:
    frame = spark.createDataFrame([(12, 3.5, "Nordlicht Bank")], "subject int, body double, custodian_bank string")
    (row,) = BundleTransformer(bundle=str(email_run.bundle)).transform(frame).collect()
    mail = {"subject": "12", "body": "3.5", "custodian_bank": "Nordlicht Bank"}
    (said,) = Bundle.load(email_run.bundle, engine=PORTABLE).predict([mail])
    assert row["queue"] == said.labels["queue"].label
    assert abs(row["queue_confidence"] - said.labels["queue"].confidence) < 1e-6
