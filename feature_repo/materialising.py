"""Copying the newest values from the offline to the online store.

A run reads each view as far back as its time to live, never from where the last run ended: a row that arrived late is
found, a run that failed is made good by the next, and running twice changes nothing.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta

from frontdesk.errors import StorageError
from frontdesk.feature_repo.repository import Repository


def materialise(repository: Repository, until: datetime | None = None) -> dict[str, int]:
    """Bring the online store up to date with every view that has a table.

    Args:
        repository: the opened store.
        until: events after this moment (without a zone: UTC) are left for later; None means now.

    Returns:
        ``{view: files read}``.

    Raises:
        StorageError: a store failed; views before it are up to date.
    """
    until = until or datetime.now(UTC)
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    files = {name: repository.source_files(name) for name in repository.views}
    present = [view for name, view in repository.views.items() if files[name]]
    with repository.offline_session(present), redirect_stdout(io.StringIO()):  # Feast prints what it does
        for view in present:
            begin = until - (view.ttl or timedelta(days=36_500))
            try:
                repository.store.materialize(begin, until, feature_views=[view.name])
            except Exception as error:  # whatever the two stores raise; their words may quote a row
                words = f"the view cannot be materialised ({type(error).__name__})"
                raise StorageError(words, where=f"features.{view.name}") from error
    return {view.name: len(files[view.name]) for view in present}
