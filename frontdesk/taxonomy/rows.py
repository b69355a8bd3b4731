"""Training rows and old predictions of every age, their labels brought to one version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.taxonomy.history import History, Mapped, When

CREATED_AT = "created_at"


class RowMapper:
    """Maps the label columns of record batches to a version; usable as the `prepare` of a snapshot.

    A row's time decides the version that its labels were written in; a row without one is read by the newest. A label
    without a place in the version asked for becomes null, which masks it in training.

    Args:
        history: the label file.
        to: version or day asked for; None: the newest.

    Attributes:
        reasons: ``{head: rows per reason}``, see `Mapped`.
        unknown: ``{head: rows per label that no version knows}``.
        counts: ``{head: rows per label}`` after mapping.
    """

    def __init__(self, history: History, to: When = None) -> None:
        self.history = history
        self.version = history.at(to)
        self.reasons: dict[str, Counter[str]] = {head: Counter() for head in history.heads}
        self.unknown: dict[str, Counter[str]] = {head: Counter() for head in history.heads}
        self.counts: dict[str, Counter[str]] = {head: Counter() for head in history.heads}

    @property
    def key(self) -> dict[str, str]:
        """What the result depends on beside the library's source: the `prepare_key` of a snapshot."""
        return {"taxonomy": self.history.digest, "version": self.version.name}

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows with mapped labels; other columns as they are."""
        numbers = self._versions_of(rows)
        mapped = {head: self._column(head, rows, numbers) for head in self.history.heads if head in rows.schema.names}
        for head, column in mapped.items():  # all at once: the rules of one head may look at another as it was
            place = rows.schema.get_field_index(head)
            rows = rows.set_column(place, rows.schema.field(place), column)
        return rows

    def to_json(self, heads: Collection[str]) -> dict[str, Any]:
        """Return what a snapshot's manifest says of the heads that it has: version, label file, what became of rows."""
        summary = self.summary()
        return {
            "version": self.version.name,
            "digest": self.history.digest,
            "heads": {head: summary[head] for head in summary if head in heads},
            "file": self.history.to_json(),
        }

    def summary(self, min_examples: int = 1) -> dict[str, Any]:
        """Return plain values of all rows so far.

        Args:
            min_examples: labels of the version with fewer rows are listed under ``without_examples``.
        """
        return {
            head: {
                "reasons": dict(sorted(self.reasons[head].items())),
                "unknown": dict(sorted(self.unknown[head].items())),
                "without_examples": [
                    label for label in self.version.labels(head) if self.counts[head][label] < min_examples
                ],
            }
            for head in self.history.heads
        }

    def _versions_of(self, rows: pa.RecordBatch) -> np.ndarray:
        if CREATED_AT not in rows.schema.names:
            return np.full(rows.num_rows, len(self.history.versions()) - 1)
        times = rows.column(CREATED_AT).cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
        return self.history.numbers_at(times.astype("datetime64[D]"))

    def _column(self, head: str, rows: pa.RecordBatch, numbers: np.ndarray) -> pa.Array:
        encoded = rows.column(head).dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes = encoded.indices.fill_null(-1).to_numpy()
        result = np.full(len(codes), None, object)
        pairs, group = np.unique(np.stack([codes, numbers]), axis=1, return_inverse=True)
        group = group.reshape(-1)
        for pair, (code, number) in enumerate(pairs.T.tolist()):
            if code < 0:
                continue
            places = np.flatnonzero(group == pair)
            label = names[code]
            for mapped, some in self._resolve(head, label, number, rows, places):
                self.reasons[head][mapped.reason] += len(some)
                if mapped.reason == "unknown":
                    self.unknown[head][label] += len(some)
                if mapped.label is not None:
                    self.counts[head][mapped.label] += len(some)
                    result[some] = mapped.label
        return pa.array(result, pa.string())

    def _resolve(
        self, head: str, label: str, number: int, rows: pa.RecordBatch, places: np.ndarray
    ) -> list[tuple[Mapped, np.ndarray]]:
        """Return what a label became, for which of the rows; rows differ only where a rule looks at them."""
        history, version = self.history, self.version
        found = history.find(head, label, history.versions()[number])
        if found is None:
            return [(Mapped(None, "unknown"), places)]
        columns = sorted(history.rule_columns(head, *found, version) & set(rows.schema.names))
        if not columns:
            return [(history.map_label(head, label, history.versions()[number], version), places)]
        values = rows.select(columns).take(pa.array(places)).to_pylist()
        return [
            (history.map_label(head, label, history.versions()[number], version, row), places[one : one + 1])
            for one, row in enumerate(values)
        ]
