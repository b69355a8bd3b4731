"""An open database: transactions, migrations, and errors that a caller may see."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from frontdesk.errors import StorageError, UsageError
from frontdesk.logs import event
from frontdesk.settings import settings

DEFAULT_DATABASE = "sqlite:///frontdesk.db"
_log = logging.getLogger(__name__)
_BUSY_MILLISECONDS = 10_000
_MIGRATION_LOCK = 7_041_776_120  # any number, the same in every release


class Database:
    """A database with its schema. Safe to share between threads.

    Args:
        engine: SQLite or PostgreSQL.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(frontdesk_write=True)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads. Raises `StorageError` for whatever the database refuses."""
        with _translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that is committed at the end of the block, or rolled back. Raises `StorageError`."""
        with _translated(), self._writer.begin() as connection:
            yield connection

    def upgrade(self, revision: str = "head") -> None:
        """Bring the schema up; several processes may try at once. A newer release's stays. Raises `StorageError`."""
        self._migrate(command.upgrade, revision)

    def downgrade(self, revision: str) -> None:
        """Bring the schema down to a revision, ``base`` for nothing. Raises `StorageError`."""
        self._migrate(command.downgrade, revision)

    def _migrate(self, how: Any, revision: str) -> None:
        config = _config()
        with self.writing() as connection:
            if self.dialect == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            config.attributes["connection"] = connection
            if how is command.upgrade and _newer(_revision(connection)):
                event(_log, "schema_of_a_newer_release", logging.WARNING)
                return
            try:
                how(config, revision)
            except CommandError as error:
                words = "the database's schema is not one that this release knows"
                raise StorageError(words, remedy="Use the release that made it, or a newer one") from error

    def is_new_enough(self) -> bool:
        """Return whether the schema is this release's or a newer one's. Raises `StorageError` without an answer.

        A migration only adds, so that gateways answer on while a newer release takes over, and after a way back.
        """
        with self.reading() as connection:
            found = _revision(connection)
        return found == _head() or _newer(found)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _head() -> str:
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _newer(revision: str | None) -> bool:
    return revision is not None and revision.isdecimal() and int(revision) > int(_head())


def insert_once(connection: sa.Connection, table: Any, values: dict[str, Any]) -> bool:
    """Insert a row; return False, and change nothing, where there is one of its key already."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing().returning(sa.literal(1))
    return connection.execute(statement).first() is not None


def open_database(url: str | None = None) -> Database:
    """Open a database without touching it.

    Args:
        url: an address of SQLAlchemy, ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``; None for the setting
            ``FRONTDESK_DATABASE``, and without one a file in the working folder.

    Raises:
        UsageError: the address is of another kind.
    """
    try:
        address = sa.make_url(url or settings().database or DEFAULT_DATABASE)
        if address.get_backend_name() == "sqlite":
            return Database(_sqlite(address))
        if address.get_backend_name() == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
            options = {"connect_timeout": 5, "application_name": "frontdesk"}
            return Database(
                sa.create_engine(address, pool_size=8, max_overflow=8, pool_pre_ping=True, connect_args=options)
            )
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise UsageError(
            f"the address of the database is not understood ({type(error).__name__})",
            where="FRONTDESK_DATABASE",
            remedy="Write sqlite:///FILE or postgresql://USER@HOST/NAME",
        ) from None
    raise UsageError(
        f"databases of the kind {address.get_backend_name()} are not supported",
        where="FRONTDESK_DATABASE",
        remedy="Write sqlite:///FILE or postgresql://USER@HOST/NAME",
    )


@contextmanager
def opened() -> Iterator[Database]:
    """Open the database of the settings, with this release's schema; close it at the end of the block."""
    database = open_database()
    try:
        database.upgrade()
        yield database
    finally:
        database.close()


def _sqlite(address: sa.URL) -> sa.Engine:
    if address.database and address.database != ":memory:":
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(address.set(drivername="sqlite+pysqlite"))

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late: before the first write only
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={_BUSY_MILLISECONDS}", "journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("frontdesk_write", False)
        # A reader that starts to write may find the database changed meanwhile, and then waiting does not help it.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # The driver's words may hold values of a row.
        raise StorageError(f"the database refused or did not answer ({type(error).__name__})") from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
