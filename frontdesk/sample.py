"""A uniform random sample of a table that streams by, in bounded memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Sample:
    """Keeps the rows with the smallest of one random number per row.

    Args:
        rows: size of the sample.
        seed: of the random numbers.
        characters: that are kept of a text.
    """

    def __init__(self, rows: int, seed: int = 0, characters: int = 4_000) -> None:
        self.rows, self.characters = rows, characters
        self._random = np.random.default_rng(seed)
        self._limit = 1.0
        self._parts: list[tuple[np.ndarray, pa.Table]] = []
        self._held = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch."""
        keys = self._random.random(batch.num_rows)
        chosen = keys < self._limit
        table = pa.Table.from_batches([batch]).filter(pa.array(chosen))
        for place, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                short = pc.utf8_slice_codeunits(table.column(place), 0, self.characters)
                table = table.set_column(place, field, short)
        self._parts.append((keys[chosen], table))
        self._held += int(chosen.sum())
        if self._held > 2 * self.rows:
            self._shrink()

    def table(self) -> pa.Table | None:
        """Return the sample in random order; None where no row came."""
        if self._held:
            self._shrink()
        return self._parts[0][1] if self._held else None

    def _shrink(self) -> None:
        keys = np.concatenate([keys for keys, _ in self._parts])
        order = np.argsort(keys, kind="stable")[: self.rows]
        table = pa.concat_tables([table for _, table in self._parts]).take(pa.array(order)).combine_chunks()
        self._parts = [(keys[order], table)]
        self._held = len(order)
        if self._held == self.rows:
            self._limit = float(keys[order[-1]])
