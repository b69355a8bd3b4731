"""Is a request that carries only who asks answered with what is known of them, and how when that is missing?"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from frontdesk.errors import InvalidRequest
from frontdesk.feature_repo import open_join, open_reader
from frontdesk.feature_repo.materialising import materialise
from frontdesk.feature_repo.repository import open_repository
from frontdesk.features import FoundFeatures
from frontdesk.golden_questions import count_wrong, golden_questions
from frontdesk.intent.columns import convert, with_features
from frontdesk.intent.opening import IntentBundle, load_intents
from frontdesk.serving.features import FeatureBundle, TimedReader
from frontdesk.serving.features import with_features as with_store
from frontdesk.simulation.errands import LINES
from frontdesk.simulation.histories import write_feature_tables
from tests.history_bundles import features_at
from tests.incident_bundles import MAPPING, IncidentRun
from tests.serving.process import ServerProcess

assert MAPPING.features is not None
NAMES = sorted(MAPPING.features.names)
NOW = datetime(2025, 3, 20, 12, 10, tzinfo=UTC)
OPENED = {"timestamp": "2025-03-20T12:09:00Z", "kind": "intent", "name": "identify_client"}


@pytest.fixture(scope="module")
def plain(incident_run: IncidentRun) -> IntentBundle:
    return load_intents(incident_run.run.bundle)


@pytest.fixture(scope="module")
def filled_store(incident_run: IncidentRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What had been written down by `NOW`, in a SQLite beside the tables."""
    folder = tmp_path_factory.mktemp("known")
    known = {
        view: table.filter(pc.less_equal(table["created"], pa.scalar(NOW, table["created"].type)))
        for view, table in incident_run.simulated.features.items()
    }
    write_feature_tables(known, folder)
    materialise(open_repository(str(folder)), NOW)
    return folder


@pytest.fixture
def served(plain: IntentBundle, filled_store: Path) -> FeatureBundle:
    """The bundle as a server opens it."""
    with features_at(filled_store):
        made = with_store(plain, open_reader, deadline_seconds=30)
    assert isinstance(made, FeatureBundle)
    return made


def requests(incident_run: IncidentRun) -> list[dict[str, Any]]:
    """Return a request of every line, by operators that the store knows, at `NOW`."""
    operators = sorted(set(incident_run.simulated.table["operator"].to_pylist()))[: len(LINES)]
    asked = [
        {"session": f"s{place}", "operator": operator, "line": line, "now": NOW.isoformat()}
        for place, (line, operator) in enumerate(zip(LINES, operators, strict=True))
    ]
    return [request | {"events": [OPENED][: place % 2]} for place, request in enumerate(asked)]


