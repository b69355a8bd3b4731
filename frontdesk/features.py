"""What the library knows of a feature store: the join that a table needs, and what a look-up finds.

The store itself is behind `frontdesk.feature_repo`, which the library never imports: steps and commands hand its
functions in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa

from frontdesk.records.features import FeatureColumns

Reason = Literal["unknown", "stale", "unavailable"]
"""Why a feature is missing: the store has no value, only one older than it may be, or did not answer in time."""


class FeatureJoin(Protocol):
    """Fills the feature columns of rows with what was known at each row's ``created_at``.

    Attributes:
        key: plain values that the result depends on beside the rows and the library's source.
    """

    key: Mapping[str, Any]

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows in the same order; a value that a row has already stays."""


OpenJoin = Callable[[FeatureColumns], AbstractContextManager[FeatureJoin]]


@dataclass(frozen=True)
class FoundFeatures:
    """What is known of one request's entities.

    Attributes:
        values: by feature; those without a value are left out.
        missing: why the others are missing.
    """

    values: dict[str, Any]
    missing: dict[str, Reason] = field(default_factory=dict)


class FeatureReader(Protocol):
    """Reads features by entity key, as they are now."""

    def read(self, keys: Mapping[str, Sequence[str | None]], moments: Sequence[float]) -> list[FoundFeatures]:
        """Look features up.

        Args:
            keys: ``{entity: [key of each request]}``; None where a request names none.
            moments: when each request was made, in seconds since 1970.

        Raises:
            StorageError: the store does not answer.
        """
