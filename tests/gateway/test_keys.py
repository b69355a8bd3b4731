"""Keys: shown once, kept as a digest, scoped, ended, revoked, rotated with overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from frontdesk.database import Database
from frontdesk.database.keys import create_key, list_keys, revoke_key, rotate_key, verify_key
from frontdesk.errors import UsageError


def test_a_key_opens_what_it_was_made_for(database: Database) -> None:
    made = create_key(database, "crm", ["tickets", "emails", "tickets"])
    found = verify_key(database, made.text)
    assert found == made.key
    assert found is not None
    assert (found.client, found.scopes) == ("crm", ("emails", "tickets"))


def test_only_a_digest_is_stored(database: Database) -> None:
    text = create_key(database, "crm", ["emails"]).text
    with database.reading() as connection:
        row = connection.execute(sa.text("SELECT * FROM api_keys")).one()
    secret = text.split("_", 2)[2]
    assert len(secret) >= 43  # 256 bits
    assert not [value for value in row if secret in str(value)]


@pytest.mark.parametrize("change", ["", "x", "fd_", "fd_000000000000_x", "{key}x", "{other}", "{key}\ud800", "é"])
def test_other_texts_open_nothing(database: Database, change: str) -> None:
    key = create_key(database, "crm", ["emails"]).text
    other = key[:-4] + ("AAAA" if key[-4:] != "AAAA" else "BBBB")
    assert verify_key(database, change.format(key=key, other=other)) is None


def test_an_ended_and_a_revoked_key_open_nothing(database: Database) -> None:
    ending = create_key(database, "crm", ["emails"], expires_at=datetime.now(UTC) + timedelta(milliseconds=300))
    revoked = create_key(database, "crm", ["emails"])
    assert verify_key(database, revoked.text)
    revoke_key(database, revoked.key.prefix)
    assert verify_key(database, revoked.text) is None
    assert not ending.key.is_good(datetime.now(UTC) + timedelta(seconds=1))
    assert [key.is_good(datetime.now(UTC) + timedelta(seconds=1)) for key in list_keys(database)] == [False, False]


def test_rotation_overlaps(database: Database) -> None:
    old = create_key(database, "crm", ["emails", "feedback"])
    new = rotate_key(database, old.key.prefix, overlap=timedelta(hours=1))
    assert verify_key(database, old.text)
    found = verify_key(database, new.text)
    assert found is not None
    assert (found.client, found.scopes) == ("crm", ("emails", "feedback"))
    later = datetime.now(UTC) + timedelta(hours=2)
    assert {key.prefix: key.is_good(later) for key in list_keys(database)} == {
        old.key.prefix: False,
        new.key.prefix: True,
    }
    cut = rotate_key(database, new.key.prefix, overlap=timedelta(0))
    assert verify_key(database, new.text) is None
    assert verify_key(database, cut.text)
    with pytest.raises(UsageError, match="not good any more"):
        rotate_key(database, new.key.prefix, overlap=timedelta(0))


@pytest.mark.parametrize(
    ("client", "scopes", "words"),
    [("", ["emails"], "name"), ("a\nb", ["emails"], "name"), ("x" * 201, ["emails"], "name"), ("crm", [], "scope")],
)
def test_wrong_keys_are_not_made(database: Database, client: str, scopes: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        create_key(database, client, scopes)
    with pytest.raises(UsageError, match="no scope 'everything'"):
        create_key(database, "crm", ["everything"])
    with pytest.raises(UsageError, match="past"):
        create_key(database, "crm", ["emails"], expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="no key of this prefix"):
        revoke_key(database, "nothing")
    assert list_keys(database) == []
