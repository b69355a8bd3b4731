"""A listening socket."""

from __future__ import annotations

import socket

from frontdesk.errors import UsageError

_BACKLOG = 2048


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


def reserve(host: str, port: int) -> socket.socket:
    """Keep a port for processes that open it themselves with ``SO_REUSEPORT``; it takes no connection here.

    Raises:
        UsageError: it is taken, or the device does not exist.
    """
    listen(host, port).close()  # with SO_REUSEPORT, somebody else's would look free
    kept = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind((host, port))
    return kept


def address_of(listener: socket.socket) -> str:
    """Return the HTTP address of a listener."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
