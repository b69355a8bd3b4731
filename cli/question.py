"""Start the model server for one question, as the demo does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from frontdesk.errors import FrontdeskError

_START_SECONDS = 120


def ask_once(bundle: Path, recipe: str, instance: dict[str, Any], log: Path) -> dict[str, Any]:
    """Serve a bundle on a free port of the loopback device, ask for one prediction over HTTP, and stop the server.

    Args:
        bundle: folder.
        recipe: name that it is served under.
        instance: the record, by the names of its fields.
        log: file that takes the server's output.

    Raises:
        FrontdeskError: the server did not become ready; the log says why.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "frontdesk.serving", str(bundle), "--port", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own interpreter
        try:
            _wait_until_ready(server, f"{address}/v2/health/ready", log)
            request = urllib.request.Request(  # noqa: S310 - our own server
                f"{address}/v1/models/{recipe}:predict",
                json.dumps({"instances": [instance]}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                answer: dict[str, Any] = json.load(response)["predictions"][0]
        finally:
            server.terminate()
            server.wait(60)
    return answer


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise FrontdeskError("the model server did not become ready", where=str(log), remedy="The log says why")
