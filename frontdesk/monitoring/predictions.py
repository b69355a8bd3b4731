"""What a bundle answers to the rows of a window, as columns to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from frontdesk.bundle.base import Encoded
from frontdesk.bundle.labels import Columns, LabelBundle
from frontdesk.evaluation.outcomes import inputs_of
from frontdesk.monitoring.embeddings import places_column
from frontdesk.monitoring.windows import LevelCounter, Watched, Window

ROWS = 2_000
PLACES = "texts in the model"
"""The column of the model's own embeddings."""
_AT_ONCE = 512


def watched_answers(bundle: LabelBundle, heads: list[str]) -> list[Watched]:
    """Return what is compared of a bundle's answers; where a head's true labels are known, how often they are right."""
    watched = []
    if bundle.embedding is not None:
        watched.append(Watched(PLACES, "text", "places"))
    for head in bundle.spec.labels:
        watched += [
            Watched(f"{head} predicted", "prediction", "categorical"),
            Watched(f"{head} confidence", "prediction", "numeric"),
            Watched(f"{head} decision", "prediction", "categorical"),
        ]
        if head in heads:
            watched.append(Watched(f"{head} right", "quality", "numeric"))
    return watched


def with_answers(window: Window, rows: pa.Table, bundle: LabelBundle, kept: Sequence[str]) -> Window:
    """Return the window with the answers to its sampled rows.

    Args:
        window: to add to.
        rows: a random sample of it, raw, with all its columns.
        bundle: is asked.
        kept: columns that stand beside the answers too: its times, and what makes parts.
    """
    rows = rows.slice(0, ROWS)
    heads = watched_answers(bundle, rows.column_names)
    made: dict[str, list[object]] = {each.name: [] for each in heads if each.type != "places"}
    places = []
    for batch in rows.to_batches(max_chunksize=_AT_ONCE):
        prepared = bundle.prepare(inputs_of(batch, bundle.spec.fields), batch.num_rows)
        encoded = Encoded(Columns(prepared, batch.num_rows), None)
        answers = bundle.decide(encoded, bundle.run(encoded.asked))
        if bundle.embedding is not None:
            places.append(bundle.embedding(prepared, batch.num_rows))
        for head in bundle.spec.labels:
            said = [answer.labels[head] for answer in answers]
            made[f"{head} predicted"] += [one.label for one in said]
            made[f"{head} confidence"] += [one.confidence for one in said]
            made[f"{head} decision"] += [one.decision for one in said]
            if f"{head} right" in made:
                true = batch.column(head).to_pylist()
                made[f"{head} right"] += [
                    None if label is None else float(label == one.label) for label, one in zip(true, said, strict=True)
                ]
    columns = {name: pa.array(values) for name, values in made.items()}
    if places:
        columns[PLACES] = places_column(np.concatenate(places))
    levels, missing = dict(window.levels), dict(window.missing)
    for name, column in columns.items():
        if name == PLACES:
            missing[name] = 0
        elif pa.types.is_string(column.type):
            levels[name] = LevelCounter(Counter(column.to_pylist()))
        else:
            columns[name] = column.cast(pa.float64())
            missing[name] = 0  # an answer is never missing; a true label that is, is its own column's matter
    for name in kept:
        columns[name] = rows.column(name).combine_chunks()
    return Window((*window.samples, pa.table(columns)), window.rows, levels, missing, window.refused)
