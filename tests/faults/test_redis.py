"""What readers see while a generation is switched, while a writer dies, and while Redis is gone."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import redis

from frontdesk.errors import StorageError
from frontdesk.intent.markov import MarkovTable
from frontdesk.intent.redis_store import GuardedTable, RedisTable, publish
from frontdesk.redis_connection import connect
from tests.redis_server import RedisServer

KEYS, LEVELS, BATCH, THREADS, REQUESTS = 1_000, 5, 100, 4, 100_000


def generation(number: int) -> MarkovTable:
    """Return a table in which every intent, count and total says which generation it is of."""
    marks = np.full(KEYS, number)
    return MarkovTable(
        np.arange(1, KEYS + 1, dtype=np.uint64),
        np.arange(KEYS + 1),
        marks.astype(np.int32),
        marks.astype(np.int32),
        marks,
    )


def test_a_switch_under_load_shows_no_empty_and_no_mixed_answer(redis_server: RedisServer) -> None:
    writer = connect(redis_server.url, timeout_seconds=10)
    publish(writer, "p", generation(1))
    wrong: list[str] = []
    seen: set[int] = set()
    answered = [0] * THREADS

    def read(number: int) -> None:
        store = RedisTable(connect(redis_server.url, timeout_seconds=10), "p")
        rng = np.random.default_rng(number)
        last = 0
        try:
            for _ in range(REQUESTS // THREADS // BATCH):
                keys = rng.integers(1, KEYS + 1, (BATCH, LEVELS)).astype(np.uint64)
                found = store.look_up(keys)
                marks = {*found.intents[:, :, 0].ravel().tolist(), *found.totals.ravel().tolist()}
                if len(marks) != 1 or min(marks) < max(last, 1):
                    wrong.append(f"{sorted(marks)} after {last}")
                last = max(marks)
                seen.add(last)
                answered[number] += BATCH
        except Exception as error:
            wrong.append(repr(error))

    readers = [threading.Thread(target=read, args=(number,)) for number in range(THREADS)]
    for reader in readers:
        reader.start()
    number = 1
    while any(reader.is_alive() for reader in readers):
        number += 1
        publish(writer, "p", generation(number))
        time.sleep(0.02)
    for reader in readers:
        reader.join()
    assert not wrong, wrong[:3]
    assert sum(answered) == REQUESTS
    assert len(seen) > 2, "no switch fell into the load"


def test_a_writer_that_dies_leaves_the_current_generation(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(redis_server.url, timeout_seconds=5)
    publish(client, "p", generation(1))
    real, calls = redis.client.Pipeline.execute, iter(range(10))

    def dies(pipeline: redis.client.Pipeline, raise_on_error: bool = True) -> object:
        if next(calls) == 1:
            raise redis.ConnectionError("gone")
        return real(pipeline, raise_on_error)

    monkeypatch.setattr(redis.client.Pipeline, "execute", dies)
    with pytest.raises(StorageError, match="did not take the table"):
        publish(client, "p", generation(2))
    monkeypatch.undo()
    assert RedisTable(client, "p").look_up(np.ones((1, 1), np.uint64)).intents[0, 0, 0] == 1
    orphans = [key for key in client.keys("p:*") if client.ttl(key) > 0]
    assert len(orphans) == 1, "half a generation expires by itself"


def test_without_redis_answers_go_on_from_the_bundle_and_are_marked(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=1)
    publish(client, "p", generation(2))
    table = GuardedTable(RedisTable(client, "p"), generation(1), pause_seconds=0.0)
    one = np.ones((1, LEVELS), np.uint64)

    def ask() -> tuple[int, bool]:
        answer = table.ask(one)
        return int(answer.found.intents[0, 0, 0]), answer.degraded

    assert ask() == (2, False)
    redis_server.stop()
    assert [ask() for _ in range(20)] == [(1, True)] * 20
    assert table.failures == 20
    redis_server.start()
    assert ask() == (1, True), "a server that has lost its memory holds no table"
    publish(client, "p", generation(3))
    assert ask() == (3, False)


def test_a_store_that_failed_is_left_alone_for_a_moment(redis_server: RedisServer) -> None:
    table = GuardedTable(RedisTable(connect(redis_server.url), "p"), generation(1), pause_seconds=3600.0)
    redis_server.stop()
    one = np.ones((1, LEVELS), np.uint64)
    assert all(table.ask(one).degraded for _ in range(200))
    assert table.failures == 1, "its timeout is paid once, not by every request"


def test_a_store_that_hangs_is_asked_by_one_request_at_a_time(redis_server: RedisServer) -> None:
    """Ten screens ask at one moment: one of them waits for the timeout, the others get the bundle's answer."""
    client = connect(redis_server.url, timeout_seconds=0.2)
    publish(connect(redis_server.url, timeout_seconds=5), "p", generation(2))
    table = GuardedTable(RedisTable(client, "p"), generation(1), pause_seconds=0.3)
    one = np.ones((1, LEVELS), np.uint64)
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        assert table.ask(one).degraded
        time.sleep(0.35)
        with ThreadPoolExecutor(10) as screens:
            answers = list(screens.map(lambda _: table.ask(one), range(10)))
        assert all(answer.degraded for answer in answers)
        assert table.failures == 2
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 20
    while table.ask(one).degraded:
        assert time.monotonic() < deadline, "the store has not been taken back"
        time.sleep(0.05)
    assert [table.ask(one).degraded for _ in range(5)] == [False] * 5
