"""Is a request that carries only keys answered as its training row was, and how when features are missing?"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from frontdesk.bundle.labels import LabelBundle
from frontdesk.errors import InvalidRequest
from frontdesk.feature_repo import open_reader
from frontdesk.feature_repo.joining import PointInTime
from frontdesk.feature_repo.materialising import materialise
from frontdesk.feature_repo.repository import open_repository
from frontdesk.features import FoundFeatures
from frontdesk.serving.features import FeatureBundle, TimedReader, with_features
from frontdesk.tables import schema_of
from tests.history_bundles import MAPPING, HistoryRun, features_at, request_of, requests_of
from tests.redis_server import RedisServer
from tests.serving.process import ServerProcess

assert MAPPING.features is not None
NAMES = sorted(MAPPING.features.names)


def test_feast_leaves_the_process_and_its_children_as_they_were() -> None:
    code = (
        "import os; before = dict(os.environ); import frontdesk.feature_repo.sdk; assert dict(os.environ) == before;"
        "from prometheus_client import values; assert values.ValueClass is values.MutexValue"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def plain(history_run: HistoryRun) -> LabelBundle:
    return LabelBundle.load(history_run.bundle)


@pytest.fixture(scope="module")
def newest(history_run: HistoryRun) -> pa.Table:
    """One ticket of every customer, as if all came an hour after the last row of history was written down."""
    rows = {row["customer_id"]: row for row in history_run.simulated.tickets.to_pylist()}
    written = history_run.simulated.features["customer_history"]["created"].to_pylist()
    now = max(written) + timedelta(hours=1)
    schema = history_run.simulated.tickets.schema
    return pa.Table.from_pylist([row | {"created_at": now} for row in rows.values()], schema=schema)


@pytest.fixture(scope="module")
def filled_store(history_run: HistoryRun, newest: pa.Table) -> Path:
    """The feature tables with a SQLite that is up to date at the newest tickets' time."""
    materialise(open_repository(str(history_run.features)), newest["created_at"][0].as_py())
    return history_run.features


@pytest.fixture
def served(plain: LabelBundle, filled_store: Path) -> FeatureBundle:
    """The bundle as a server opens it."""
    with features_at(filled_store):
        made = with_features(plain, open_reader, deadline_seconds=30)
    assert isinstance(made, FeatureBundle)
    return made


def joined(history_run: HistoryRun, tickets: pa.Table) -> list[dict[str, Any]]:
    """Return requests that carry the features of the training-time join themselves."""
    schema = schema_of(MAPPING)
    rows = pa.RecordBatch.from_pylist(
        [row | {"row": place} for place, row in enumerate(tickets.to_pylist())], schema=schema
    )
    repository = open_repository(str(history_run.features))
    with repository.offline_session([repository.views["customer_history"]]):
        found = PointInTime(repository, MAPPING.features)(rows).to_pylist()
    plain = requests_of(tickets)
    return [
        {name: value for name, value in request.items() if name != "customer_id"} | {name: row[name] for name in NAMES}
        for request, row in zip(plain, found, strict=True)
    ]


def test_keys_give_the_answers_of_the_training_time_join(
    served: FeatureBundle, plain: LabelBundle, history_run: HistoryRun, newest: pa.Table
) -> None:
    by_join, by_key = plain.predict(joined(history_run, newest)), served.predict(requests_of(newest))
    assert len(by_key) > 30
    assert [answer.labels for answer in by_key] == [answer.labels for answer in by_join]
    assert any(answer.missing_features is None for answer in by_key)
    assert all(answer.degraded is None or answer.missing_features for answer in by_key)


def test_a_history_changes_the_answer_to_a_text_that_says_nothing(served: FeatureBundle, newest: pa.Table) -> None:
    asking = [request | {"subject": None, "body": "Any news?"} for request in requests_of(newest)]
    labels = {answer.labels["contact_type"].label for answer in served.predict(asking)}
    assert len(labels) > 2
    nobody = [request | {"customer_id": "nobody"} for request in asking]
    assert len({answer.labels["contact_type"].label for answer in served.predict(nobody)}) < len(labels)


def test_values_of_the_request_win(served: FeatureBundle, plain: LabelBundle, newest: pa.Table) -> None:
    request = request_of(newest.to_pylist()[0])
    own = dict.fromkeys(NAMES, 2.0) | {"last_contact_type": "Delivery > Late"}
    answer = served.predict([request | own])[0]
    expected = plain.predict([{name: one for name, one in (request | own).items() if name != "customer_id"}])[0]
    assert answer == expected
    some = served.predict([request | {"last_contact_type": "Delivery > Late"}])[0]
    assert some != served.predict([request])[0] or some.missing_features is None


def test_nobody_knows_a_customer(served: FeatureBundle, plain: LabelBundle, newest: pa.Table) -> None:
    request = request_of(newest.to_pylist()[0])
    without = {name: value for name, value in request.items() if name != "customer_id"}
    for unknown in (request | {"customer_id": "nobody"}, request | {"customer_id": None}, without):
        answer = served.predict([unknown])[0]
        assert (answer.missing_features, answer.degraded) == (NAMES, None)
        assert answer.labels == plain.predict([without])[0].labels


