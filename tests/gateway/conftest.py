"""Databases for the gateway's tests: SQLite and a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from frontdesk.database import Database, open_database
from tests.bundles import EmailRun
from tests.gateway.desk import Stack
from tests.intent_bundles import IntentRun


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a schema, of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'desk.db'}"
    else:
        url = request.getfixturevalue("postgres").create(f"t{uuid.uuid4().hex}")
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A database with this release's schema, of each kind."""
    empty_database.upgrade()
    return empty_database


@pytest.fixture(scope="session")
def desk(
    ticket_bundle: Path, email_run: EmailRun, intent_run: IntentRun, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The whole stack, started once by ``frontdesk up`` for the tests that leave it running."""
    out = tmp_path_factory.mktemp("desk")
    with Stack(out, [ticket_bundle, email_run.bundle, intent_run.bundle]) as running:
        assert isinstance(running, Stack)
        yield running
