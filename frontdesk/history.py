"""A bundle on the labelled rows of a desk's history: what the coverage simulation needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.bundle.labels import LabelBundle
from frontdesk.coverage import simulate_head
from frontdesk.errors import BadColumns
from frontdesk.evaluation.outcomes import in_pieces, inputs_of, measure
from frontdesk.label_jobs import columns_of
from frontdesk.scope import UnknownWords, learn_scope
from frontdesk.tables import read_batches


def simulate_history(
    model: LabelBundle, data: str, columns: str | None, *, automatic: float, preselect: float
) -> dict[str, Any]:
    """Simulate the automation levels of a bundle on a table with labels of any age.

    Args:
        data, columns: the table and its mapping; see `frontdesk.tables.read_batches`.
        automatic, preselect: target precisions.

    Returns:
        ``{"model_id", "rows", "refused", "heads": {head: see frontdesk.coverage.simulate_head}, "scope"}``, where scope
        is what `frontdesk.scope.learn_scope` found usual in these rows.

    Raises:
        BadColumns: the mapping names no label column.
    """
    mapping = columns_of(model, columns)
    if not mapping.heads:
        raise BadColumns("the mapping names no label column", where=columns or "spec.json")
    unknown: list[np.ndarray] = []
    counts = {"rows": 0, "refused": 0}
    words, relabel = UnknownWords(model.spec), model.relabel()

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in read_batches(data, mapping):
            counts["rows"] += batch.rows.num_rows
            counts["refused"] += len(batch.refused)
            for piece in in_pieces([model.prepared(batch.rows)]):
                unknown.append(words.shares(inputs_of(piece, model.spec.text), piece.num_rows))
                yield piece if relabel is None else relabel(piece)

    outcomes = measure(model, rows())
    heads = {
        head: simulate_head(
            outcome.confidence[outcome.labelled],
            outcome.correct[outcome.labelled],
            automatic=automatic,
            preselect=preselect,
        )
        for head, outcome in outcomes.items()
    }
    doubts = 1 - np.mean([outcome.confidence.astype(np.float64) for outcome in outcomes.values()], axis=0)
    scope = learn_scope(doubts, np.concatenate(unknown))
    learnt = {"doubt": scope.doubt, "unknown": scope.unknown, "together": scope.together, "least": scope.least}
    return {"model_id": model.model_id, "recipe": model.recipe, **counts, "heads": heads, "scope": learnt}
