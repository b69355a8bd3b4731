"""Concurrent triggers of a retraining collapse to one, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from frontdesk.database import Database
from frontdesk.database.retrainings import began_run, begin, end, past
from frontdesk.monitoring.retraining import Decision, Limits, Request, decide

NOW = datetime(2024, 5, 1, tzinfo=UTC)
REQUEST = Request("ticket", "drift", "data-1", "labels-1", NOW, "the texts changed")
asked = partial(decide, limits=Limits(cool_down=timedelta(days=7)))


def at_once(database: Database, requests: list[Request]) -> list[Decision]:
    """Ask from as many threads, each with a connection of its own."""
    barrier, answers = threading.Barrier(len(requests)), []

    def ask(request: Request) -> None:
        barrier.wait()
        answers.append(begin(database, request, asked))

    threads = [threading.Thread(target=ask, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_equal_triggers_at_one_time_make_one_retraining(database: Database) -> None:
    answers = at_once(database, [REQUEST] * 8)
    assert len(answers) == 8
    assert [one.answer for one in answers].count("start") == 1
    assert {one.answer for one in answers} == {"start", "running"}
    assert [row.state for row in past(database)] == ["running"]


def test_different_triggers_at_one_time_make_one_retraining(database: Database) -> None:
    reasons = ("drift", "schedule", "taxonomy", "manual")
    answers = at_once(
        database, [replace(REQUEST, reason=reason, snapshot=f"data-{n}") for n, reason in enumerate(reasons)]
    )
    assert sum(one.start for one in answers) == 1
    assert len(past(database)) == 1


def test_recipes_do_not_wait_for_each_other(database: Database) -> None:
    answers = at_once(database, [replace(REQUEST, recipe=recipe) for recipe in ("email", "ticket", "intent")])
    assert all(one.start for one in answers)
    assert {row.recipe for row in past(database)} == {"email", "ticket", "intent"}


def test_an_end_makes_room_for_the_next(database: Database) -> None:
    assert begin(database, REQUEST, asked).start
    began_run(database, REQUEST.key, "run-1")
    end(database, REQUEST.key, "promoted", NOW + timedelta(hours=1), "model-2")
    (row,) = past(database, "ticket")
    assert (row.state, row.run, row.model_id, row.active) == ("promoted", "run-1", "model-2", None)
    assert begin(database, REQUEST, asked).answer == "done_before"
    later = replace(REQUEST, snapshot="data-2", at=NOW + timedelta(days=8))
    assert begin(database, later, asked).start
    end(database, REQUEST.key, "failed", later.at)  # too late: it has ended
    assert [row.state for row in past(database, "ticket")] == ["running", "promoted"]


def test_a_retraining_that_nobody_ended_is_lost_after_its_lease(database: Database) -> None:
    assert begin(database, REQUEST, asked).start
    again = replace(REQUEST, snapshot="data-2", at=NOW + Limits().lease + timedelta(minutes=1))
    assert begin(database, again, asked).start
    assert [row.state for row in past(database)] == ["running", "lost"]


def test_what_failed_may_begin_again_under_its_key(database: Database) -> None:
    assert begin(database, REQUEST, asked).start
    end(database, REQUEST.key, "failed", NOW)
    assert begin(database, replace(REQUEST, at=NOW + timedelta(days=8)), asked).start
    assert [row.state for row in past(database)] == ["running"]


def test_a_dry_run_leaves_no_trace(database: Database) -> None:
    assert begin(database, REQUEST, partial(asked, dry_run=True)).answer == "dry_run"
    assert past(database) == []
