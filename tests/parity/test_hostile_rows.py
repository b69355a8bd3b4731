"""Ten thousand rows that break careless code: Spark gives the labels that the library gives in process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.bundle import Bundle
from frontdesk.preprocessing.encoding import days
from frontdesk.preprocessing.spark_scoring import BundleTransformer
from frontdesk.preprocessing.spark_session import read_folder
from frontdesk.preprocessing.spec import CREATED_AT
from tests.hostile import hostile_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 10_000
_BLOCK = 1000


def table_of(rows: list[dict[str, Any]], bundle: Bundle) -> pa.Table:
    """Return rows as a typed table."""
    spec = bundle.spec
    kinds = dict.fromkeys([*spec.text, *spec.categorical], pa.string())
    kinds |= dict.fromkeys(spec.numeric, pa.float64())
    columns = {}
    for name, kind in kinds.items():
        values = [row[name] for row in rows]
        if name == CREATED_AT:
            ticks = [None if value is None else round(days(value) * 86_400_000_000) for value in values]
            columns[name] = pa.array(ticks, pa.int64()).cast(pa.timestamp("us", "UTC"))
        else:
            columns[name] = pa.array(values, kind)
    return pa.table(columns).append_column("row", pa.array(range(len(rows)), pa.int64()))


@pytest.mark.parametrize("kind", ["network", "classical"])
def test_spark_gives_the_labels_of_the_process(
    spark: SparkSession, ticket_bundles: Any, kind: str, tmp_path: Path
) -> None:
    path = getattr(ticket_bundles, kind)
    bundle = Bundle.load(path, engine="graph")
    spec = bundle.spec
    rows = hostile_rows(
        ROWS if kind == "network" else ROWS // 40,
        11,
        text=spec.text,
        categorical=tuple(spec.categorical),
        numeric=tuple(name for name in spec.numeric if name != CREATED_AT),
        levels=tuple(level for levels in spec.categorical.values() for level in levels),
        words=spec.vocabulary[:300],
    )
    table = table_of(rows, bundle)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=_BLOCK)
    scored = BundleTransformer(bundle=str(path)).transform(read_folder(spark, str(tmp_path), table.column_names))
    found = scored.select("row", *[f"{head}{end}" for head in spec.labels for end in ("", "_confidence", "_decision")])
    got = found.toArrow().sort_by("row").to_pydict()

    expected = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        columns = {name: [row[name] for row in block] for name in spec.fields}
        expected += bundle.predict_columns(columns, len(block))
    assert got["row"] == list(range(len(rows)))
    for head in spec.labels:
        answers = [prediction.labels[head] for prediction in expected]
        assert got[head] == [answer.label for answer in answers]
        assert got[f"{head}_decision"] == [answer.decision for answer in answers]
        confidences = np.array([answer.confidence for answer in answers])
        np.testing.assert_allclose(got[f"{head}_confidence"], confidences, atol=1e-6)
        assert np.isfinite(confidences).all()
    assert len(set(got["contact_type"])) > 1, "rows that all get one label prove little"
