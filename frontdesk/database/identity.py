"""Names of rows: unique without asking the database, and in order of time, so that an index stays narrow."""

from __future__ import annotations

import itertools
import secrets
import time

_made = itertools.count()


def new_id() -> str:
    """Return 32 hex digits: 48 bits of milliseconds since 1970, 16 that count, 64 random ones."""
    return f"{time.time_ns() // 1_000_000:012x}{next(_made) & 0xFFFF:04x}{secrets.token_hex(8)}"
