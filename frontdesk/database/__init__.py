"""What the gateway keeps, and what monitoring adds: verdicts, retrainings. The only door to SQLAlchemy and Alembic.

SQLite embedded, PostgreSQL in production; the same statements on both.
"""

from frontdesk.database.engine import Database, open_database, opened

__all__ = ["Database", "open_database", "opened"]
