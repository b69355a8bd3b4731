"""A desk's API on a free port of the loopback device: it keeps what it is sent and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Call:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes


@dataclass
class Api:
    """What came, and what is answered.

    Attributes:
        answers: ``{(method, path): JSON}``; anything else gets ``{}``.
        first: (status, headers) of the next answers, before all goes well.
    """

    address: str = ""
    calls: list[Call] = field(default_factory=list)
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    first: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    hang: threading.Event | None = None

    def said(self) -> list[tuple[str, str, Any]]:
        """Return method, path and JSON of every call."""
        return [(call.method, call.path, call.body) for call in self.calls]


@contextmanager
def fake_api() -> Iterator[Api]:
    """Serve an API until the block ends."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(raw) if raw else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.calls.append(Call(self.command, self.path, headers, body, raw))
            if api.hang is not None:
                api.hang.wait(30)
            status, more = api.first.pop(0) if api.first else (200, {})
            content = json.dumps(api.answers.get((self.command, self.path), {})).encode()
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = _answer

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A caller that hangs up is part of the test."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    api.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        if api.hang is not None:
            api.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
