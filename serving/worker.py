"""``python -m frontdesk.serving.worker OPTIONS``: one of several processes behind a port; `frontdesk.serving.workers`
starts it. OPTIONS is JSON: ``worker`` (its place) and ``serve`` (arguments of `frontdesk.serving.server.serve`).
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import orjson

from frontdesk.errors import FrontdeskError
from frontdesk.serving.crew import Crew, Worker
from frontdesk.serving.server import serve
from frontdesk.steps import leave


def main() -> int:
    """Serve until a signal; return the exit code, and leave an error for the parent."""
    options = orjson.loads(sys.argv[1])
    place = options["worker"]
    worker = Worker(place["number"], place["again"], socket.socket(fileno=place["listener"]), Crew(Path(place["crew"])))
    try:
        serve(worker=worker, **options["serve"])
    except FrontdeskError as error:
        leave(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
