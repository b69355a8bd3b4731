"""A transformer in front of a predictor: the answers of one process, and what happens when one half is gone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import grpc
import numpy as np
import orjson
import pytest

from frontdesk.bundle import Arrays, Bundle, Encoded
from frontdesk.errors import InvalidRequest, UsageError
from frontdesk.serving.asking import asker_for
from frontdesk.serving.model import Limits
from frontdesk.serving.tensors import Tensor, array_of, tensor_of
from frontdesk.serving.transformer import TransformerModel
from tests.bundles import EmailRun
from tests.intent_bundles import IntentRun, as_request
from tests.serving.process import ServerProcess, free_port

MAIL = "Hello,\n\nmy card 4111 1111 1111 1111 does not work. Write to jo@example.com\n\n> old words\n-- \nJo"
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "ticket": [{"subject": "lost card &amp; phone", "body": "<p>Since Monday</p>"}, {"body": None}, {}],
    "email": [{"subject": "Re: card", "body": MAIL}, {"subject": None, "body": "hello"}],
}


@pytest.fixture(scope="module")
def bundles(ticket_bundle: Path, email_run: EmailRun, intent_run: IntentRun) -> dict[str, Path]:
    """One bundle of each recipe."""
    return {"ticket": ticket_bundle, "email": email_run.bundle, "intent": intent_run.bundle}


@pytest.fixture(scope="module")
def requests(intent_run: IntentRun) -> dict[str, list[dict[str, Any]]]:
    """Instances of each recipe."""
    rows = intent_run.test_rows()
    session = [row for row in rows if row["session"] == rows[0]["session"]]
    intents = [as_request(session), as_request(session[:1], session=None), {"operator": "never", "rights": []}]
    return REQUESTS | {"intent": intents}


class Services:
    """A predictor, and a transformer before it for each protocol."""

    def __init__(self, bundles: dict[str, Path], folder: Path) -> None:
        self.bundles, self.folder = bundles, folder
        self.grpc_port = free_port()
        self.http_port = free_port()
        self.predictor = self.start_predictor()
        self.transformers = {
            name: ServerProcess.of_bundles(
                folder / f"{name}.log",
                *bundles.values(),
                arguments=("--predictor-host", f"127.0.0.1:{port}", "--predictor-protocol", name),
            )
            for name, port in (("v2", self.http_port), ("grpc-v2", self.grpc_port))
        }

    def start_predictor(self) -> ServerProcess:
        """Start it, always on the same ports."""
        arguments = ("--role", "predictor", "--grpc-port", str(self.grpc_port))
        return ServerProcess.of_bundles(
            self.folder / "predictor.log", *self.bundles.values(), arguments=arguments, port=self.http_port
        )

    def stop(self) -> None:
        """Stop everything."""
        for server in (self.predictor, *self.transformers.values()):
            server.stop()


@pytest.fixture(scope="module")
def services(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Start the three processes."""
    made = Services(bundles, tmp_path_factory.mktemp("services"))
    yield made
    made.stop()


