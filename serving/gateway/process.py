"""The gateway as a process: listens, serves until a signal, finishes what is in flight."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Mapping

import uvicorn

from frontdesk.database import Database, open_database
from frontdesk.errors import FrontdeskError
from frontdesk.logs import event
from frontdesk.recipes import names
from frontdesk.serving import event_loop
from frontdesk.serving.gateway.app import create_app
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.serving.listener import address_of, listen
from frontdesk.settings import read_settings, settings

GRACE_SECONDS = 30
DEFAULT_MODEL_SERVER = "http://127.0.0.1:8080"
_log = logging.getLogger(__name__)


def serve_gateway(*, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the gateway that the settings describe until SIGTERM or SIGINT; requests in flight are finished first.

    Raises:
        UsageError: a setting is wrong, or the port is taken.
        StorageError: the database does not answer.
    """
    urls = model_urls()
    with listen(host, port) as listener:
        server = GatewayServer(read_settings(GatewaySettings), open_database(), urls, listener, settings().redis)
        event(_log, "gateway_listening", address=address_of(listener), recipes=sorted(urls))
        server.catch_signals()
        event_loop.run(server.serve())


def model_urls() -> dict[str, str]:
    """Return ``{served name: address}`` of the settings."""
    return settings().models or dict.fromkeys(names(), DEFAULT_MODEL_SERVER)


class GatewayServer:
    """One gateway behind one listener.

    Args:
        urls: ``{recipe: address of its model server}``.
        redis: address of what counts the limits of several gateways together.
    """

    def __init__(
        self,
        chosen: GatewaySettings,
        database: Database,
        urls: Mapping[str, str],
        listener: socket.socket,
        redis: str | None = None,
    ) -> None:
        database.upgrade()  # here, because a failure inside the server's start is told by its log only
        self._database, self._listener = database, listener
        self._stopped = False
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(chosen, database, urls, redis=redis),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    @property
    def started(self) -> bool:
        """Whether requests are answered."""
        return bool(self._server.started)

    def catch_signals(self) -> None:
        """Let SIGTERM and SIGINT stop the server also before it takes them over, and after it gives them back."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """Let `serve` return, after requests in flight."""
        self._stopped = self._server.should_exit = True

    async def serve(self) -> None:
        """Serve until a signal or `stop`."""
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            self._database.close()
        if not (self._server.started or self._stopped):
            raise FrontdeskError("the gateway could not start", remedy="The log says why")
        event(_log, "gateway_stopped")