def joined(incident_run: IncidentRun, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return requests that carry the features of the training-time join themselves."""
    assert MAPPING.features is not None
    values: dict[str, list[Any]] = dict.fromkeys(MAPPING.roles.values(), [None] * len(asked))
    values |= {"session_id": [one["session"] for one in asked], "timestamp": [NOW] * len(asked)}
    values |= {name: [one[name] for one in asked] for name in ("operator", "line")}
    values |= {"kind": ["intent"] * len(asked), "name": ["identify_client"] * len(asked)}
    rows, _ = convert(values, range(len(asked)), MAPPING, where="requests")
    with features_at(incident_run.features), open_join(MAPPING.features) as join:
        found: pa.Table = with_features(rows, MAPPING, join)
    return [
        one | {name: row[f"feature:{name}"] for name in NAMES}
        for one, row in zip(asked, found.to_pylist(), strict=True)
    ]


def test_golden_questions_leave_nothing_to_the_store(incident_run: IncidentRun, served: FeatureBundle) -> None:
    """Else a good candidate whose store knows an operator would answer them wrongly, and be rolled back."""
    questions = golden_questions(str(incident_run.run.bundle))
    asked = [one["instance"] for one in questions]
    assert all(one.get(name) is not None for one in asked for name in NAMES)
    assert count_wrong(questions, orjson.loads(served.dump(served.predict(asked)))) == 0


def test_the_lines_state_gives_the_answers_of_the_training_time_join(
    served: FeatureBundle, plain: IntentBundle, incident_run: IncidentRun
) -> None:
    asked = requests(incident_run)
    with_values = joined(incident_run, asked)
    assert len({one["queue_length"] for one in with_values}) > 2
    assert all(one["open_incident"] is not None for one in with_values)
    by_join, by_key = plain.predict(with_values), served.predict(asked)
    assert by_key == by_join
    assert b"missing_features" not in served.dump(by_key)
    nothing = plain.predict(asked)
    assert [one.intents for one in nothing] != [one.intents for one in by_join]


def test_what_nobody_knows_takes_the_training_default_and_is_told(served: FeatureBundle, plain: IntentBundle) -> None:
    for who in ({"line": "never"}, {"line": None}, {}):
        request = {"operator": "operator-01", "now": NOW.isoformat(), **who}
        answer = served.predict([request])[0]
        assert (answer.missing_features, answer.degraded) == (NAMES, False)
        assert answer.intents == plain.predict([request])[0].intents
        assert b'"missing_features":["open_incident","queue_length"]' in served.dump([answer])


def test_an_old_state_is_missing_and_degrades(served: FeatureBundle) -> None:
    late = (NOW + timedelta(hours=3)).isoformat()
    answer = served.predict([{"operator": "operator-01", "line": "cards", "now": late}])[0]
    assert (answer.missing_features, answer.degraded) == (NAMES, True)
    own = {"open_incident": "outage", "queue_length": 9}
    assert not hasattr(served.predict([{"line": "cards", "now": late} | own])[0], "missing_features")


@pytest.mark.parametrize("instance", [{"line": ["cards"]}, {"queue_length": "many"}, {"customer": "C1"}, 7])
def test_bad_requests_are_told_as_ever(served: FeatureBundle, instance: Any) -> None:
    for check in (served.predict, served.validate):
        with pytest.raises(InvalidRequest, match=r"instances\[1\]"):
            check([{"line": "cards"}, instance])


class Hanging:
    """A store that never answers in time."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def read(self, keys: Mapping[str, Sequence[str | None]], moments: Sequence[float]) -> list[FoundFeatures]:
        self.go.wait()
        return [FoundFeatures({}) for _ in moments]


def test_a_store_that_hangs_costs_its_deadline(plain: IntentBundle) -> None:
    store = Hanging()
    assert MAPPING.features is not None
    bundle = FeatureBundle(plain, MAPPING.features, TimedReader(store, deadline_seconds=0.01))
    answer = bundle.predict([{"line": "cards"}])[0]
    assert (answer.missing_features, answer.degraded, len(answer.intents)) == (NAMES, True, 6)
    store.go.set()


def test_both_shapes_of_a_server_read_the_features(
    filled_store: Path, incident_run: IncidentRun, served: FeatureBundle, tmp_path: Path
) -> None:
    """The transformer reads the store, the predictor holds the network; the answers are those of one process."""
    asked = [*requests(incident_run), {"line": "never", "now": NOW.isoformat()}]
    expected = orjson.loads(served.dump(served.predict(asked)))
    bundle = incident_run.run.bundle
    with (
        features_at(filled_store, features_deadline_ms=30_000),
        ServerProcess.of_bundles(tmp_path / "p.jsonl", bundle, arguments=("--role", "predictor")) as predictor,
        ServerProcess.of_bundles(
            tmp_path / "t.jsonl", bundle, arguments=("--predictor-host", predictor.url.removeprefix("http://"))
        ) as transformer,
    ):
        answers = transformer.client.post("/v1/models/intent:predict", json={"instances": asked}).json()["predictions"]
        counted = transformer.client.get("/metrics").text
        inputs = {one["name"] for one in transformer.client.get("/v2/models/intent").json()["inputs"]}
    assert [one["source"] for one in answers] == ["evgen"] * len(asked)
    for got, one in zip(answers, expected, strict=True):
        assert got.get("missing_features") == one.get("missing_features")
        assert [each["id"] for each in got["intents"]] == [each["id"] for each in one["intents"]]
    assert 'frontdesk_missing_features_total{feature="open_incident",model="intent",reason="unknown"} 1.0' in counted
    assert set(NAMES) <= inputs
