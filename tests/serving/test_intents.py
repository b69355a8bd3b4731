"""The intent recipe behind the real server, in V1, V2 and gRPC: answers, refusals, settings per line, a lost Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontdesk.bundle import Bundle
from frontdesk.intent.configuration import Configuration, LineConfiguration
from frontdesk.intent.opening import IntentBundle, load_intents
from frontdesk.intent.redis_store import prefix_of, publish
from frontdesk.redis_connection import connect
from tests.intent_bundles import IntentRun, as_request, shown, with_configuration
from tests.redis_server import RedisServer
from tests.serving.process import ServerProcess, free_port

V1, V2 = "/v1/models/intent:predict", "/v2/models/intent/infer"
JSON = {"content-type": "application/json"}
LINES = {model: LineConfiguration(model=model) for model in ("evgen", "markov", "toppop")}
ROW = {"timestamp": "2025-05-05T09:00:00Z", "kind": "event", "name": "click"}


@pytest.fixture(scope="module")
def served(intent_run: IntentRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small bundle with one line for each model."""
    return with_configuration(intent_run.bundle, Configuration(lines=LINES), tmp_path_factory.mktemp("served") / "b")


@pytest.fixture(scope="module")
def bundle(served: Path) -> IntentBundle:
    return load_intents(served)


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(served: Path, grpc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("intent-server") / "log.jsonl"
    with ServerProcess.of_bundles(log, served, arguments=("--grpc-port", str(grpc_port))) as running:
        yield running


@pytest.fixture(scope="module")
def requests(intent_run: IntentRun) -> list[dict[str, Any]]:
    """Requests of a growing session on each line, and newcomers."""
    rows = [row for row in intent_run.test_rows() if row["session"] == intent_run.test_rows()[0]["session"]]
    grown = [as_request(rows[:size], line=line) for line in LINES for size in range(1, len(rows) + 1)]
    return [*grown, {}, {"line": "markov", "operator": 7}, {"rights": []}]


def ask(server: ServerProcess, *instances: dict[str, Any]) -> list[dict[str, Any]]:
    response = server.client.post(V1, json={"instances": instances})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


def tensors(instances: list[dict[str, Any]], bundle: Bundle) -> list[dict[str, Any]]:
    """Return instances as V2 inputs: lists as JSON, what is missing as null."""
    return [
        {
            "name": name,
            "datatype": "BYTES",
            "shape": [len(instances)],
            "data": [_cell(instance.get(name), kind) for instance in instances],
        }
        for name, kind in bundle.inputs.items()
    ]


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    return orjson.dumps(value).decode() if kind == "json" else str(value)


def test_v1_answers_what_the_bundle_answers(
    server: ServerProcess, bundle: IntentBundle, requests: list[dict[str, Any]]
) -> None:
    """One by one, as screens ask, and all at once."""
    expected = bundle.predict(requests)
    for found in (ask(server, *requests), [ask(server, request)[0] for request in requests]):
        for answer, right in zip(found, expected, strict=True):
            assert (answer["source"], answer["degraded"]) == (right.source, False)
            assert [one["id"] for one in answer["intents"]] == shown(right)
            assert [one["score"] for one in answer["intents"]] == pytest.approx(
                [one.score for one in right.intents], rel=1e-4
            )
            assert answer.keys() == {"model_id", "source", "degraded", "intents"}
    assert {answer.source for answer in expected} == {"evgen", "markov", "toppop"}


def test_v2_answers_what_v1_answers(
    server: ServerProcess, bundle: IntentBundle, requests: list[dict[str, Any]]
) -> None:
    response = server.client.post(V2, json={"inputs": tensors(requests, bundle)})
    assert response.status_code == 200, response.text
    outputs = {one["name"]: one["data"] for one in response.json()["outputs"]}
    expected = ask(server, *requests)
    assert outputs["source"] == [answer["source"] for answer in expected]
    assert outputs["degraded"] == ["false"] * len(expected)
    assert [orjson.loads(ids) for ids in outputs["intents"]] == [
        [one["id"] for one in answer["intents"]] for answer in expected
    ]
    assert [orjson.loads(scores) for scores in outputs["scores"]] == [
        pytest.approx([one["score"] for one in answer["intents"]], rel=1e-4) for answer in expected
    ]


def test_v2_takes_missing_values_as_empty_texts(server: ServerProcess) -> None:
    names = ("session", "operator", "line", "events", "rights", "previous", "now")
    inputs = [{"name": name, "datatype": "BYTES", "shape": [1], "data": [""]} for name in names]
    outputs = {one["name"]: one["data"] for one in server.client.post(V2, json={"inputs": inputs}).json()["outputs"]}
    assert len(orjson.loads(outputs["intents"][0])) == 6


def test_grpc_answers_what_v1_answers(
    server: ServerProcess, grpc_port: int, bundle: IntentBundle, requests: list[dict[str, Any]]
) -> None:
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as service

    from frontdesk.serving.sdk import InferInput, InferRequest, InferResponse

    some = requests[:4]
    inputs = []
    for tensor in tensors(some, bundle):
        one = InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        one.set_data_from_numpy(np.array([(cell or "").encode() for cell in tensor["data"]], object))
        inputs.append(one)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        answer = InferResponse.from_grpc(stub.ModelInfer(InferRequest("intent", inputs).to_grpc()))
    intents = next(one for one in answer.outputs if one.name == "intents")
    found = [orjson.loads(text) for text in intents.as_numpy().reshape(-1)]
    assert found == [[one["id"] for one in right["intents"]] for right in ask(server, *some)]


def test_the_metadata_names_the_fields(server: ServerProcess) -> None:
    content = server.client.get("/v2/models/intent").json()
    assert {one["name"] for one in content["inputs"]} == {
        "session", "operator", "line", "events", "rights", "previous", "now",
    }  # fmt: skip
    assert [one["name"] for one in content["outputs"]] == ["source", "degraded", "intents", "scores"]


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        ("x", "instances[0]: must be an object, not text"),
        ({"evnts": []}, "instances[0].evnts: there is no such field"),
        ({"events": {}}, "instances[0].events: must be a list"),
        ({"events": [ROW, {}]}, "instances[0].events[1].kind: must be 'intent' or 'event'"),
        ({"events": [ROW | {"timestamp": "soon"}]}, "instances[0].events[0].timestamp: must be a time"),
        ({"events": [ROW | {"name": ""}]}, "instances[0].events[0].name: is missing"),
        ({"events": [ROW | {"colour": "red"}]}, "instances[0].events[0].colour: there is no such field"),
        ({"events": [ROW] * 4_001}, "instances[0].events: 4001 rows are more than 4000"),
        ({"session": "x" * 201}, "instances[0].session"),
        ({"rights": 3}, "instances[0].rights"),
        ({"previous": [{}]}, "instances[0].previous[0]"),
        ({"now": 3}, "instances[0].now: must be a time"),
    ],
)
def test_v1_names_what_is_wrong(server: ServerProcess, instance: Any, words: str) -> None:
    response = server.client.post(V1, json={"instances": [instance]})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "evnts"}, "inputs.evnts: there is no such field"),
        ({"data": ["[]", "{"]}, "inputs.events[1]: is not JSON"),
        ({"data": ["[]", '["x"]']}, "instances[1].events[0]: must be an object, not text"),
        ({"data": ["[]", "3"]}, "instances[1].events: must be a list"),
        ({"data": ["[]", 3]}, "inputs.events[1]: is not of the datatype BYTES"),
        ({"datatype": "FP32", "data": [1.0, 2.0]}, "inputs.events.datatype: must be BYTES"),
        ({"name": "now", "data": ["", "soon"]}, "instances[1].now: must be a time"),
    ],
)
def test_v2_names_what_is_wrong(server: ServerProcess, changes: dict[str, Any], words: str) -> None:
    tensor = {"name": "events", "datatype": "BYTES", "shape": [2], "data": ["[]", "[]"]} | changes
    response = server.client.post(V2, json={"inputs": [tensor]})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert words in response.json()["error"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["timestamp", "kind", "name", "fields", "text", "x"]), inner, max_size=4)
    ),
    max_leaves=6,
)
INSTANCES = st.dictionaries(
    st.sampled_from(["session", "operator", "line", "events", "rights", "previous", "now", "x"]),
    JSON_VALUES | st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(ROW, JSON_VALUES)), max_size=2),
    max_size=5,
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(instance=INSTANCES)
def test_whatever_is_sent_gets_200_or_400(server: ServerProcess, instance: dict[str, Any]) -> None:
    try:
        content = orjson.dumps({"instances": [instance]})
    except (TypeError, UnicodeEncodeError):  # a number or a text that JSON of ours cannot hold
        return
    response = server.client.post(V1, content=content, headers=JSON)
    assert response.status_code in (200, 400), response.text


