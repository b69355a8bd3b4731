"""Keys of clients: made at random, shown once, kept as a digest; with scopes, an end, and rotation with overlap.

A key reads ``fd_<prefix>_<secret>``: the prefix finds the row and may be shown, the secret has 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from frontdesk.database.engine import Database
from frontdesk.database.tables import NAME, ApiKey
from frontdesk.errors import UsageError

SCOPES = ("admin", "console", "emails", "feedback", "intents", "lines", "tickets")
"""What a key may be good for: the routes of that name; ``admin`` is for exports and settings."""
_MARK = "fd"
_PREFIX_BYTES = 6
_SECRET_BYTES = 32
_NOBODY = "0" * 64


@dataclass(frozen=True)
class Key:
    """A key without its secret."""

    prefix: str
    client: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Return whether the key opens anything at a time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Return plain values to show."""
        return {
            "prefix": self.prefix,
            "client": self.client,
            "scopes": list(self.scopes),
            "created_at": self.created_at.isoformat(),
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
            "revoked_at": None if self.revoked_at is None else self.revoked_at.isoformat(),
            "good": self.is_good(now),
        }


@dataclass(frozen=True)
class NewKey:
    """A key and its text, which is nowhere else."""

    key: Key
    text: str


def create_key(database: Database, client: str, scopes: Sequence[str], *, expires_at: datetime | None = None) -> NewKey:
    """Make a key.

    Raises:
        UsageError: an unknown scope, none, or a client without a name.
    """
    client = client.strip()
    if not client or len(client) > NAME or not client.isprintable():
        raise UsageError(f"a client's name has 1 to {NAME} printable characters", where="client")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise UsageError(f"there is no scope {unknown[0]!r}", where="scopes", remedy=f"Scopes: {', '.join(SCOPES)}")
    if not scopes:
        raise UsageError("a key without a scope opens nothing", where="scopes", remedy=f"Scopes: {', '.join(SCOPES)}")
    now = datetime.now(UTC)
    if expires_at is not None and expires_at <= now:
        raise UsageError("the end lies in the past", where="expires")
    with database.writing() as connection:
        return _insert(connection, client, tuple(sorted(set(scopes))), now, expires_at)


def _insert(
    connection: sa.Connection, client: str, scopes: tuple[str, ...], now: datetime, expires_at: datetime | None
) -> NewKey:
    prefix = secrets.token_hex(_PREFIX_BYTES)
    text = f"{_MARK}_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = Key(prefix, client, scopes, now, expires_at, None)
    values = {"prefix": prefix, "client": client, "digest": _digest(text), "scopes": list(scopes)}
    connection.execute(sa.insert(ApiKey).values(**values, created_at=now, expires_at=expires_at, revoked_at=None))
    return NewKey(key, text)


def rotate_key(database: Database, prefix: str, *, overlap: timedelta) -> NewKey:
    """Make a key that takes over from another one, which stays good for the overlap. Raises `UsageError`."""
    now = datetime.now(UTC)
    with database.writing() as connection:
        old = _found(connection, prefix)
        if not old.is_good(now):
            raise UsageError("the key is not good any more", where=prefix, remedy="Create a new one")
        until = now + overlap
        if old.expires_at is None or old.expires_at > until:
            connection.execute(sa.update(ApiKey).where(ApiKey.prefix == prefix).values(expires_at=until))
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        return _insert(connection, old.client, old.scopes, now, None if lifetime is None else now + lifetime)


def revoke_key(database: Database, prefix: str) -> Key:
    """End a key now. Raises `UsageError` where there is none of that prefix."""
    with database.writing() as connection:
        if _found(connection, prefix).revoked_at is None:
            now = datetime.now(UTC)
            connection.execute(sa.update(ApiKey).where(ApiKey.prefix == prefix).values(revoked_at=now))
        return _found(connection, prefix)


def list_keys(database: Database) -> list[Key]:
    """Return every key, oldest first."""
    with database.reading() as connection:
        rows = connection.execute(sa.select(ApiKey.__table__).order_by(ApiKey.created_at, ApiKey.prefix))
        return [_key(row) for row in rows]


def verify_key(database: Database, text: str) -> Key | None:
    """Return the key of a text, None where it opens nothing. Takes as long for a wrong secret as for a right one."""
    prefix = prefix_of(text)
    row = None
    if prefix is not None:
        with database.reading() as connection:
            row = connection.execute(sa.select(ApiKey.__table__).where(ApiKey.prefix == prefix)).one_or_none()
    same = hmac.compare_digest(_digest(text), _NOBODY if row is None else row.digest)
    if row is None or not same:
        return None
    key = _key(row)
    return key if key.is_good(datetime.now(UTC)) else None


def prefix_of(text: str) -> str | None:
    """Return the prefix of what has the form of a key, else None."""
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    well_formed = (
        mark == _MARK and len(prefix) == 2 * _PREFIX_BYTES and prefix.isalnum() and prefix.isascii() and secret
    )
    return prefix if well_formed else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _found(connection: sa.Connection, prefix: str) -> Key:
    row = connection.execute(sa.select(ApiKey.__table__).where(ApiKey.prefix == prefix)).one_or_none()
    if row is None:
        raise UsageError("there is no key of this prefix", where=prefix, remedy="frontdesk keys list shows them")
    return _key(row)


def _key(row: Any) -> Key:
    return Key(row.prefix, row.client, tuple(row.scopes), row.created_at, row.expires_at, row.revoked_at)
