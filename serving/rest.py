"""The SDK's HTTP server on a listener of ours, with a V2 inference route that refuses bad bodies as V1 does."""

from __future__ import annotations

import socket

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from frontdesk.errors import InvalidRequest, UnknownModel, UsageError
from frontdesk.serving import metrics, protocol
from frontdesk.serving.data_plane import BundleDataPlane, ShutRepository
from frontdesk.serving.failures import http_exception
from frontdesk.serving.middleware import REQUEST_ID, RequestBoundary
from frontdesk.serving.sdk import InferInput, InferRequest, RESTServer

_BACKLOG = 2048
_JSON_LENGTH = "inference-header-content-length"


def listen(host: str, port: int) -> socket.socket:
    """Bind a port. Raises `UsageError` where it is taken or the device does not exist."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named, and Nagle costs 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        words = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or 'no such port'}"
        raise UsageError(words, remedy="Choose another port with --port") from error
    return listener


class RestServer(RESTServer):  # type: ignore[misc]
    """Serves the SDK's routes, and ours before them.

    Args:
        listener: a bound socket.
        grace_seconds: how long requests in flight may take after a signal.
        body_bytes: largest body.
    """

    def __init__(
        self,
        data_plane: BundleDataPlane,
        repository: ShutRepository,
        listener: socket.socket,
        *,
        grace_seconds: int,
        body_bytes: int,
    ) -> None:
        super().__init__("", data_plane, repository, listener.getsockname()[1], grace_period=grace_seconds)
        self._listener = listener
        self._body_bytes = body_bytes
        self.config.access_log = False
        self.config.server_header = False

    def create_application(self) -> None:
        """Build the application; the first route that fits a path wins."""
        app = FastAPI(title="Frontdesk", openapi_url=None, docs_url=None, redoc_url=None)
        app.add_middleware(RequestBoundary, body_bytes=self._body_bytes)
        app.add_exception_handler(HTTPException, http_exception)
        add_inference_routes(app, self.dataplane)
        self._register_endpoints(app)
        self.config.app = app

    async def start(self) -> None:
        """Serve until a signal or `stop`."""
        self.create_application()
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Let `start` return, after requests in flight."""
        self._server.should_exit = True


def add_inference_routes(app: FastAPI, data_plane: BundleDataPlane) -> None:
    """Add the routes that answer, as plain functions: FastAPI's own cost a quarter of a millisecond more."""

    async def v1(request: Request) -> Response:
        name, headers = request.path_params["model_name"], dict(request.headers.items())
        payload, _ = data_plane.decode(await request.body(), headers)
        predictions, _ = await data_plane.infer(name, payload, headers)
        content, response_headers = data_plane.encode(name, predictions)
        return Response(content, headers=response_headers)

    async def v2(request: Request) -> Response:
        name, headers = request.path_params["model_name"], dict(request.headers.items())
        model = data_plane.model(name)
        if request.path_params.get("model_version", model.bundle.model_id) != model.bundle.model_id:
            raise UnknownModel("there is no such version of the model")
        asked = protocol.parse_v2(await request.body(), _json_length(headers))
        inputs = [InferInput(one.name, list(one.shape), one.datatype, one.data) for one in asked.inputs]
        query = InferRequest(name, inputs, request_id=asked.id, raw_inputs=[one.raw for one in asked.inputs])
        predictions, _ = await data_plane.infer(name, query, headers)
        with metrics.timed(name, "encode"):
            content, json_bytes = protocol.v2_body(
                asked,
                model.tensors(predictions),
                id=asked.id or headers[REQUEST_ID],
                model_name=name,
                model_version=model.bundle.model_id,
            )
        if json_bytes is None:
            return Response(content, media_type="application/json")
        return Response(content, headers={_JSON_LENGTH: str(json_bytes)}, media_type="application/octet-stream")

    app.add_route("/v1/models/{model_name}:predict", v1, methods=["POST"])
    app.add_route("/v2/models/{model_name}/infer", v2, methods=["POST"])
    app.add_route("/v2/models/{model_name}/versions/{model_version}/infer", v2, methods=["POST"])


def _json_length(headers: dict[str, str]) -> int | None:
    """Return the length of a V2 body's JSON part; None where all of it is JSON. Refuses other content types."""
    if (length := headers.get(_JSON_LENGTH)) is None:
        protocol.require_json(headers.get("content-type"))
        return None
    if not (length.isascii() and length.isdecimal() and len(length) < 10):
        raise InvalidRequest("is not a number", where=_JSON_LENGTH)
    return int(length)
