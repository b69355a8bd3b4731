"""From a request to the screen: which model answers, what stands in for it, and what is never shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any, Literal

import pytest

from frontdesk.intent.configuration import Configuration, LineConfiguration, ListSettings
from frontdesk.intent.lists import Validity
from frontdesk.intent.live import LiveSessions
from frontdesk.intent.opening import IntentBundle, load_intents
from frontdesk.intent.redis_store import GuardedTable, RedisTable, prefix_of, publish
from frontdesk.intent.requests import MAX_ROWS, IntentAnswer
from frontdesk.redis_connection import connect
from tests.intent_bundles import IntentRun, as_request, shown
from tests.redis_server import RedisServer

Ask = Callable[..., IntentAnswer]
MODELS: tuple[Literal["evgen", "markov", "toppop"], ...] = ("evgen", "markov", "toppop")


@pytest.fixture
def bundle(intent_run: IntentRun) -> IntentBundle:
    """A bundle of its own, whose settings a test may change."""
    return load_intents(intent_run.bundle)


@pytest.fixture(scope="module")
def rows(intent_run: IntentRun) -> list[dict[str, Any]]:
    """One test session with opened intents and events before the last one."""
    sessions: dict[str, list[dict[str, Any]]] = {}
    for row in intent_run.test_rows():
        sessions.setdefault(row["session"], []).append(row)
    return max(sessions.values(), key=len)


def set_up(bundle: IntentBundle, **settings: Any) -> None:
    """Give every line these settings."""
    bundle.recommender.configuration = Configuration(default=LineConfiguration(**settings))


def ask(bundle: IntentBundle, request: dict[str, Any]) -> IntentAnswer:
    (answer,) = bundle.predict([request])
    return answer


def test_each_line_is_answered_by_its_model(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    lines = {model: LineConfiguration(model=model) for model in MODELS}
    bundle.recommender.configuration = Configuration(lines=lines)
    answers = bundle.predict([as_request(rows, line=model, session=None) for model in MODELS[::-1]])
    assert [answer.source for answer in answers] == list(MODELS[::-1])
    for answer in answers:
        assert not answer.degraded
        assert len(set(shown(answer))) == 6
        assert [one.score for one in answer.intents] == sorted((one.score for one in answer.intents), reverse=True)
        assert answer.model_id == bundle.model_id
    alone = bundle.predict([as_request(rows, line="toppop", session=None)])
    assert alone == answers[:1], "an answer does not depend on what it is asked together with"


@pytest.mark.parametrize("model", MODELS)
def test_a_newcomer_without_a_session_gets_a_list(bundle: IntentBundle, model: str) -> None:
    """Cold start: nobody, nothing done, no time."""
    set_up(bundle, model=model)
    answer = ask(bundle, {})
    assert len(shown(answer)) == 6
    assert answer.source == ("evgen" if model == "evgen" else "toppop")
    assert not answer.degraded, "a context that says nothing is no failure"


@pytest.mark.parametrize("model", MODELS)
def test_names_that_training_never_saw(bundle: IntentBundle, model: str) -> None:
    set_up(bundle, model=model)
    row = {"timestamp": "2025-05-05T09:00:00", "kind": "event", "name": "never", "text": "never"}
    answer = ask(bundle, {"operator": "never", "line": "never", "events": [row, row | {"kind": "intent"}]})
    assert len(shown(answer)) == 6


@pytest.mark.parametrize("model", MODELS)
def test_late_and_repeated_rows_change_nothing(bundle: IntentBundle, rows: list[dict[str, Any]], model: str) -> None:
    """A model that remembers a session and one that reads it afresh say the same of any order of arrival."""
    set_up(bundle, model=model)
    request = as_request(rows[-4:])
    expected = ask(bundle, request | {"session": None})
    for number, order in enumerate(permutations(request["events"])):
        arrived = request | {"events": [*order, order[number % 4]]}
        for session in (None, "same"):
            answer = ask(bundle, arrived | {"session": session})
            assert shown(answer) == shown(expected)
            assert [one.score for one in answer.intents] == pytest.approx([one.score for one in expected.intents])


@pytest.mark.parametrize("model", MODELS)
def test_rights_are_filtered_before_the_list_is_cut(
    bundle: IntentBundle, rows: list[dict[str, Any]], model: str
) -> None:
    """An operator who may open the six least likely intents gets just these, not an empty screen."""
    set_up(bundle, model=model)
    every = [*bundle.tokenizer.intents]
    ranked = ask(bundle, as_request(rows, rights=every))
    allowed = [name for name in every if name not in shown(ranked)][-6:]
    few = ask(bundle, as_request(rows, rights=allowed, session=None))
    assert sorted(shown(few)) == sorted(allowed)
    assert shown(ask(bundle, as_request(rows, rights=[]))) == []
    assert shown(ask(bundle, as_request(rows, rights=["no such intent"]))) == []


def test_a_line_s_own_suggestions_are_told_apart(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    set_up(bundle, lists=ListSettings(defaults=("Call a colleague",)))
    answer = ask(bundle, as_request(rows, rights=["Call a colleague"]))
    assert (answer.source, answer.degraded) == ("default", False)
    assert [(one.id, one.reason) for one in answer.intents] == [("Call a colleague", "line_default")]


def test_procedures_are_shown_while_they_are_valid(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    request = as_request(rows)
    first = shown(ask(bundle, request))[0]
    bundle.recommender.validity[first] = Validity(until=rows[-1]["timestamp"])
    assert first not in shown(ask(bundle, request))
    earlier = (rows[-1]["timestamp"] - timedelta(seconds=1)).isoformat()
    assert first in shown(ask(bundle, request | {"now": earlier}))


def test_only_the_line_s_context_events_are_read(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    intents = as_request([row for row in rows if row["kind"] == "intent"])
    for model in MODELS[:2]:
        set_up(bundle, model=model, context_events=())
        assert ask(bundle, as_request(rows, now=intents["now"])).intents == ask(bundle, intents).intents
        set_up(bundle, model=model)
        assert ask(bundle, as_request(rows)).intents != ask(bundle, intents).intents


def test_opened_intents_are_hidden_where_the_line_says_so(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    opened = {row["name"] for row in rows if row["kind"] == "intent"}
    set_up(bundle, model="markov", lists=ListSettings(hide_opened=True))
    assert not opened & set(shown(ask(bundle, as_request(rows))))


def test_a_session_of_the_greatest_length(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    start = rows[0]["timestamp"]
    many = [rows[place % len(rows)] | {"timestamp": start + timedelta(seconds=place)} for place in range(MAX_ROWS)]
    assert len(shown(ask(bundle, as_request(many)))) == 6


def test_a_busy_memory_hands_on_to_markov(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    with bundle.recommender._memory:
        busy = ask(bundle, as_request(rows))
        nameless = ask(bundle, as_request(rows, session=None))
    assert (busy.source, busy.degraded) == ("markov", True)
    assert (nameless.source, nameless.degraded) == ("evgen", False), "what is not remembered waits for nobody"
    assert ask(bundle, as_request(rows)).source == "evgen"


def test_many_screens_at_once_get_their_own_answers(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    """One memory behind one lock: sessions that grow at the same time in several threads do not mix."""
    requests = {
        f"{name}": [as_request(rows[:size], session=name, operator=name) for size in range(1, len(rows), 3)]
        for name in map(str, range(4))
    }
    expected = {name: [ask(bundle, one | {"session": None}) for one in some] for name, some in requests.items()}
    found: dict[str, list[IntentAnswer]] = {}

    def screen(name: str) -> None:
        found[name] = [ask(bundle, one) for one in requests[name]]

    threads = [threading.Thread(target=screen, args=(name,)) for name in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, answers in found.items():
        for answer, right in zip(answers, expected[name], strict=True):
            if answer.source == "evgen":  # else the machine was too busy, and says so
                assert shown(answer) == shown(right)
            else:
                assert answer.degraded


def test_nameless_sessions_are_not_remembered(bundle: IntentBundle, rows: list[dict[str, Any]]) -> None:
    bundle.predict([as_request(rows, session=None), as_request(rows, session="")])
    assert len(bundle.recommender.live) == 0
    bundle.predict([as_request(rows, session=5)])
    assert "5" in bundle.recommender.live
    assert isinstance(bundle.recommender.live, LiveSessions)


def test_redis_answers_for_the_bundle_and_its_end_is_marked(
    bundle: IntentBundle, rows: list[dict[str, Any]], redis_server: RedisServer
) -> None:
    """Only what would have come from Redis is marked; nothing stops."""
    table, prefix = bundle.recommender.tables["all"], prefix_of(bundle.tokenizer.digest)
    client = connect(redis_server.url)
    publish(client, prefix, table)
    bundle.recommender.store = GuardedTable(RedisTable(client, prefix), table, pause_seconds=0)
    lines = {name: LineConfiguration(model="markov", markov_context=name) for name in ("all", "intents")}
    bundle.recommender.configuration = Configuration(lines=lines | {"evgen": LineConfiguration()})
    asked = [as_request(rows, line=line, session=None) for line in ("all", "intents", "evgen")]
    shared = bundle.predict(asked)
    assert [answer.degraded for answer in shared] == [False, False, False]
    redis_server.stop()
    alone = bundle.predict(asked)
    assert [answer.degraded for answer in alone] == [True, False, False]
    assert [shown(answer) for answer in alone] == [shown(answer) for answer in shared]
    redis_server.start()
    publish(client, prefix, table)
    assert [answer.degraded for answer in bundle.predict(asked)] == [False, False, False]
    client.close()


def test_a_server_whose_settings_name_a_redis_reads_it(
    intent_run: IntentRun, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]
) -> None:
    from frontdesk.settings import settings

    monkeypatch.setenv("FRONTDESK_REDIS", redis_server.url)
    settings.cache_clear()
    try:
        bundle = load_intents(intent_run.bundle)
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    store = bundle.recommender.store
    assert isinstance(store, GuardedTable)
    set_up(bundle, model="markov")
    assert ask(bundle, as_request(rows)).degraded, "nothing is published yet"
    assert store.failures == 1
