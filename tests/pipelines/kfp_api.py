"""A stand-in for the API of a Kubeflow Pipelines server: as much of v2beta1 as the client asks for, in memory.

A real server needs Kubernetes, and is tested on one; this holds the SDK's calls and our reading of its answers.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_ROOT = "/apis/v2beta1"


@dataclass
class Desk:
    """What the server holds, by kind and id."""

    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurringruns: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: int = 0
    url: str = ""
    _made: int = 0

    def put(self, kind: str, id_name: str, content: dict[str, Any]) -> dict[str, Any]:
        self._made += 1
        made = {id_name: f"{kind}-{self._made}", "created_at": f"2024-01-01T00:00:{self._made:02d}Z", **content}
        getattr(self, kind)[made[id_name]] = made
        return made

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a request gets, None for 404."""
        if path == "healthz":
            return {"multi_user": False}
        if path == "pipelines/upload":
            made = self.put("pipelines", "pipeline_id", {"display_name": query["name"]})
            self._version(made["pipeline_id"], query["name"])
            return made
        if path == "pipelines/upload_version":
            return self._version(query["pipelineid"], query["name"])
        if found := re.fullmatch(r"pipelines/([\w-]+)/versions", path):
            mine = [one for one in self.versions.values() if one["pipeline_id"] == found[1]]
            mine.sort(key=lambda one: one["created_at"], reverse="desc" in query.get("sort_by", ""))
            return _page("pipeline_versions", mine, query)
        kind, _, name = path.partition("/")
        if method == "POST":
            if kind == "recurringruns":
                body = {**body, "status": "ENABLED" if body.get("mode") == "ENABLE" else "DISABLED"}
            return self.put(kind, _IDS[kind], body)
        held: dict[str, dict[str, Any]] = getattr(self, kind)
        if method == "DELETE":
            return {} if held.pop(name, None) else None
        if name:
            return held.get(name)
        wanted = json.loads(query["filter"])["predicates"][0]["stringValue"] if "filter" in query else None
        return _page(_LISTS[kind], [one for one in held.values() if wanted in (None, one["display_name"])], query)

    def _version(self, pipeline: str, name: str) -> dict[str, Any]:
        return self.put("versions", "pipeline_version_id", {"pipeline_id": pipeline, "display_name": name})


_IDS = {"experiments": "experiment_id", "runs": "run_id", "recurringruns": "recurring_run_id"}
_LISTS = {"pipelines": "pipelines", "experiments": "experiments", "recurringruns": "recurringRuns"}


def _page(name: str, items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """Return two items at a time, so that whoever reads the first page only is found out."""
    start = int(query.get("page_token") or 0)
    size = min(2, int(query.get("page_size") or 2))
    rest = {"next_page_token": str(start + size)} if start + size < len(items) else {}
    return {name: items[start : start + size], **rest}


@contextmanager
def kfp_api() -> Iterator[Desk]:
    """Serve an empty desk on a free port of the loopback device."""
    desk = Desk()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            url = urlsplit(self.path)
            size = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(size)
            body = json.loads(raw) if raw and "json" in self.headers.get("content-type", "") else {}
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            found = desk.answer(self.command, url.path.removeprefix(f"{_ROOT}/"), query, body)
            content = json.dumps({} if found is None else found).encode()
            self.send_response(desk.refuse or (404 if found is None else 200))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    desk.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield desk
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
