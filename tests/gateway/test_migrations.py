"""The schema goes up and down on both databases, and is what the tables say."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from frontdesk.database import Database, open_database
from frontdesk.database.keys import create_key, list_keys
from frontdesk.database.migrations import versions
from frontdesk.database.tables import Base
from frontdesk.errors import StorageError, UsageError


def tables(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(sa.inspect(connection).get_table_names()) - {"alembic_version"}


def test_up_down_and_up_again(empty_database: Database) -> None:
    assert not empty_database.is_new_enough()
    empty_database.upgrade()
    assert empty_database.is_new_enough()
    assert tables(empty_database) == set(Base.metadata.tables)
    empty_database.downgrade("0001")
    assert not empty_database.is_new_enough()
    empty_database.downgrade("base")
    assert tables(empty_database) == set()
    empty_database.upgrade()
    empty_database.upgrade()  # nothing is left to do
    assert empty_database.is_new_enough()


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_several_gateways_start_at_once(empty_database: Database) -> None:
    failures: list[Exception] = []

    def upgrade() -> None:
        try:
            empty_database.upgrade()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert empty_database.is_new_enough()


def test_a_schema_of_another_release_is_refused(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'unknown'"))
    assert not database.is_new_enough()
    with pytest.raises(StorageError, match="not one that this release knows"):
        database.upgrade()


def test_a_release_runs_on_the_schema_of_a_newer_one(database: Database) -> None:
    """A gateway answers while the next release migrates, and starts again where that release is taken back."""
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert database.is_new_enough()
    database.upgrade()
    assert database.is_new_enough()
    assert len(list_keys(database)) == 0
    assert create_key(database, "crm", ["emails"]).key in list_keys(database)


@pytest.mark.parametrize("path", sorted(Path(versions.__path__[0]).glob("v*.py")), ids=lambda path: path.stem)
def test_a_migration_only_adds(path: Path) -> None:
    """What the release before does not know of must not be needed for its own writes."""
    [upgrade] = [node for node in ast.parse(path.read_text()).body if getattr(node, "name", "") == "upgrade"]
    for call in (node for node in ast.walk(upgrade) if isinstance(node, ast.Call)):
        function = ast.unparse(call.func)
        if function.startswith("op."):
            assert function in {"op.create_table", "op.create_index", "op.add_column", "op.f"}, function
        if function == "op.add_column":
            written = ast.unparse(call)
            assert "nullable=True" in written or "server_default" in written, written


@pytest.mark.parametrize("url", ["nonsense", "mysql://desk@localhost/desk", "oracle://x"])
def test_other_addresses_are_refused_without_being_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_database(url)
    assert url not in str(caught.value)


def test_a_database_that_is_not_there(unused_port: int) -> None:
    database = open_database(f"postgresql://desk@127.0.0.1:{unused_port}/desk")
    with pytest.raises(StorageError, match="did not answer"):
        database.is_new_enough()


@pytest.fixture
def unused_port() -> int:
    from tests.serving.process import free_port

    return free_port()
