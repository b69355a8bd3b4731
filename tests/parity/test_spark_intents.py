"""The Markov table that Spark counts is the one that is counted in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frontdesk.intent.columns import DEFAULT_INTENT_COLUMNS, rows_of
from frontdesk.intent.markov import build_table
from frontdesk.intent.sessions import session_set
from frontdesk.intent.tokens import Tokenizer
from frontdesk.preprocessing import spark_intents
from frontdesk.preprocessing.spark_session import read_folder
from frontdesk.simulation.sessions import simulate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize("intents_only", [False, True])
def test_spark_and_memory_count_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intents_only: bool
) -> None:
    columns = DEFAULT_INTENT_COLUMNS
    rows, _ = rows_of(simulate(3_000, seed=5), columns)
    tokenizer = Tokenizer.fit(rows)
    local = build_table(session_set(rows, tokenizer, columns), intents_only=intents_only)
    order = np.random.default_rng(0).permutation(rows.num_rows)
    shuffled = rows.append_column("row", pa.array(np.arange(rows.num_rows))).take(pa.array(order))
    pq.write_table(shuffled.slice(0, 1_000), tmp_path / "part-00000.parquet")
    pq.write_table(shuffled.slice(1_000), tmp_path / "part-00001.parquet")
    monkeypatch.setattr(spark_intents, "ROWS_AT_ONCE", 700)  # several groups
    frame = read_folder(spark, str(tmp_path), shuffled.column_names)
    counted = spark_intents.build_table(frame, tokenizer, columns, intents_only=intents_only)
    assert len(local.keys) > 500
    for name, array in local.arrays().items():
        assert np.array_equal(array, counted.arrays()[name]), name
