"""The SDK's HTTP server on a listener of ours, with our inference routes before its own."""

from __future__ import annotations

import socket

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from frontdesk.serving import metrics
from frontdesk.serving.boundary import ErrorAnswers, RequestBoundary
from frontdesk.serving.data_plane import BundleDataPlane, ShutRepository
from frontdesk.serving.failures import http_exception
from frontdesk.serving.routes import InferenceRoutes
from frontdesk.serving.sdk import RESTServer


def _metrics(request: Request) -> Response:
    content, content_type = metrics.exposed(request.headers.get("accept"))
    return Response(content, headers={"content-type": content_type})


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
        """Build the application: inference first, everything else by the SDK's routes."""
        others = FastAPI(title="Frontdesk", openapi_url=None, docs_url=None, redoc_url=None)
        others.add_middleware(ErrorAnswers)
        others.add_exception_handler(HTTPException, http_exception)
        others.add_api_route("/metrics", _metrics, methods=["GET"])  # before the SDK's, which knows one process only
        self._register_endpoints(others)
        self.config.app = RequestBoundary(InferenceRoutes(self.dataplane, others), self._body_bytes)

    async def start(self) -> None:
        """Serve until a signal or `stop`."""
        self.create_application()
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Let `start` return, after requests in flight."""
        self._server.should_exit = True
