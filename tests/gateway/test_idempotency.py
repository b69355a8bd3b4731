"""One effect per idempotency key, also when two requests race or a process dies between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from frontdesk.database import Database, idempotency
from frontdesk.database.idempotency import Claim, Stored, claim, complete, forget_expired, release
from frontdesk.errors import Conflict, FrontdeskError, InFlight

KEY, BODY = "k" * 64, "b" * 64


def finish(database: Database, mine: Claim, content: bytes, keep: timedelta = timedelta(hours=1)) -> None:
    with database.writing() as connection:
        complete(connection, mine, Stored(200, content), keep)


def test_the_second_request_gets_the_first_answer(database: Database) -> None:
    mine = claim(database, KEY, BODY)
    assert isinstance(mine, Claim)
    with pytest.raises(InFlight):
        claim(database, KEY, BODY)
    finish(database, mine, b"answer")
    assert claim(database, KEY, BODY) == Stored(200, b"answer")
    with pytest.raises(Conflict):
        claim(database, KEY, "c" * 64)


def test_a_request_without_effect_frees_its_key(database: Database) -> None:
    mine = claim(database, KEY, BODY)
    assert isinstance(mine, Claim)
    release(database, mine)
    assert isinstance(claim(database, KEY, "c" * 64), Claim)


def test_a_key_expires(database: Database) -> None:
    mine = claim(database, KEY, BODY)
    assert isinstance(mine, Claim)
    finish(database, mine, b"answer", timedelta(seconds=-1))
    assert forget_expired(database) == 1
    assert isinstance(claim(database, KEY, "c" * 64), Claim)


def test_what_a_dead_process_held_is_taken_over(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "LEASE", timedelta(seconds=-1))
    dead = claim(database, KEY, BODY)
    monkeypatch.setattr(idempotency, "LEASE", timedelta(seconds=60))
    mine = claim(database, KEY, BODY)
    assert isinstance(dead, Claim)
    assert isinstance(mine, Claim)
    finish(database, dead, b"late")  # not dead after all: its answer is not the one that is kept
    release(database, dead)
    finish(database, mine, b"answer")
    assert claim(database, KEY, BODY) == Stored(200, b"answer")


def test_of_many_at_once_one_wins(database: Database) -> None:
    def attempt(_: int) -> str:
        try:
            return type(claim(database, KEY, BODY)).__name__
        except FrontdeskError as error:
            return type(error).__name__

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(attempt, range(16)))
    assert found == ["Claim"] + ["InFlight"] * 15
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM idempotent_answers")).scalar_one() == 1
