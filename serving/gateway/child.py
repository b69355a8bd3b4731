"""A child process, which may answer KServe's probes, and never outlives its parent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from frontdesk.serving import processes

_SAID_BYTES = 4_096


class Child:
    """A process of ours, a server on a loopback port or one that serves nothing.

    Args:
        name: for the log.
        arguments: of the interpreter, without the port.
        log: file that takes its output.
        port: where it listens; None for nowhere.
        environment: more variables.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [*arguments, *([] if port is None else ["--port", str(port)])]
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {**os.environ, **(environment or {})}
        self._listens = port is not None
        self.url = f"http://127.0.0.1:{port}"
        self.name, self.log = name, log

    @property
    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process; what ran before has ended."""
        with self.log.open("ab") as output:
            self._process = processes.start(self._command, stdout=output, stderr=output, env=self._environment)

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Return whether every model of it is ready. Blocks for a second at most."""
        if not self._listens:
            return self.is_alive()
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=1):  # noqa: S310 - our own server
                return True
        except (urllib.error.URLError, OSError):
            return False

    def said(self) -> str:
        """Return the last line of the log."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _SAID_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
            if lines:
                return f"Its last line: {lines[-1][:500]}"
        return "The log says why"

    def stop(self) -> None:
        """End the process: let it finish what is in flight, and kill it where it does not end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        processes.wait(self._process)
