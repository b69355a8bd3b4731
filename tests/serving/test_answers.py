"""The server answers what the bundle answers in process, in V1, V2 JSON, V2 binary and gRPC."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

from frontdesk.bundle import Bundle
from frontdesk.records import Prediction
from frontdesk.serving.sdk import InferInput, InferRequest, InferResponse
from tests.hostile import hostile_rows
from tests.serving.process import ServerProcess

V1, V2 = "/v1/models/ticket:predict", "/v2/models/ticket/infer"
JSON = {"content-type": "application/json"}
TICKET = {
    "subject": "Card blocked",
    "body": "<p>my card was blocked in the shop</p>",
    "channel": "email",
    "account_age_days": 12,
    "order_total": 19.99,
    "created_at": "2024-03-01T10:00:00+01:00",
}


@pytest.fixture(scope="session")
def bundle(ticket_bundle: Path) -> Bundle:
    """Return the served bundle, opened here."""
    return Bundle.load(ticket_bundle)


def tensors(bundle: Bundle, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return instances as V2 inputs: a text that is null as an empty string, a number that is null as null."""
    return [
        {
            "name": name,
            "datatype": datatype,
            "shape": [len(rows)],
            "data": [_cell(row.get(name), datatype) for row in rows],
        }
        for name in bundle.spec.fields
        for datatype in ["FP64" if name in bundle.spec.numeric and name != "created_at" else "BYTES"]
    ]


def _cell(value: Any, datatype: str) -> Any:
    return "" if value is None and datatype == "BYTES" else value


def v2_outputs(content: dict[str, Any]) -> dict[str, list[Any]]:
    """Return ``{output: values}``."""
    for output in content["outputs"]:
        assert output["shape"] == [len(output["data"])]
    return {output["name"]: output["data"] for output in content["outputs"]}


def assert_same(bundle: Bundle, outputs: dict[str, list[Any]], expected: list[Prediction]) -> None:
    """Assert that V2 outputs say what predictions say."""
    for head in bundle.spec.labels:
        answers = [prediction.labels[head] for prediction in expected]
        assert outputs[head] == [answer.label for answer in answers]
        assert outputs[f"{head}_decision"] == [answer.decision for answer in answers]
        assert outputs[f"{head}_reason"] == [answer.reason for answer in answers]
        assert outputs[f"{head}_backoff"] == [answer.backoff.label if answer.backoff else "" for answer in answers]
        np.testing.assert_allclose(outputs[f"{head}_confidence"], [answer.confidence for answer in answers], atol=1e-6)
        for found, answer in zip(outputs[f"{head}_alternatives"], answers, strict=True):
            assert [one["label"] for one in orjson.loads(found)] == [one.label for one in answer.alternatives]


def test_v1_has_the_stable_form(server: ServerProcess, bundle: Bundle) -> None:
    response = server.client.post(V1, json={"instances": [TICKET]})
    assert response.headers["content-type"] == "application/json"
    (prediction,) = response.json()["predictions"]
    assert prediction["model_id"] == bundle.model_id
    assert list(prediction["labels"]) == list(bundle.spec.labels)
    for head, answer in prediction["labels"].items():
        assert set(answer) - {"backoff"} == {"label", "confidence", "alternatives", "decision", "level", "reason"}
        assert answer["label"] in bundle.spec.labels[head]
        assert 0 < answer["confidence"] <= 1
        assert answer["alternatives"]
        assert all(set(one) == {"label", "confidence"} for one in answer["alternatives"])
        assert answer["decision"] in ("auto", "suggest", "abstain")
        assert answer["reason"]
    (expected,) = bundle.predict([TICKET])
    assert prediction["labels"]["contact_type"]["label"] == expected.labels["contact_type"].label


def test_an_empty_ticket_and_no_ticket_get_answers(server: ServerProcess, bundle: Bundle) -> None:
    (empty,) = server.client.post(V1, json={"instances": [{}]}).json()["predictions"]
    assert {answer["decision"] for answer in empty["labels"].values()} <= {"suggest", "abstain"}
    assert server.client.post(V1, json={"instances": []}).json() == {"predictions": []}
    outputs = server.client.post(V2, json={"inputs": tensors(bundle, [])}).json()["outputs"]
    assert [output["data"] for output in outputs] == [[]] * len(outputs)


@pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_v1_gives_the_labels_of_the_bundle_on_hostile_rows(server: ServerProcess, bundle: Bundle, count: int) -> None:
    rows = hostile_rows(count, levels=bundle.spec.categorical["channel"], words=bundle.spec.vocabulary[:200])
    different = 0
    for start in range(0, len(rows), 500):
        batch = rows[start : start + 500]
        response = server.client.post(V1, content=orjson.dumps({"instances": batch}), headers=JSON)
        assert response.status_code == 200, response.text
        for one, expected in zip(response.json()["predictions"], bundle.predict(batch), strict=True):
            for head, answer in expected.labels.items():
                found = one["labels"][head]
                if (found["label"], found["decision"]) != (answer.label, answer.decision):
                    # Two processes may choose engines that add in another order: only a tie may break otherwise.
                    assert abs(found["confidence"] - answer.confidence) < 1e-5
                    different += 1
    assert different <= 2


@pytest.mark.parametrize("binary", [False, True])
def test_v2_gives_the_labels_of_the_bundle_on_hostile_rows(server: ServerProcess, bundle: Bundle, binary: bool) -> None:
    rows = hostile_rows(200, seed=2, words=bundle.spec.vocabulary[:200])
    inputs = tensors(bundle, rows)
    if binary:
        content, headers = _binary(inputs)
        response = server.client.post(V2, content=content, headers=headers)
    else:
        response = server.client.post(V2, content=orjson.dumps({"inputs": inputs, "id": "seven"}), headers=JSON)
    assert response.status_code == 200, response.text
    content = response.json()
    assert content["model_name"] == "ticket"
    assert content["model_version"] == bundle.model_id
    assert content["id"] == (response.headers["x-request-id"] if binary else "seven")
    assert_same(bundle, v2_outputs(content), bundle.predict(rows))


def _binary(inputs: list[dict[str, Any]]) -> tuple[bytes, dict[str, str]]:
    tails = []
    for tensor in inputs:
        data = tensor.pop("data")
        if tensor["datatype"] == "BYTES":
            encoded = [str(value).encode() for value in data]
            tails.append(b"".join(struct.pack("<I", len(value)) + value for value in encoded))
        else:
            tails.append(np.array(data, np.float64).tobytes())  # None becomes NaN
        tensor["parameters"] = {"binary_data_size": len(tails[-1])}
    head = orjson.dumps({"inputs": inputs})
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return b"".join([head, *tails]), headers


def test_v2_takes_columns_of_shape_n_1_and_other_numbers(server: ServerProcess, bundle: Bundle) -> None:
    inputs = [
        {"name": "body", "datatype": "BYTES", "shape": [2, 1], "data": [["lost card"], [None]]},
        {"name": "account_age_days", "datatype": "INT32", "shape": [2, 1], "data": [3, None]},
        {"name": "channel", "datatype": "BOOL", "shape": [2], "data": [True, False]},
    ]
    response = server.client.post(V2, json={"inputs": inputs})
    expected = bundle.predict([{"body": "lost card", "account_age_days": 3, "channel": True}, {"channel": False}])
    assert_same(bundle, v2_outputs(response.json()), expected)


def test_v2_sends_only_the_outputs_asked_for_and_binary_ones_behind(server: ServerProcess, bundle: Bundle) -> None:
    body = {
        "inputs": tensors(bundle, [TICKET, {}]),
        "outputs": [{"name": "reply"}, {"name": "reply_confidence", "parameters": {"binary_data": True}}],
    }
    response = server.client.post(V2, json=body)
    length = int(response.headers["inference-header-content-length"])
    content = orjson.loads(response.content[:length])
    assert [output["name"] for output in content["outputs"]] == ["reply", "reply_confidence"]
    expected = [prediction.labels["reply"] for prediction in bundle.predict([TICKET, {}])]
    assert content["outputs"][0]["data"] == [answer.label for answer in expected]
    confidence = np.frombuffer(response.content[length:], "<f8")
    np.testing.assert_allclose(confidence, [answer.confidence for answer in expected], atol=1e-6)


def test_the_sdks_own_reader_understands_a_binary_answer(server: ServerProcess, bundle: Bundle) -> None:
    body = {"inputs": tensors(bundle, [TICKET]), "parameters": {"binary_data_output": True}}
    response = server.client.post(V2, json=body)
    found = InferResponse.from_bytes(response.content, int(response.headers["inference-header-content-length"]))
    outputs = {output.name: list(output.data) for output in found.outputs}
    assert_same(bundle, outputs, bundle.predict([TICKET]))


