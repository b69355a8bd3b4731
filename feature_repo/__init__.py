"""Features of customers, operators, lines and tickets: declared in Feast, joined for training, read for serving.

Entities, views and services are code, and the registry is built from it in memory whenever a process opens the store:
there is no registry file that could differ from the release, nor one whose functions would be unpickled.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frontdesk.features import FeatureJoin, FeatureReader
    from frontdesk.records.features import FeatureColumns


def open_join(columns: FeatureColumns) -> AbstractContextManager[FeatureJoin]:
    """Open the join of `joining.point_in_time`. Feast is imported when it is used: it takes seconds."""
    from frontdesk.feature_repo.joining import point_in_time

    return point_in_time(columns)


def open_reader(columns: FeatureColumns, *, timeout_seconds: float) -> FeatureReader:
    """Open the reader of `online.open_online`, likewise."""
    from frontdesk.feature_repo.online import open_online

    return open_online(columns, timeout_seconds=timeout_seconds)
