"""Features for serving: read by entity key, checked for age, and written by those who cannot wait."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from frontdesk.errors import StorageError
from frontdesk.feature_repo.repository import Repository, open_repository
from frontdesk.feature_repo.sdk import PushMode
from frontdesk.feature_repo.views import ASKED_AT, EVENT_TIMESTAMP
from frontdesk.features import FoundFeatures, Reason
from frontdesk.records.features import FeatureColumns

_NO_KEY = ""


class OnlineFeatures:
    """Reads the features of one mapping; see `frontdesk.features.FeatureReader`. Safe to share between threads.

    Feast returns a value of any age. Here one older than its view's time to live is missing, and so is what an
    on-demand view computed from it.
    """

    def __init__(self, repository: Repository, columns: FeatureColumns) -> None:
        self._store = repository.store
        self._service = repository.service(columns)
        self._entities = tuple(columns.entities)
        self._names = columns.names
        self._lives = {view.name: (view.ttl or timedelta.max).total_seconds() for view in repository.views.values()}
        self._origins: dict[str, list[str]] = {}
        self._witness: dict[str, str] = {}
        """A feature of each stored view: its time stamp is the view's."""
        used = {projection.name for projection in self._service.feature_view_projections}
        self._on_demand = bool(used & set(repository.on_demand))
        for projection in self._service.feature_view_projections:
            for field in projection.features:
                self._origins[field.name] = repository.origins(projection.name)
            if projection.name in repository.views:
                self._witness[projection.name] = projection.features[0].name

    def read(self, keys: Mapping[str, Sequence[str | None]], moments: Sequence[float]) -> list[FoundFeatures]:
        """Look features up; see `frontdesk.features.FeatureReader.read`."""
        asked: dict[str, Any] = {
            entity: [_NO_KEY if key is None else key for key in keys[entity]] for entity in self._entities
        }
        if self._on_demand:
            asked[ASKED_AT] = list(moments)
        try:
            answer = self._store.get_online_features(self._service, asked).proto
        except Exception as error:  # whatever the store's own client raises
            words = f"the online store failed ({type(error).__name__})"
            raise StorageError(words, where=f"features.{self._service.name}") from error
        columns = dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))
        return [self._found(columns, row, moment) for row, moment in enumerate(moments)]

    def _found(self, columns: Mapping[str, Any], row: int, moment: float) -> FoundFeatures:
        # A view without the entity has no time stamp; its statuses differ between the stores.
        happened = {view: columns[witness].event_timestamps[row].seconds for view, witness in self._witness.items()}
        stale = {view for view, when in happened.items() if when and moment - when > self._lives[view]}
        values: dict[str, Any] = {}
        missing: dict[str, Reason] = {}
        for name in self._names:
            value = columns[name].values[row]
            kind = value.WhichOneof("val")
            if any(view in stale for view in self._origins[name]):
                missing[name] = "stale"
            elif kind is None:
                missing[name] = "unknown"
            else:
                values[name] = getattr(value, kind)
        return FoundFeatures(values, missing)


def open_online(columns: FeatureColumns, *, timeout_seconds: float) -> OnlineFeatures:
    """Open the online store of the settings for a mapping, and connect to it.

    Raises:
        BadColumns: the mapping does not fit the feature service that it names.
        UsageError: no store is set.
    """
    return OnlineFeatures(open_repository(timeout_seconds=timeout_seconds), columns)


def push(repository: Repository, source: str, rows: pa.Table) -> None:
    """Write rows to the online store at once, as a queue monitor does; older rows than the stored ones change nothing.

    Args:
        source: a push source, such as `views.LINE_STATE_PUSH`.
        rows: schema of its view's table.

    Raises:
        StorageError: the online store does not answer.
    """
    frame: pd.DataFrame = rows.to_pandas()
    frame[EVENT_TIMESTAMP] = pd.to_datetime(frame[EVENT_TIMESTAMP], utc=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            repository.store.push(source, frame, to=PushMode.ONLINE)
        except Exception as error:
            raise StorageError(f"the online store failed ({type(error).__name__})", where=source) from error