def test_a_click_too_many_gives_nobody_an_error(server: ServerProcess) -> None:
    """A row delivered twice, out of order, from a screen whose clock is wrong: still suggestions."""
    rows = [ROW, ROW | {"timestamp": "2199-12-31T23:59:59Z"}, ROW | {"timestamp": "1970-01-02T00:00:00"}, ROW]
    for order in (rows, rows[::-1]):
        (answer,) = ask(server, {"session": "clock", "events": order})
        assert len(answer["intents"]) == 6


def test_a_long_batch_does_not_hold_up_the_probes(server: ServerProcess, requests: list[dict[str, Any]]) -> None:
    assert len(ask(server, *(requests * 50)[:1_000])) == min(1_000, 50 * len(requests))
    assert server.client.get("/v2/health/ready").status_code == 200


def test_redis_stopped_the_lists_go_on_from_the_bundle_and_are_marked(
    served: Path, bundle: IntentBundle, redis_server: RedisServer, requests: list[dict[str, Any]], tmp_path: Path
) -> None:
    client = connect(redis_server.url)
    prefix = prefix_of(bundle.tokenizer.digest)
    publish(client, prefix, bundle.recommender.tables["all"])
    command = ["-m", "frontdesk.serving", str(served)]
    markov = [request for request in requests if request.get("line") == "markov"]
    environment = {"FRONTDESK_REDIS": redis_server.url}
    with ServerProcess(command, tmp_path / "log.jsonl", environment=environment) as server:
        shared = ask(server, *markov)
        assert not any(answer["degraded"] for answer in shared)
        redis_server.stop()
        alone = ask(server, *markov)
        assert all(answer["degraded"] for answer in alone)
        assert [answer["intents"] for answer in alone] == [answer["intents"] for answer in shared]
        assert not any(answer["degraded"] for answer in ask(server, {"line": "evgen"}, {"line": "toppop"}))
        redis_server.start()
        publish(client, prefix, bundle.recommender.tables["all"])
        deadline = time.monotonic() + 30
        while ask(server, markov[0])[0]["degraded"]:
            assert time.monotonic() < deadline, "the server never came back to Redis"
            time.sleep(0.1)
    client.close()
