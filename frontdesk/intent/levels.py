"""What a feature store knows of who asks, as the network reads it: each feature is one of a few levels.

A category's levels are those of training. A number is cut into parts that hold about as many training rows each: the
network learns what a part means, whatever the number's scale, and an outlier is no more than the last part. Level 0 is
a value that is missing or that training never saw. The levels are part of the tokeniser, so offline and online agree.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

MISSING = 0
MAX_LEVELS = 1_000
_PARTS = 8


@dataclass(frozen=True)
class FeatureLevels:
    """One feature's values to levels.

    Attributes:
        name: of the feature.
        values: a category's values, sorted; the level of one is its place + 1.
        cuts: a number's bounds, ascending; level 1 lies below the first, a bound belongs to the part above it. None for
            a category.
    """

    name: str
    values: tuple[str, ...] = ()
    cuts: tuple[float, ...] | None = None

    @classmethod
    def fit(cls, name: str, column: pa.ChunkedArray) -> FeatureLevels:
        """Learn the levels of a column of training rows: numbers where it is float64, categories where it is text."""
        if not pa.types.is_floating(column.type):
            counts = Counter(value for value in column.to_pylist() if value is not None)
            frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_LEVELS]
            return cls(name, tuple(sorted(frequent)))
        known = column.drop_null().to_numpy()
        known = known[np.isfinite(known)]
        if not len(known):
            return cls(name, cuts=())
        bounds = np.quantile(known, np.arange(1, _PARTS) / _PARTS, method="inverted_cdf")
        return cls(name, cuts=tuple(float(bound) for bound in np.unique(bounds) if bound > known.min()))

    @property
    def size(self) -> int:
        """Number of levels, with `MISSING`."""
        return 1 + (len(self.values) if self.cuts is None else len(self.cuts) + 1)

    def level(self, value: Any) -> int:
        """Return the level of a value: text for a category, a number otherwise; None is missing."""
        if value is None:
            return MISSING
        if self.cuts is not None:
            return 1 + bisect_right(self.cuts, value) if math.isfinite(value) else MISSING
        place = bisect_right(self.values, value) - 1
        return 1 + place if place >= 0 and self.values[place] == value else MISSING

    def levels(self, column: pa.ChunkedArray) -> np.ndarray:
        """Return the levels of a column, int32 [N]: `level` applied to every value, once per distinct one."""
        encoded = column.combine_chunks().dictionary_encode()
        table = [*map(self.level, encoded.dictionary.to_pylist()), MISSING]
        return np.asarray(np.array(table, np.int32)[encoded.indices.fill_null(-1).to_numpy()])

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FeatureLevels:
        """Rebuild from plain values."""
        cuts = content["cuts"]
        return cls(content["name"], tuple(content["values"]), None if cuts is None else tuple(cuts))