def test_metadata_names_every_field_and_the_model_id(server: ServerProcess, bundle: Bundle) -> None:
    content = server.client.get("/v2/models/ticket").json()
    assert content["versions"] == [bundle.model_id]
    assert [tensor["name"] for tensor in content["inputs"]] == bundle.spec.fields
    assert {"name": "order_total", "datatype": "FP64", "shape": [-1]} in content["inputs"]
    assert {"name": "reply_confidence", "datatype": "FP64", "shape": [-1]} in content["outputs"]
    answered = server.client.post(V2, json={"inputs": tensors(bundle, [TICKET])}).json()["outputs"]
    assert [output["name"] for output in answered] == [tensor["name"] for tensor in content["outputs"]]
    assert server.client.get("/v2").json()["extensions"] == ["binary_tensor_data"]


class Rpc:
    """gRPC calls of KServe's service."""

    def __init__(self, port: int) -> None:
        from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
        from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

        self.messages = messages
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = GRPCInferenceServiceStub(self.channel)


@pytest.mark.parametrize("raw", [False, True])
def test_grpc_gives_the_labels_of_the_bundle(server: ServerProcess, bundle: Bundle, grpc_port: int, raw: bool) -> None:
    rows = hostile_rows(60, seed=3, words=bundle.spec.vocabulary[:200])
    inputs = []
    for tensor in tensors(bundle, rows):
        one = InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        kind = np.float64 if tensor["datatype"] == "FP64" else np.object_
        data = [value.encode() if isinstance(value, str) else value for value in tensor["data"]]
        one.set_data_from_numpy(np.array(data, kind), binary_data=raw)
        inputs.append(one)
    rpc = Rpc(grpc_port)
    with rpc.channel:
        answer = InferResponse.from_grpc(rpc.stub.ModelInfer(InferRequest("ticket", inputs, "eight").to_grpc()))
    assert answer.id == "eight"
    assert answer.model_version == bundle.model_id
    outputs = {
        output.name: [value.decode() if isinstance(value, bytes) else value for value in output.data]
        for output in answer.outputs
    }
    assert_same(bundle, outputs, bundle.predict(rows))


def test_grpc_refuses_as_http_does(server: ServerProcess, grpc_port: int) -> None:
    rpc = Rpc(grpc_port)
    wrong = [InferInput("body", [3], "BYTES", [b"x"])]
    load = rpc.messages.RepositoryModelLoadRequest(model_name="ticket")
    unload = rpc.messages.RepositoryModelUnloadRequest(model_name="ticket")
    infer = rpc.stub.ModelInfer
    calls = [
        (infer, InferRequest("ticket", wrong).to_grpc(), "INVALID_ARGUMENT", "inputs.body: the shape says 3 values"),
        (infer, InferRequest("nobody", wrong).to_grpc(), "NOT_FOUND", "no model"),
        (rpc.stub.RepositoryModelLoad, load, "PERMISSION_DENIED", ""),
        (rpc.stub.RepositoryModelUnload, unload, "PERMISSION_DENIED", ""),
    ]
    with rpc.channel:
        for call, request, status, words in calls:
            with pytest.raises(grpc.RpcError) as caught:
                call(request)
            assert caught.value.code().name == status
            assert words in caught.value.details()
        assert rpc.stub.ServerReady(rpc.messages.ServerReadyRequest()).ready


def test_one_instance_is_explained_where_it_is_asked_for(server: ServerProcess) -> None:
    body = {"instances": [TICKET], "parameters": {"explain": True}}
    (answer,) = server.client.post(V1, json=body).json()["predictions"]
    (plain,) = server.client.post(V1, json={"instances": [TICKET]}).json()["predictions"]
    assert answer.pop("explanation").keys() == plain["labels"].keys()
    assert answer == plain
    refused = server.client.post(V1, json=body | {"instances": [TICKET, TICKET]})
    assert (refused.status_code, "parameters.explain" in refused.text) == (400, True)
    assert 'frontdesk_explanations_total{model="ticket"} 1.0' in server.client.get("/metrics").text
    classical = next(name for name in server.client.get("/v1/models").json()["models"] if name != "ticket")
    (other,) = server.client.post(f"/v1/models/{classical}:predict", json=body).json()["predictions"]
    assert "explanation" not in other  # nothing of v1 is linear in the words
