"""What the gateway keeps: keys, predictions, idempotent answers, feedback. The only door to SQLAlchemy and Alembic.

SQLite embedded, PostgreSQL in production; the same statements on both.
"""

from frontdesk.database.engine import Database, open_database

__all__ = ["Database", "open_database"]
