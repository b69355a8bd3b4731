"""What the pages of one gateway share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from frontdesk.errors import UsageError
from frontdesk.serving.gateway.console.bundles import ShownBundle, shown_bundles
from frontdesk.serving.gateway.console.session import Sessions
from frontdesk.serving.gateway.settings import GatewaySettings

_SHORTEST_SECRET = 16


@dataclass(frozen=True)
class Console:
    """Sessions and bundles."""

    sessions: Sessions
    bundles: list[ShownBundle]


def open_console(settings: GatewaySettings) -> Console:
    """Read what the settings name. Raises `UsageError`, `BundleError`, `StorageError`."""
    secret = None
    if settings.console_secret_file is not None:
        place = Path(settings.console_secret_file)
        try:
            secret = place.read_bytes().strip()
        except OSError as error:
            raise UsageError("the file of the console's secret cannot be read", where=place.name) from error
        if len(secret) < _SHORTEST_SECRET:
            raise UsageError(f"the console's secret has less than {_SHORTEST_SECRET} bytes", where=place.name)
    return Console(Sessions(secret), shown_bundles(settings.bundles))


def console_of(request: Request) -> Console:
    """Return the console of the gateway that serves a request."""
    found: Console = request.app.state.console
    return found
