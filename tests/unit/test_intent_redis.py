"""Is the Markov table in Redis the table of the bundle, and does it come back whole from the codec?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.errors import StorageError, UsageError
from frontdesk.intent.codec import decode, encode
from frontdesk.intent.keys import NO_KEY
from frontdesk.intent.markov import PER_KEY, Found, MarkovTable, build_table
from frontdesk.intent.redis_store import RedisTable, prefix_of, publish
from frontdesk.redis_connection import connect
from frontdesk.settings import settings as own_settings
from tests.intent_data import simulated
from tests.redis_server import RedisServer

ENTRIES = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(1, 2**31 - 1)), min_size=1, max_size=PER_KEY)


def table_of(entries: list[list[tuple[int, int]]], totals: list[int]) -> MarkovTable:
    flat = [entry for each in entries for entry in each]
    return MarkovTable(
        np.arange(1, len(entries) + 1, dtype=np.uint64),
        np.concatenate([[0], np.cumsum([len(each) for each in entries])]).astype(np.int64),
        np.array([intent for intent, _ in flat], np.int32),
        np.array([count for _, count in flat], np.int32),
        np.array(totals, np.int64),
    )


def equal(first: Found, second: Found) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("intents", "counts", "totals"))


@settings(max_examples=100)
@given(drawn=st.lists(st.tuples(ENTRIES, st.integers(0, 2**34)), min_size=1, max_size=6))
def test_the_codec_gives_back_what_it_took(drawn: list[tuple[list[tuple[int, int]], int]]) -> None:
    table = table_of([entries for entries, _ in drawn], [total for _, total in drawn])
    values = encode(table, 0, len(drawn))
    asked = np.array([[*table.keys, NO_KEY]])
    assert equal(decode([*values, None], (1, len(drawn) + 1)), table.look_up(asked))
    assert encode(table, 1, len(drawn)) == values[1:]


def test_the_codec_is_compact() -> None:
    table = build_table(simulated(3_000).train)
    size = sum(map(len, encode(table, 0, len(table.keys))))
    assert size < 4 * (len(table.intents) + len(table.keys))


@pytest.mark.parametrize("value", [b"\x80", b"\x01\x02", b"\x81\x80\x80\x80\x80\x80\x01", bytes(2 * PER_KEY + 3)])
def test_a_broken_value_is_an_error(value: bytes) -> None:
    with pytest.raises(StorageError, match="broken"):
        decode([value], (1, 1))


def test_redis_answers_like_the_bundle(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=5)
    table = build_table(simulated(3_000).train)
    prefix = prefix_of("0" * 64)
    generation = publish(client, prefix, table)
    assert publish(client, prefix, table) == generation
    assert client.ttl(f"{prefix}:{generation}") == -1
    store = RedisTable(client, prefix)
    keys = np.append(table.keys, [NO_KEY, np.uint64(5)])[: 5 * (len(table.keys) // 5)].reshape(-1, 5)
    assert equal(store.look_up(keys), table.look_up(keys))
    calls = client.info("commandstats")
    store.look_up(keys[:1])
    after = client.info("commandstats")
    assert after["cmdstat_hmget"]["calls"] - calls["cmdstat_hmget"]["calls"] == 1
    assert after["cmdstat_get"]["calls"] - calls["cmdstat_get"]["calls"] == 1


def test_tables_of_two_tokenisers_do_not_meet(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=5)
    publish(client, prefix_of("a" * 64), table_of([[(1, 1)]], [1]))
    with pytest.raises(StorageError, match="holds no Markov table"):
        RedisTable(client, prefix_of("b" * 64)).look_up(np.ones((1, 5), np.uint64))


def test_an_evicted_generation_is_an_error_and_no_empty_answer(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=5)
    generation = publish(client, "p", table_of([[(1, 1)]], [1]))
    store = RedisTable(client, "p")
    assert store.look_up(np.ones((1, 1), np.uint64)).intents[0, 0, 0] == 1
    client.delete(f"p:{generation}")
    with pytest.raises(StorageError, match="has lost"):
        store.look_up(np.ones((1, 1), np.uint64))


def test_the_old_generation_expires_later(redis_server: RedisServer) -> None:
    client = connect(redis_server.url, timeout_seconds=5)
    old, new = table_of([[(1, 1)]], [1]), table_of([[(2, 1)]], [1])
    first = publish(client, "p", old)
    reader = RedisTable(client, "p")
    one = np.ones((1, 1), np.uint64)
    assert reader.look_up(one).intents[0, 0, 0] == 1
    second = publish(client, "p", new)
    assert 0 < client.ttl(f"p:{first}") <= 3600
    assert client.ttl(f"p:{second}") == -1
    assert reader.look_up(one).intents[0, 0, 0] == 2
    publish(client, "p", old)
    assert client.ttl(f"p:{first}") == -1, "a generation that comes back does not expire"
    assert reader.look_up(one).intents[0, 0, 0] == 1


def test_the_command_says_that_no_redis_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRONTDESK_REDIS", raising=False)
    own_settings.cache_clear()
    result = CliRunner().invoke(app, ["publish", "--store", "nowhere", "intent"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.where == "FRONTDESK_REDIS"
