"""What is kept of every row while a table streams by: a few numbers per row, so that millions fit into memory."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.records import Columns
from frontdesk.splits import NO_TIME
from frontdesk.tables import ROW, Batch

_MIX = np.uint64(0x9E3779B97F4A7C15)
_LEFT, _RIGHT = np.uint64(6), np.uint64(2)


class Census:
    """Counts of a table, and small arrays with one entry per good row.

    Attributes:
        rows: good rows seen.
        refused: refused rows seen.
        missing: missing cells per input field.
        empty_texts: rows whose text columns are all missing or blank.
        labels: labels per head in order of appearance; a code is a place in it.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.rows = 0
        self.refused = 0
        self.missing = dict.fromkeys(columns.inputs, 0)
        self.empty_texts = 0
        self.labels: dict[str, list[str]] = {head: [] for head in columns.heads}
        self._places: dict[str, dict[str, int]] = {head: {} for head in columns.heads}
        self._parts: dict[str, list[np.ndarray]] = {}

    def add(self, batch: Batch) -> None:
        """Take in one batch."""
        rows = batch.rows
        self.refused += len(batch.refused)
        self.rows += rows.num_rows
        for name in self.columns.inputs:
            self.missing[name] += rows.column(name).null_count
        text_hash, input_hash = self._hashes(rows)
        self._keep("text_hashes", text_hash)
        self._keep("input_hashes", input_hash)
        self._keep("file_rows", rows.column(ROW).to_numpy())
        if self.columns.created_at is not None:
            self._keep("times", rows.column("created_at").cast(pa.int64()).fill_null(NO_TIME).to_numpy())
        for head in self.columns.heads:
            self._keep(f"codes.{head}", self._codes(head, rows.column(head)))

    def codes(self, head: str) -> np.ndarray:
        """Return the label codes of a head, int32 [rows], -1 where empty."""
        return self._whole(f"codes.{head}", np.int32)

    @property
    def times(self) -> np.ndarray:
        """Time stamps in microseconds, int64 [rows], `NO_TIME` where missing."""
        times = self._whole("times", np.int64)
        return times if len(times) else np.full(self.rows, NO_TIME, np.int64)

    @property
    def file_rows(self) -> np.ndarray:
        """Numbers of the rows in their file from 0, int64 [rows]."""
        return self._whole("file_rows", np.int64)

    @property
    def text_hashes(self) -> np.ndarray:
        """Hash over the text columns, uint64 [rows]."""
        return self._whole("text_hashes", np.uint64)

    @property
    def input_hashes(self) -> np.ndarray:
        """Hash over all input columns, uint64 [rows]."""
        return self._whole("input_hashes", np.uint64)

    @cached_property
    def duplicates(self) -> int:
        """Rows whose inputs are those of an earlier row. Call it when the table is through."""
        return self.rows - len(np.unique(self.input_hashes))

    def counts(self, head: str, which: np.ndarray | None = None) -> np.ndarray:
        """Return rows per label of a head, int64 [labels], of all rows or of those in ``which`` (bool [rows])."""
        codes = self.codes(head) if which is None else self.codes(head)[which]
        counts: np.ndarray = np.bincount(codes[codes >= 0], minlength=len(self.labels[head]))
        return counts

    def _keep(self, name: str, values: np.ndarray) -> None:
        self._parts.setdefault(name, []).append(values)

    def _whole(self, name: str, kind: type) -> np.ndarray:
        parts = self._parts.get(name, [])
        if len(parts) != 1:
            parts[:] = [np.concatenate(parts)] if parts else [np.empty(0, kind)]
        return parts[0]

    def _hashes(self, rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        hashed = np.zeros(rows.num_rows, np.uint64)
        blank = np.ones(rows.num_rows, bool)
        for name in self.columns.text:
            column = rows.column(name).fill_null("")
            blank &= pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)
            hashed = _combine(hashed, _string_hash(column))
        self.empty_texts += int(blank.sum()) if self.columns.text else 0
        text = hashed
        for name in self.columns.categorical:
            hashed = _combine(hashed, _string_hash(rows.column(name).fill_null("")))
        for name in self.columns.numeric:
            values = rows.column(name).fill_null(float("nan")).to_numpy() + 0.0  # -0 becomes 0
            hashed = _combine(hashed, np.where(np.isnan(values), np.nan, values).view(np.uint64))
        return text, hashed

    def _codes(self, head: str, column: pa.Array) -> np.ndarray:
        encoded = column.dictionary_encode()
        places, labels = self._places[head], self.labels[head]
        table = []
        for label in encoded.dictionary.to_pylist():
            if label not in places:
                places[label] = len(labels)
                labels.append(label)
            table.append(places[label])
        indices = encoded.indices.fill_null(-1).to_numpy()
        codes: np.ndarray = np.array([*table, -1], np.int32)[indices]
        return codes


def _string_hash(column: pa.Array) -> np.ndarray:
    hashed: np.ndarray = pd.util.hash_array(column.to_numpy(zero_copy_only=False))
    return hashed


def _combine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mix two arrays of hashes, the order of which matters (Boost's ``hash_combine`` in 64 bits)."""
    mixed: np.ndarray = one ^ (other + _MIX + (one << _LEFT) + (one >> _RIGHT))
    return mixed
