"""Point-in-time joins: what was known of a row's entities at the row's time, and nothing that came later.

Feast finds, per row and view, the newest value with ``event_timestamp <= created_at`` that is within the view's time to
live and had been written down by then (``created <= created_at``: without it a backfill leaks what nobody knew). Equal
questions are asked once and rows are numbered, so that as many rows come out as went in, in their order, whatever the
offline store does with duplicates; what does not add up is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.errors import DataError, StorageError
from frontdesk.feature_repo.repository import Repository, open_repository
from frontdesk.feature_repo.sdk import FeatureService
from frontdesk.feature_repo.views import ASKED_AT, EVENT_TIMESTAMP
from frontdesk.records.features import FeatureColumns
from frontdesk.snapshots import source_digest
from frontdesk.version import code_digest

_ASKED = "asked_row"
_NO_KEY = ""
"""Stands for a missing key: no entity is called so, and a null would take the row's other entities along."""


class PointInTime:
    """The join of one feature service; see `frontdesk.features.FeatureJoin`. Use it inside `point_in_time`."""

    def __init__(self, repository: Repository, columns: FeatureColumns) -> None:
        self._repository = repository
        self._columns = columns
        self._service: FeatureService = repository.service(columns)
        views = sorted(view.name for view in repository.stored_views(self._service))
        tables = {view: [source_digest(path) for path in repository.source_files(view)] for view in views}
        code = code_digest(Path(__file__).parent)
        self.key: dict[str, Any] = {"service": columns.service, "declarations": code, "tables": tables}

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Fill the feature columns of rows that have ``created_at`` and the entities' key columns.

        Raises:
            DataError: the offline store returned other rows than it was asked for.
        """
        asked = pa.table(
            {
                EVENT_TIMESTAMP: rows.column("created_at"),
                **{
                    entity: rows.column(name).cast(pa.string()).fill_null(_NO_KEY)
                    for entity, name in self._columns.entities.items()
                },
            }
        )
        timed = asked.filter(asked[EVENT_TIMESTAMP].is_valid())
        if not timed.num_rows:
            return rows
        names = asked.column_names
        codes = np.full(rows.num_rows, -1, np.int64)
        frame = timed.to_pandas()
        groups = frame.groupby(names, sort=False, dropna=False).ngroup().to_numpy()
        codes[asked[EVENT_TIMESTAMP].is_valid().to_numpy()] = groups
        found = self._known(frame[~pd.Series(groups).duplicated().to_numpy()].reset_index(drop=True))
        places = pa.array(codes, mask=codes < 0)
        for name in self._columns.names:
            place = rows.schema.get_field_index(name)
            looked_up = found[name].take(places).combine_chunks().cast(rows.schema.field(place).type)
            if pa.types.is_floating(looked_up.type):
                looked_up = pc.if_else(pc.is_nan(looked_up), None, looked_up)
            filled = pc.coalesce(rows.column(place), looked_up)
            rows = rows.set_column(place, rows.schema.field(place), filled)
        return rows

    def _known(self, questions: pd.DataFrame) -> pa.Table:
        """Return the features of distinct questions (keys and a time), one row each, in their order."""
        questions[_ASKED] = np.arange(len(questions))
        # DuckDB has no conversion from nanoseconds, which are pandas' default.
        stamps = questions[EVENT_TIMESTAMP].dt.as_unit("us")
        questions[EVENT_TIMESTAMP] = stamps
        questions[ASKED_AT] = stamps.astype("int64") / 1e6
        try:
            job = self._repository.store.get_historical_features(
                questions, features=self._service, filter_by_created_timestamp=True
            )
            answer = job.to_arrow()
        except Exception as error:  # whatever DuckDB, ibis or Spark raise; their words may quote a row
            raise StorageError(
                f"the offline store failed ({type(error).__name__})",
                where=f"features.{self._service.name}",
                remedy="Each table needs its key, its features, event_timestamp and created (time stamps in UTC)",
            ) from error
        numbers = answer[_ASKED].to_numpy()
        if not np.array_equal(np.sort(numbers), np.arange(len(questions))):
            words = f"the join returned {len(numbers):,} rows for {len(questions):,} questions"
            raise DataError(words, where=f"features.{self._service.name}", remedy="Use another offline store")
        return answer.take(pa.array(np.argsort(numbers)))


@contextmanager
def point_in_time(columns: FeatureColumns) -> Iterator[PointInTime]:
    """Yield the join that a mapping asks for, with the offline store of the settings.

    Raises:
        BadColumns: the mapping does not fit the feature service that it names.
        UsageError, UnreadableFile: there is no store, or a view has no table.
    """
    repository = open_repository()
    service = repository.service(columns)
    with repository.offline_session(repository.stored_views(service)):
        yield PointInTime(repository, columns)