def test_old_values_are_missing_and_said_to_be(served: FeatureBundle, newest: pa.Table) -> None:
    request = request_of(newest.to_pylist()[0]) | {"created_at": "2026-01-01T00:00:00+00:00"}
    answer = served.predict([request])[0]
    assert (answer.missing_features, answer.degraded) == (NAMES, True)
    assert b'"degraded":true' in served.dump([answer])


def test_complete_answers_have_the_form_of_any_other(served: FeatureBundle, newest: pa.Table) -> None:
    request = request_of(newest.to_pylist()[0]) | dict.fromkeys(NAMES, 2.0) | {"last_contact_type": "A"}
    body = served.dump(served.predict([request]))
    assert b"missing_features" not in body
    assert b"degraded" not in body


@pytest.mark.parametrize("instance", [{"customer_id": ["C1"]}, {"customer_id": {}}, {"customer": "C1"}, {"body": 5}, 7])
def test_bad_requests_are_told_as_ever(served: FeatureBundle, instance: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"instances\[1\]"):
        served.predict([{"body": "x"}, instance])
    with pytest.raises(InvalidRequest, match=r"instances\[1\]"):
        served.validate([{"body": "x"}, instance])


def test_a_redis_that_hangs_costs_one_deadline(
    plain: LabelBundle, history_run: HistoryRun, redis_server: RedisServer, newest: pa.Table
) -> None:
    now = newest["created_at"][0].as_py()
    materialise(open_repository(str(history_run.features), redis=redis_server.url), now)
    with features_at(history_run.features, redis=redis_server.url):
        reader = open_reader(MAPPING.features, timeout_seconds=0.2)
    served = FeatureBundle(plain, MAPPING.features, TimedReader(reader, deadline_seconds=0.2, pause_seconds=0.05))
    requests = requests_of(newest)
    whole = served.predict(requests)
    assert not any(answer.degraded for answer in whole)
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    degraded = served.predict(requests)
    assert all(answer.degraded and answer.missing_features == NAMES for answer in degraded)
    redis_server.process.send_signal(signal.SIGCONT)
    threading.Event().wait(0.1)  # the pause
    assert served.predict(requests) == whole


class Hanging:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = 0

    def read(self, keys: Mapping[str, Sequence[str | None]], moments: Sequence[float]) -> list[FoundFeatures]:
        self.asked += 1
        self.go.wait()
        return [FoundFeatures({"tickets_7d": 1.0}) for _ in moments]


def test_a_store_that_keeps_failing_is_left_alone_for_a_moment() -> None:
    store = Hanging()
    reader = TimedReader(store, deadline_seconds=0.01, pause_seconds=3600)
    assert [reader.read({"customer": ["C1"]}, [0.0]) for _ in range(5)] == [None] * 5
    assert store.asked == 3
    store.go.set()


def test_one_slow_read_takes_the_features_from_nobody_else() -> None:
    store = Hanging()
    reader = TimedReader(store, deadline_seconds=1, pause_seconds=3600)
    assert reader.read({"customer": ["C1"]}, [0.0]) is None
    store.go.set()
    assert reader.read({"customer": ["C1"]}, [0.0]) == [FoundFeatures({"tickets_7d": 1.0})]
    assert TimedReader(None, deadline_seconds=1).read({"customer": ["C1"]}, [0.0]) is None


def test_a_server_reads_features_and_counts_missing_ones(
    history_run: HistoryRun, filled_store: Path, newest: pa.Table, tmp_path: Path, served: FeatureBundle
) -> None:
    requests = requests_of(newest)[:20]
    with (
        features_at(filled_store, features_deadline_ms=30_000),
        ServerProcess.of_bundles(tmp_path / "log.jsonl", history_run.bundle) as server,
    ):
        answers = server.client.post("/v1/models/ticket:predict", json={"instances": requests}).json()
        counted = server.client.get("/metrics").text
        metadata = server.client.get("/v2/models/ticket").json()
    expected = served.predict(requests)
    for got, answer in zip(answers["predictions"], expected, strict=True):
        assert got.get("missing_features") == answer.missing_features
        assert "degraded" not in got
        for head, label in answer.labels.items():  # another engine may be the faster one there
            assert got["labels"][head]["label"] == label.label
            assert got["labels"][head]["confidence"] == pytest.approx(label.confidence, abs=1e-4)
    assert 'frontdesk_missing_features_total{feature="last_contact_type",model="ticket",reason="unknown"}' in counted
    assert "customer_id" in {each["name"] for each in metadata["inputs"]}


def test_a_server_without_a_store_answers_and_says_so(
    history_run: HistoryRun, newest: pa.Table, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    with ServerProcess.of_bundles(log, history_run.bundle) as server:
        body = {"instances": requests_of(newest)[:2]}
        answers = server.client.post("/v1/models/ticket:predict", json=body).json()["predictions"]
    assert all(answer["degraded"] and answer["missing_features"] == NAMES for answer in answers)
    assert "features_not_opened" in log.read_text()
