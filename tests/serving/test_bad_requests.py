"""Whatever a caller sends gets an answer of the 400s that names the place; never 500, never our insides."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.process import ServerProcess

V1, V2 = "/v1/models/ticket:predict", "/v2/models/ticket/infer"
JSON = {"content-type": "application/json"}


def refused(response: httpx.Response, status: int, code: str, *words: str) -> None:
    """Assert that an answer is our error and holds some words."""
    assert response.status_code == status, response.text
    content = response.json()
    assert content["code"] == code
    for word in words:
        assert word in content["error"]
    assert response.headers["x-request-id"]


def text_tensor(values: list[Any], **changes: Any) -> dict[str, Any]:
    """Return a well-formed input, with changes."""
    return {"name": "body", "datatype": "BYTES", "shape": [len(values)], "data": values} | changes


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"instances": [{"body": NaN}]}', "line 1, column"),
        (b'{"instances": [{"body": "\\ud800"}]}', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b"{}", "instances"),
        (b'{"instances": null}', "instances: must be a list"),
        (b'{"instances": {"body": "x"}}', "instances: must be a list"),
        (b'{"instances": ["x"]}', "instances[0]: must be an object, not text"),
        (b'{"instances": [{}, null]}', "instances[1]: must be an object, not null"),
        (b'{"instances": [{}, {"bodi": "x"}]}', "instances[1].bodi: there is no such field"),
        (b'{"instances": [{}, {}, {"body": 3}]}', "instances[2].body: must be text or null, not a number"),
        (b'{"instances": [{"body": ["x"]}]}', "instances[0].body: must be text or null, not a list"),
        (b'{"instances": [{"channel": {}}]}', "instances[0].channel"),
        (b'{"instances": [{"order_total": "3"}]}', "instances[0].order_total: must be a number or null, not text"),
        (b'{"instances": [{"order_total": true}]}', "instances[0].order_total"),
        (b'{"instances": [{"created_at": "yesterday"}]}', "instances[0].created_at: must be ISO 8601"),
        (b'{"instances": [{"created_at": 3}]}', "instances[0].created_at"),
        (b'{"instances": [' + b"{}," * 1_000 + b"{}]}", "1001 instances are more than 1000"),
    ],
)
def test_v1(server: ServerProcess, body: bytes, words: str) -> None:
    refused(server.client.post(V1, content=body, headers=JSON), 400, "invalid_request", words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be an object"),
        (b"{}", "inputs: must be a list"),
        ({"inputs": []}, "at least one tensor"),
        ({"inputs": ["x"]}, "inputs[0]: must be an object"),
        ({"inputs": [{}]}, "inputs[0].name"),
        ({"inputs": [text_tensor(["x"], datatype=None)]}, "inputs.body.datatype: must be text"),
        ({"inputs": [text_tensor(["x"], shape=None)]}, "inputs.body.shape"),
        ({"inputs": [text_tensor(["x"], shape=["1"])]}, "inputs.body.shape"),
        ({"inputs": [text_tensor(["x"], shape=[True])]}, "inputs.body.shape"),
        ({"inputs": [text_tensor(["x"], data=None)]}, "inputs.body.data"),
        ({"inputs": [text_tensor(["x"], data="x")]}, "inputs.body.data"),
        ({"inputs": [text_tensor(["x"], parameters=[])]}, "inputs.body.parameters"),
        ({"inputs": [text_tensor(["x", "y"], shape=[3])]}, "inputs.body: the shape says 3 values, the data holds 2"),
        ({"inputs": [text_tensor(["x"], shape=[-1])]}, "inputs.body.shape: must be [N] or [N, 1]"),
        ({"inputs": [text_tensor(["x"], shape=[])]}, "inputs.body.shape"),
        ({"inputs": [text_tensor(["x"], shape=[1, 1, 1])]}, "inputs.body.shape"),
        ({"inputs": [text_tensor(["x"], shape=[10**18])]}, "more than"),
        ({"inputs": [text_tensor(["x"], datatype="FP32")]}, "inputs.body.datatype: must be BYTES, not FP32"),
        ({"inputs": [text_tensor(["x"], datatype="STRING")]}, "inputs.body.datatype"),
        ({"inputs": [text_tensor(["x", 3])]}, "inputs.body[1]: is not of the datatype BYTES"),
        ({"inputs": [text_tensor([["x", "y"]])]}, "inputs.body[0]"),
        ({"inputs": [text_tensor(["x"], name="bodi")]}, "inputs.bodi: there is no such field"),
        ({"inputs": [text_tensor(["x"]), text_tensor(["y"])]}, "inputs.body: is given twice"),
        ({"inputs": [text_tensor(["x"]), text_tensor(["y", "z"], name="subject")]}, "inputs.subject: holds 2 values"),
        ({"inputs": [text_tensor(["1"], name="order_total")]}, "inputs.order_total.datatype: must be FP64, not BYTES"),
        ({"inputs": [text_tensor(["1"], name="order_total", datatype="FP64")]}, "inputs.order_total[0]"),
        ({"inputs": [text_tensor([1.5], name="order_total", datatype="INT64")]}, "inputs.order_total[0]"),
        ({"inputs": [text_tensor(["soon"], name="created_at")]}, "instances[0].created_at"),
        ({"inputs": [text_tensor(["x"])], "outputs": "reply"}, "outputs"),
        ({"inputs": [text_tensor(["x"])], "outputs": [{"name": "answer"}]}, "outputs.answer: there is no such output"),
        ({"inputs": [text_tensor(["x"])], "id": 7}, "id: must be text"),
        ({"inputs": [text_tensor(["x"] * 1_001)]}, "more than 1000"),
    ],
)
def test_v2(server: ServerProcess, body: Any, words: str) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    refused(server.client.post(V2, content=content, headers=JSON), 400, "invalid_request", words)


@pytest.mark.parametrize(
    ("size", "tail", "changes", "words"),
    [
        (5, b"\x05\x00\x00", {}, "is more than the binary data"),
        (3, b"\x05\x00\x00", {}, "inputs.body: the binary data ends within a value"),
        (5, b"\x05\x00\x00\x00a", {}, "inputs.body: the binary data ends within a value"),
        (6, b"\x02\x00\x00\x00\xff\xfe", {}, "inputs.body[0]: is not UTF-8"),
        (5, b"\x01\x00\x00\x00aEXTRA", {}, "5 bytes after the last binary tensor"),
        (-1, b"", {}, "binary_data_size"),
        (7, b"1234567", {"name": "order_total", "datatype": "FP64"}, "the shape says 8 bytes, the data holds 7"),
    ],
)
def test_v2_binary(server: ServerProcess, size: int, tail: bytes, changes: dict[str, Any], words: str) -> None:
    tensor = {"name": "body", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": size}} | changes
    head = orjson.dumps({"inputs": [tensor]})
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    refused(server.client.post(V2, content=head + tail, headers=headers), 400, "invalid_request", words)


@pytest.mark.parametrize("length", ["", "-1", "x", "1e3", "99999999", "٣"])
def test_v2_binary_header(server: ServerProcess, length: str) -> None:
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": length.encode()}
    response = server.client.post(V2, content=b"{}", headers=headers)  # type: ignore[arg-type]
    refused(response, 400, "invalid_request", "inference-header-content-length")


@pytest.mark.parametrize("address", [V1, V2])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None])
def test_content_types(server: ServerProcess, address: str, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    refused(server.client.post(address, content=b'{"instances": []}', headers=headers), 415, "unsupported_media_type")


def test_content_type_with_charset_is_json(server: ServerProcess) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert server.client.post(V1, content=b'{"instances": []}', headers=headers).json() == {"predictions": []}


@pytest.mark.parametrize("address", [V1, V2])
def test_too_large_when_announced(server: ServerProcess, address: str) -> None:
    refused(server.client.post(address, content=b"x" * (5 << 20), headers=JSON), 413, "too_large", "4194304 bytes")


@pytest.mark.parametrize("address", [V1, V2, "/v1/models/ticket:explain"])
def test_too_large_when_not_announced(server: ServerProcess, address: str) -> None:
    chunks = (b"x" * (1 << 16) for _ in range(6 << 4))
    response = server.client.post(address, content=chunks, headers=JSON)
    assert "content-length" not in response.request.headers
    refused(response, 413, "too_large")


@pytest.mark.parametrize(
    ("method", "address", "status", "code"),
    [
        ("POST", "/v1/models/nobody:predict", 404, "unknown_model"),
        ("POST", "/v2/models/nobody/infer", 404, "unknown_model"),
        ("GET", "/v1/models/nobody", 404, "unknown_model"),
        ("GET", "/v2/models/nobody", 404, "unknown_model"),
        ("GET", "/v2/models/nobody/ready", 404, "unknown_model"),
        ("POST", "/v2/models/ticket/versions/7/infer", 404, "unknown_model"),
        ("GET", "/v2/models/ticket/versions/7", 501, "not_supported"),
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/v1/models/ticket", 405, "method_not_allowed"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/openapi.json", 404, "not_found"),
    ],
)
def test_unknown_addresses(server: ServerProcess, method: str, address: str, status: int, code: str) -> None:
    content = b'{"instances": [{}]}' if method == "POST" else None
    refused(server.client.request(method, address, content=content, headers=JSON), status, code)


def test_explain_is_not_supported(server: ServerProcess) -> None:
    response = server.client.post("/v1/models/ticket:explain", content=b'{"instances": [{}]}', headers=JSON)
    refused(response, 501, "not_supported")


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_models_cannot_be_unloaded(server: ServerProcess, verb: str) -> None:
    refused(server.client.post(f"/v2/repository/models/ticket/{verb}"), 403, "forbidden")
    assert server.client.get("/v1/models/ticket").status_code == 200


def test_cloud_event_headers_change_nothing(server: ServerProcess) -> None:
    headers = JSON | {"ce-id": "1", "ce-source": "x", "ce-type": "y", "ce-specversion": "1.0"}
    assert server.client.post(V1, content=b'{"instances": []}', headers=headers).json() == {"predictions": []}


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["instances", "inputs", "name", "shape", "datatype", "data", "body", "subject", "order_total", "created_at",
             "parameters", "binary_data_size", "outputs", "id"]
        ),
        inner | st.sampled_from(["BYTES", "FP64", "body", [1], [2, 1], "2024-01-01"]),
        max_size=5,
    ),
    max_leaves=14,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=_json, address=st.sampled_from([V1, V2]))
def test_any_json_gets_an_answer(server: ServerProcess, content: Any, address: str) -> None:
    response = server.client.post(address, content=orjson.dumps(content), headers=JSON)
    assert response.status_code in (200, 400), response.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.integers(-2, 50), st.sampled_from(["BYTES", "FP64", "BOOL", "INT8", "?"]))
def test_any_binary_gets_an_answer(server: ServerProcess, tail: bytes, size: int, kind: str) -> None:
    tensor = {"name": "channel", "datatype": kind, "shape": [1], "parameters": {"binary_data_size": size}}
    head = orjson.dumps({"inputs": [tensor]})
    headers = {"inference-header-content-length": str(len(head))}
    response = server.client.post(V2, content=head + tail, headers=headers)
    assert response.status_code in (200, 400), response.text
