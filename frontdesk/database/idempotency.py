"""Answers by idempotency key: the same request again gets the stored answer, and has no second effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from frontdesk.database.engine import Database, insert_once
from frontdesk.database.tables import IdempotentAnswer
from frontdesk.errors import Conflict, InFlight

LEASE = timedelta(seconds=60)
"""How long a request may be in the making before another one may take its key over: its process may have died."""


@dataclass(frozen=True)
class Claim:
    """A key that belongs to this request now.

    Attributes:
        until: end of the lease; it also tells this claim from one that took over after it.
    """

    key: str
    until: datetime


@dataclass(frozen=True)
class Stored:
    """An answer given before."""

    status: int
    content: bytes


def claim(database: Database, key: str, body: str) -> Claim | Stored:
    """Take a key for a request, or return what was answered to it before.

    Args:
        key: SHA-256 (hex) of client, route and key.
        body: SHA-256 (hex) of the request's body.

    Raises:
        Conflict: the key belongs to a request with another body.
        InFlight: the first request is still being answered.
    """
    now = datetime.now(UTC)
    until = now + LEASE
    with database.writing() as connection:
        free = sa.delete(IdempotentAnswer).where(IdempotentAnswer.key == key, IdempotentAnswer.expires_at <= now)
        connection.execute(free)
        if insert_once(
            connection,
            IdempotentAnswer,
            {"key": key, "body": body, "status": None, "content": None, "expires_at": until},
        ):
            return Claim(key, until)
        row = connection.execute(sa.select(IdempotentAnswer.__table__).where(IdempotentAnswer.key == key)).one()
    if row.body != body:
        raise Conflict(
            "the key was used for a request with another body", where="Idempotency-Key", remedy="Use a new key"
        )
    if row.status is None:
        raise InFlight("the first request with this key is not answered yet", where="Idempotency-Key")
    return Stored(row.status, row.content)


def complete(connection: sa.Connection, claim: Claim, answer: Stored, keep: timedelta) -> None:
    """Store the answer, in the transaction that also writes what the request did."""
    mine = (IdempotentAnswer.key == claim.key) & (IdempotentAnswer.expires_at == claim.until)
    values = {"status": answer.status, "content": answer.content, "expires_at": datetime.now(UTC) + keep}
    connection.execute(sa.update(IdempotentAnswer).where(mine).values(**values))


def release(database: Database, claim: Claim) -> None:
    """Free the key of a request that had no effect."""
    mine = (IdempotentAnswer.key == claim.key) & (IdempotentAnswer.expires_at == claim.until)
    with database.writing() as connection:
        connection.execute(sa.delete(IdempotentAnswer).where(mine))


def forget_expired(database: Database) -> int:
    """Remove what has expired; return how many."""
    with database.writing() as connection:
        return connection.execute(
            sa.delete(IdempotentAnswer).where(IdempotentAnswer.expires_at <= datetime.now(UTC))
        ).rowcount
