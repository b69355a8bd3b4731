"""The Markov table of a log that does not fit in memory: Spark brings sessions together and adds up their counts.

What a sample and a key are is `frontdesk.intent.markov.samples`, applied to whole sessions, a few hundred thousand rows
at a time. Counts are whole numbers and ties have an order, so the table does not depend on how Spark divided the rows:
it is the table of `build_table`, to the last entry.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from frontdesk.intent.columns import IntentColumns, schema_of
from frontdesk.intent.counts import merge_counts, top_counts
from frontdesk.intent.keys import NO_KEY
from frontdesk.intent.markov import PER_KEY, MarkovTable, samples
from frontdesk.intent.sessions import session_set
from frontdesk.intent.tokens import Tokenizer
from frontdesk.tables import ROW

ROWS_AT_ONCE = 200_000
_COUNTS = pa.schema([("key", pa.int64()), ("intent", pa.int32()), ("count", pa.int64())])


def build_table(
    frame: DataFrame, tokenizer: Tokenizer, columns: IntentColumns, *, intents_only: bool = False
) -> MarkovTable:
    """Count a log's sessions.

    Args:
        frame: rows of `columns.schema_of`, and `ROW`, their order in the file, in any order.
        tokenizer: what tokens are.
        columns: what the rows mean.
        intents_only: events of the interface do not enter the context.
    """
    schema = schema_of(columns)
    names = [*schema.names, ROW]
    plain = frame.select(*[F.col(f"`{name}`") for name in names]).toDF(*[f"c{place}" for place in range(len(names))])
    groups = max(1, plain.count() // ROWS_AT_ONCE)
    session, row = f"c{names.index('session')}", f"c{names.index(ROW)}"

    def count(group: pa.Table) -> pa.Table:
        ordered = group.drop_columns("group").sort_by(row).drop_columns(row)
        rows = pa.Table.from_arrays(
            [column.cast(field.type) for column, field in zip(ordered.columns, schema, strict=True)], schema=schema
        )
        keys, following = samples(session_set(rows, tokenizer, columns), intents_only=intents_only)
        flat, intents = keys.ravel(), np.repeat(following, keys.shape[1])
        used = flat != NO_KEY
        counted = top_counts(flat[used], intents[used], len(tokenizer.intents))
        repeated = np.repeat(counted.keys, np.diff(counted.offsets)).view(np.int64)  # Spark has no unsigned numbers
        return pa.table([repeated, counted.intents, counted.counts], schema=_COUNTS)

    grouped = plain.withColumn("group", F.pmod(F.xxhash64(session), F.lit(groups))).groupBy("group")
    counts = grouped.applyInArrow(count, "key long, intent int, count long").groupBy("key", "intent")
    summed = counts.agg(F.sum("count").alias("count"))
    best = Window.partitionBy("key").orderBy(F.col("count").desc(), F.col("intent"))
    ranked = summed.select(
        "*",
        F.row_number().over(best).alias("place"),
        F.sum("count").over(Window.partitionBy("key")).alias("total"),
    )
    kept = ranked.filter(F.col("place") <= PER_KEY).select("key", "intent", "count", "total").toArrow()
    keys = kept["key"].to_numpy().view(np.uint64)
    counted = merge_counts(keys, kept["intent"].to_numpy(), kept["count"].to_numpy(), PER_KEY)
    distinct, first = np.unique(keys, return_index=True)
    table = MarkovTable.of(counted)
    totals = kept["total"].to_numpy()[first] if len(distinct) else table.totals
    return MarkovTable(table.keys, table.offsets, table.intents, table.counts, totals)