def ask(server: ServerProcess, name: str, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
    response = server.client.post(f"/v1/models/{name}:predict", json={"instances": instances})
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["predictions"]
    return answers


@pytest.mark.parametrize("protocol", ["v2", "grpc-v2"])
@pytest.mark.parametrize("name", ["ticket", "email", "intent"])
def test_two_services_answer_as_one_process_does(
    services: Services, requests: dict[str, list[dict[str, Any]]], protocol: str, name: str
) -> None:
    bundle = Bundle.load(services.bundles[name])
    for instances in (requests[name], requests[name][:1], []):
        expected = orjson.loads(bundle.dump(bundle.predict(instances)))
        found = ask(services.transformers[protocol], name, instances)
        assert same(found, expected)


def same(found: Any, expected: Any) -> bool:
    """Return whether two answers are equal, numbers within what the order of a sum may change."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, abs=1e-5))
    return bool(found == expected)


def test_a_bad_mail_stands_beside_good_answers(services: Services) -> None:
    found = ask(services.transformers["v2"], "email", [{"body": 7}, {"body": "hello"}])
    assert found[0]["error"]["code"] == "invalid_request"
    assert found[1]["labels"]


def test_a_bad_request_is_the_caller_s(services: Services) -> None:
    for server in services.transformers.values():
        response = server.client.post("/v1/models/ticket:predict", json={"instances": [{"subject": 7}]})
        assert response.status_code == 400
        assert "instances[0].subject" in response.json()["error"]


def test_v2_goes_through_a_transformer(services: Services) -> None:
    body = {"inputs": [{"name": "subject", "shape": [1], "datatype": "BYTES", "data": ["lost card"]}]}
    answer = services.transformers["v2"].client.post("/v2/models/ticket/infer", json=body)
    assert answer.status_code == 200
    assert {output["name"] for output in answer.json()["outputs"]} >= {"contact_type", "contact_type_decision"}


def test_a_predictor_says_what_it_reads_and_refuses_the_rest(services: Services) -> None:
    client = services.predictor.client
    metadata = client.get("/v2/models/intent").json()
    assert {one["name"] for one in metadata["inputs"]} == {"session", "operator", "line", "start", "tokens"}
    assert [one["name"] for one in metadata["outputs"]] == ["scores"]
    assert metadata["versions"] == [Bundle.load(services.bundles["intent"]).model_id]
    answer = client.post("/v1/models/ticket:predict", json={"instances": [{}]})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    good = {"session": ["a"], "operator": [-1], "line": [-1], "start": [0], "tokens": [[2, 1]]}
    kinds = {"session": "BYTES", "operator": "INT32", "line": "INT32", "start": "INT64", "tokens": "INT32"}
    wrong: list[dict[str, Any]] = [
        {"tokens": [[10**6]]},
        {"tokens": [[0, 2]]},
        {"tokens": [2]},
        {"operator": [2**31 - 1]},
        {"line": [-2]},
        {"start": [2**62]},
        {"session": ["a", "b"]},
        {"session": ["x" * 500]},
    ]

    def infer(values: dict[str, Any]) -> int:
        inputs = [
            {"name": key, "datatype": kinds[key], "shape": list(np.shape(value)), "data": value}
            for key, value in values.items()
        ]
        return client.post("/v2/models/intent/infer", json={"inputs": inputs}).status_code

    assert infer(good) == 200
    assert [infer(good | each) for each in wrong] == [400] * len(wrong)
    assert infer({}) == 400


def test_a_dead_predictor_is_told_or_stood_in_for(
    services: Services, requests: dict[str, list[dict[str, Any]]]
) -> None:
    """Runs late in this module: it stops the predictor and starts it again."""
    services.predictor.stop(9)
    try:
        for server in services.transformers.values():
            body = {"instances": requests["ticket"]}
            for _ in range(2):
                answer = server.client.post("/v1/models/ticket:predict", json=body)
                assert (answer.status_code, answer.json()["code"]) == (503, "predictor_unavailable")
                assert answer.headers["retry-after"] == "1"
            found = ask(server, "intent", requests["intent"])
            assert all(answer["degraded"] for answer in found)
            bundle = Bundle.load(services.bundles["intent"])
            alone = bundle.decide(bundle.encode(requests["intent"]), None)
            assert same(found, orjson.loads(bundle.dump(alone))), "by the simpler model, as in one process"
            assert server.client.get("/v2/health/ready").status_code == 200
            assert "frontdesk_predictor_failures_total" in server.client.get("/metrics").text
    finally:
        services.predictor = services.start_predictor()
    for server in services.transformers.values():
        for _ in range(50):  # gRPC waits up to a second before it connects again
            if not ask(server, "intent", requests["intent"])[0]["degraded"]:
                break
        else:
            pytest.fail("the transformer has not come back to its predictor")
        assert ask(server, "ticket", requests["ticket"])


class Recorder(BaseHTTPRequestHandler):
    """Keeps the headers that it gets, and answers with nonsense."""

    seen: ClassVar[list[dict[str, str]]] = []
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(self.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_kserve_s_spelling_of_the_options(ticket_bundle: Path, tmp_path: Path) -> None:
    """As the controller starts a transformer: it adds what it does not find among the arguments."""

    def start(log: str, *arguments: str) -> ServerProcess:
        return ServerProcess(["-m", "frontdesk.cli.main", "serve", str(ticket_bundle), *arguments], tmp_path / log)

    with start("predictor", "--role", "predictor", "--model_name", "desk") as predictor:
        address = predictor.url.removeprefix("http://")
        given = ("--model_name=desk", f"--predictor_host={address}", "--http_port", "1")
        with start("transformer", *given) as transformer:
            assert len(ask(transformer, "desk", REQUESTS["ticket"])) == len(REQUESTS["ticket"])
            assert transformer.client.get("/v1/models/ticket").status_code == 404


def test_the_trace_goes_on_and_a_strange_predictor_is_no_500(ticket_bundle: Path, tmp_path: Path) -> None:
    recorder = HTTPServer(("127.0.0.1", 0), Recorder)
    Thread(target=recorder.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{recorder.server_port}"
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
        "b3": "0",
        "x-b3-traceid": "463ac35c9f6413ad",
        "x-request-id": "given-7",
    }
    with ServerProcess.of_bundles(tmp_path / "log", ticket_bundle, arguments=("--predictor-host", address)) as server:
        headers = trace | {"authorization": "Bearer secret"}
        body = {"instances": [{"subject": "my very private words"}]}
        for status, expected in ((200, 503), (500, 503), (400, 503), (429, 429)):
            Recorder.status = status
            answer = server.client.post("/v1/models/ticket:predict", json=body, headers=headers)
            assert (answer.status_code, answer.headers["x-request-id"]) == (expected, "given-7")
        seen = Recorder.seen[0]
        assert seen.items() >= trace.items()
        assert "authorization" not in seen, "the predictor is private, and a caller's key is not its business"
        assert "private" not in server.log.read_text("utf-8")
    recorder.shutdown()
    recorder.server_close()


def test_a_predictor_that_hangs_is_left_alone_for_a_moment() -> None:
    """Its silence is paid for by one request, not by everybody."""
    bundle = Silent()
    with socket.create_server(("127.0.0.1", 0)) as hung:
        model = TransformerModel(
            "m", lambda: bundle, Limits(), asker_for(f"127.0.0.1:{hung.getsockname()[1]}", "v2", seconds=0.2)
        )
        model.open()

        async def ask_often() -> list[Any]:
            answers = [(await model({"instances": [{}]}))[0].answers for _ in range(20)]
            await model.close()
            return answers

        assert asyncio.run(ask_often()) == [["without"]] * 20
        hung.settimeout(0.0)
        connections = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                hung.accept()[0].close()
                connections += 1
        assert connections == 1
    model.stop()


class Silent(Bundle):
    """The ends of a bundle, with nothing between them."""

    model_id, inputs, outputs = "0" * 20, {}, {}  # type: ignore[var-annotated]

    def __init__(self) -> None:
        """Hold nothing."""

    def encode(self, instances: Any) -> Encoded:
        return Encoded(instances, None)

    def run(self, asked: Any) -> Arrays:
        return {}

    def decide(self, encoded: Encoded, outputs: Arrays | None) -> list[str]:
        return ["without" if outputs is None else "with"] * len(encoded.asked)

    def pack(self, asked: Any) -> dict[str, np.ndarray]:
        return {"x": np.zeros(len(asked), np.float32)}

    def unpack(self, arrays: Arrays) -> Any:
        return list(arrays["x"])

    def example(self) -> dict[str, Any]:
        return {}

    def dump(self, answers: Any) -> bytes:
        return orjson.dumps(list(answers))


def test_wrong_addresses_and_arrays_are_refused() -> None:
    for address, protocol in (("nowhere", "v2"), ("http://a:1/b", "v2"), ("a:1", "v1")):
        with pytest.raises(UsageError):
            asker_for(address, protocol)
    for array in (np.arange(6, dtype=np.int32).reshape(2, 3), np.array([[True]]), np.array(["a", "é"], object)):
        again = array_of(tensor_of("x", array))
        assert again.tolist() == array.tolist()
    wrong = [
        Tensor("x", "INT8", [1], [300]),
        Tensor("x", "INT32", [2], [1]),
        Tensor("x", "INT32", [1], [None]),
        Tensor("x", "INT32", [-1], []),
        Tensor("x", "INT32", [1] * 70, [1]),
        Tensor("x", "INT32", [10**9, 10**9], []),
        Tensor("x", "WORDS", [1], ["a"]),
        Tensor("x", "FP32", [1], raw=b"123"),
        Tensor("x", "BYTES", [1], [[["deep"]]]),
    ]
    for tensor in wrong:
        with pytest.raises(InvalidRequest):
            array_of(tensor)


def test_gRPC_is_refused_by_a_transformer_as_by_http(services: Services) -> None:
    """The predictor's own gRPC door refuses what its HTTP door refuses."""
    from frontdesk.serving.sdk import GRPCInferenceServiceStub, ModelInferRequest

    for shape, datatype in itertools.product(([1], [-1], [1] * 70), ("INT32", "BYTES", "WORDS")):
        with grpc.insecure_channel(f"127.0.0.1:{services.grpc_port}") as channel:
            request = ModelInferRequest(
                model_name="intent",
                inputs=[{"name": "tokens", "datatype": datatype, "shape": shape}],
                raw_input_contents=[b"\x02\x00\x00\x00"],
            )
            with pytest.raises(grpc.RpcError) as refused:
                GRPCInferenceServiceStub(channel).ModelInfer(request)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
