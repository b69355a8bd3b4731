"""How a transformer asks a predictor: V2 over REST or gRPC, with a deadline, one retry of a lost connection, and the
caller's trace. The SDK's own client waits ten minutes, sends two content types and drops ``traceparent``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import grpc
import numpy as np

from frontdesk.bundle import Arrays
from frontdesk.errors import InvalidRequest, Overloaded, PredictorUnavailable, UsageError
from frontdesk.serving import protocol
from frontdesk.serving.boundary import REQUEST_ID
from frontdesk.serving.http_client import FAILURES, HttpClient
from frontdesk.serving.sdk import GRPCInferenceServiceStub, ModelInferRequest
from frontdesk.serving.tensors import Tensor, array_of, tensor_of

PROTOCOLS = ("v2", "grpc-v2")
TRACE = frozenset(
    (
        REQUEST_ID,
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-flags",
    )
)
"""Headers that go on to the predictor."""
_SECONDS = 2.0
_CONNECT_SECONDS = 0.5
_ATTEMPTS = 2
_CONNECTIONS = 100
_JSON_LENGTH = "Inference-Header-Content-Length"
_REMEDY = "Ask again in a few seconds"


class Asker(Protocol):
    """The way to a predictor. Belongs to one event loop."""

    async def ask(
        self, model: str, arrays: Mapping[str, np.ndarray], model_id: str, headers: Mapping[str, str]
    ) -> Arrays:
        """Return what the predictor says.

        Args:
            model: its name there.
            arrays: what is asked.
            model_id: of the bundle that must answer.
            headers: of the caller.

        Raises:
            PredictorUnavailable: it does not answer in time, refuses, or serves another model.
            Overloaded: it has too much to do.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def asker_for(address: str, protocol_name: str, seconds: float = _SECONDS) -> Asker:
    """Return the way to a predictor at ``host:port``. Raises `UsageError` for an address or protocol that is none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise UsageError("the predictor's address must be HOST:PORT", where="--predictor-host")
    if protocol_name not in PROTOCOLS:
        raise UsageError(f"there is no protocol {protocol_name!r}", remedy=f"Protocols: {', '.join(PROTOCOLS)}")
    return RestAsker(address, seconds) if protocol_name == "v2" else GrpcAsker(address, seconds)


def traced(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that go on to the predictor."""
    return {name: value for name, value in headers.items() if name in TRACE}


class RestAsker:
    """V2 over HTTP, tensors in their binary form."""

    def __init__(self, address: str, seconds: float) -> None:
        self._url = f"http://{address}"
        self._client = HttpClient(_CONNECTIONS, seconds=seconds, connect_seconds=_CONNECT_SECONDS)

    async def ask(
        self, model: str, arrays: Mapping[str, np.ndarray], model_id: str, headers: Mapping[str, str]
    ) -> Arrays:
        """Return what the predictor says; see `Asker`."""
        tensors = [tensor_of(name, array) for name, array in arrays.items()]
        body, json_bytes = protocol.v2_request(tensors, headers.get(REQUEST_ID, ""))
        sent = traced(headers) | {"Content-Type": "application/octet-stream", _JSON_LENGTH: str(json_bytes)}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                address = f"{self._url}/v2/models/{model}/infer"
                answer = await self._client.send("POST", address, body, sent)
                return _answer(answer.status, answer.headers.get(_JSON_LENGTH), answer.content, model_id)
            except TimeoutError as error:
                raise PredictorUnavailable("the predictor does not answer in time", remedy=_REMEDY) from error
            except FAILURES as error:
                if attempt == _ATTEMPTS:
                    words = f"the predictor cannot be reached ({type(error).__name__})"
                    raise PredictorUnavailable(words, remedy=_REMEDY) from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class GrpcAsker:
    """V2 over gRPC, tensors in their binary form."""

    def __init__(self, address: str, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        self._channel: grpc.aio.Channel | None = None

    async def ask(
        self, model: str, arrays: Mapping[str, np.ndarray], model_id: str, headers: Mapping[str, str]
    ) -> Arrays:
        """Return what the predictor says; see `Asker`."""
        if self._channel is None:
            reconnect = [("grpc.max_reconnect_backoff_ms", 1_000), ("grpc.enable_http_proxy", 0)]
            self._channel = grpc.aio.insecure_channel(self._address, options=reconnect)
        tensors = [tensor_of(name, array) for name, array in arrays.items()]
        request = ModelInferRequest(
            model_name=model,
            id=headers.get(REQUEST_ID, ""),
            inputs=[{"name": one.name, "datatype": one.datatype, "shape": one.shape} for one in tensors],
            raw_input_contents=[one.raw for one in tensors],
        )
        stub = GRPCInferenceServiceStub(self._channel)
        try:
            answer = await stub.ModelInfer(request, metadata=tuple(traced(headers).items()), timeout=self._seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise Overloaded("the predictor has too much to do", remedy=_REMEDY) from error
            cause = TimeoutError() if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED else error
            words = f"the predictor does not answer ({error.code().name.lower()})"
            raise PredictorUnavailable(words, remedy=_REMEDY) from cause
        outputs = [
            Tensor(one.name, one.datatype, list(one.shape), raw=raw)
            for one, raw in zip(answer.outputs, answer.raw_output_contents, strict=False)
        ]
        return _arrays(outputs, answer.model_version, model_id)

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()


def _answer(status: int, json_bytes: str | None, content: bytes, model_id: str) -> Arrays:
    if status == 429:
        raise Overloaded("the predictor has too much to do", remedy=_REMEDY)
    if status != 200:
        raise PredictorUnavailable(f"the predictor answered {status}", remedy=_REMEDY)
    try:
        version, outputs = protocol.parse_v2_answer(content, None if json_bytes is None else int(json_bytes))
    except (InvalidRequest, ValueError) as error:
        raise PredictorUnavailable("the predictor's answer cannot be read", remedy=_REMEDY) from error
    return _arrays(outputs, version, model_id)


def _arrays(outputs: Sequence[Tensor], version: Any, model_id: str) -> Arrays:
    if version != model_id:
        raise PredictorUnavailable("the predictor serves another model", remedy="Serve one bundle in both")
    try:
        return {one.name: array_of(one) for one in outputs}
    except InvalidRequest as error:
        raise PredictorUnavailable("the predictor's answer cannot be read", remedy=_REMEDY) from error
