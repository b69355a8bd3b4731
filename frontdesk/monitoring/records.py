"""Windows of a table with labels: emails and tickets, read through their column mapping in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from frontdesk import progress
from frontdesk.bundle.labels import LabelBundle
from frontdesk.errors import EmptyTable
from frontdesk.monitoring.predictions import with_answers
from frontdesk.monitoring.texts import TEXT_ROWS
from frontdesk.monitoring.windows import LevelCounter, Watched, Window
from frontdesk.records import Columns
from frontdesk.sample import Sample
from frontdesk.tables import read_batches

TIME = "created_at"
_BATCH_ROWS = 65_536
_TEXT_CHARACTERS = 20_000
_GIVEN = {"queue": ("topic", "business_line"), "reply": ("contact_type",)}
"""What a label follows from: a mail's topic leads to a queue, a ticket's contact type to a reply."""

Change = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Reading:
    """How the tables of a recipe become windows.

    Attributes:
        columns: the mapping.
        sample_rows: rows that are kept of levels and numbers; of texts `TEXT_ROWS` are.
        seed: of the samples.
        prepare: what the recipe does to texts before a model sees them; done to the sampled rows only.
        relabel: brings labels to one version.
        bundle: answers sampled rows, and its answers are compared too.
        by: columns whose values make parts: every sample holds them.
    """

    columns: Columns
    sample_rows: int
    seed: int = 0
    prepare: Change | None = None
    relabel: Change | None = None
    bundle: LabelBundle | None = None
    by: tuple[str, ...] = ()


def watched_columns(columns: Columns) -> list[Watched]:
    """Return what is compared of a table: texts, inputs and labels, under the table's own names."""
    called = columns.roles
    watched = [Watched(name, "text", "text", called=called.get(name, name)) for name in columns.text]
    watched += [Watched(name, "input", "categorical", called=called.get(name, name)) for name in columns.categorical]
    watched += [Watched(name, "input", "numeric", called=called.get(name, name)) for name in columns.numeric]
    for head, column in columns.heads.items():
        given = next((other for other in _GIVEN.get(head, ()) if other in columns.heads), None)
        watched.append(Watched(head, "label", "categorical", given=given, called=column))
    return watched


def read_window(uri: str, reading: Reading) -> Window:
    """Read a table.

    Raises:
        DataError: the table cannot be read, lacks a mapped column, or has no good row.
        StorageError: the store does not answer.
    """
    columns = reading.columns
    time = [TIME] if columns.created_at else []
    plain = [*time, *columns.categorical, *columns.numeric, *columns.heads]
    levels = {name: LevelCounter() for name in (*columns.categorical, *columns.heads)}
    missing: Counter[str] = Counter(dict.fromkeys([*columns.text, *columns.numeric], 0))
    sample, texts = Sample(reading.sample_rows, reading.seed), Sample(TEXT_ROWS, reading.seed, _TEXT_CHARACTERS)
    reasons: Counter[str] = Counter()
    rows = 0
    for batch in read_batches(uri, columns, batch_rows=_BATCH_ROWS):
        reasons.update(f"{one.field}: {one.reason}" if one.field else one.reason for one in batch.refused)
        kept = batch.rows if reading.relabel is None else reading.relabel(batch.rows)
        rows += kept.num_rows
        for name, counter in levels.items():
            counter.add(kept.column(name))
        for name in missing:
            missing[name] += kept.column(name).null_count
        if kept.num_rows:
            sample.add(kept.select(plain))
            texts.add(kept)
        progress.report("reading", 100 * batch.share, 100, f"{rows:,} rows")
    if not rows:
        worst = f"{reasons.most_common(1)[0][0]} in every row" if reasons else "no row"
        raise EmptyTable(f"the table has no good row ({worst})", where=uri.rpartition("/")[2])
    whole = texts.table()
    tables = [sample.table()]
    if columns.text and whole is not None:
        tables.append(_prepared(whole, reading.prepare).select([*time, *reading.by, *columns.text]))
    window = Window(tuple(table for table in tables if table is not None), rows, levels, missing, dict(reasons))
    if reading.bundle is None or whole is None:
        return window
    return with_answers(window, whole, reading.bundle, [*time, *reading.by])


def _prepared(table: pa.Table, prepare: Change | None) -> pa.Table:
    if prepare is None:
        return table
    return pa.Table.from_batches([prepare(batch) for batch in table.to_batches()])
