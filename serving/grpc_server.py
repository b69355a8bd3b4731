"""KServe's gRPC service on a chosen device, with our errors."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from grpc import ServicerContext, StatusCode, aio
from grpc_interceptor import AsyncExceptionToStatusInterceptor

from frontdesk.errors import UsageError
from frontdesk.serving.failures import failure_of, log_internal
from frontdesk.serving.sdk import GRPCServer, InferenceServicer, add_GRPCInferenceServiceServicer_to_server

_STATUS = {
    400: StatusCode.INVALID_ARGUMENT,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    429: StatusCode.RESOURCE_EXHAUSTED,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
}


class ErrorStatus(AsyncExceptionToStatusInterceptor):
    """Translates exceptions as HTTP does; the SDK's own fails on models that are not ready."""

    async def handle_exception(
        self, ex: Exception, request_or_iterator: Any, context: ServicerContext, method_name: str
    ) -> NoReturn:
        """Abort the call with a status and words for the caller."""
        failure = failure_of(ex)
        if failure.status == 500:
            log_internal(ex, uuid.uuid4().hex)
        await context.abort(_STATUS.get(failure.status, StatusCode.INTERNAL), failure.words)
        raise ex  # not reached: abort raises


class BundleGRPCServer(GRPCServer):  # type: ignore[misc]
    """The SDK's server on one address (the SDK: every device).

    Args:
        address: ``host:port``.
        body_bytes: largest message.
        shared: whether other processes open the same port; the system hands each its share of the connections.
    """

    def __init__(
        self,
        address: str,
        data_plane: Any,
        repository: Any,
        grace_seconds: int,
        body_bytes: int,
        *,
        shared: bool = False,
    ) -> None:
        super().__init__(0, data_plane, repository, kwargs={}, grace_period=grace_seconds)
        self._address = address
        self._options = [("grpc.max_receive_message_length", body_bytes), ("grpc.so_reuseport", int(shared))]

    async def start(self) -> None:
        """Begin to serve. Raises `UsageError` where the port is taken."""
        self._server = aio.server(interceptors=(ErrorStatus(),), options=self._options)
        servicer = InferenceServicer(self._data_plane, self._model_repository_extension)
        add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise UsageError(f"cannot listen on {self._address}", remedy="Choose another --grpc-port") from error
        await self._server.start()
