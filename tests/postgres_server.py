"""A real PostgreSQL for tests: the Debian package's server on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 30.0
_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=60")


@dataclass
class PostgresServer:
    """A running server; `stop` and `start` are what a restarted one looks like."""

    programs: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://desk@127.0.0.1:{self.port}/{name}"

    def create(self, name: str) -> str:
        """Make an empty database and return its address."""
        command = [self.programs / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "desk", name]
        subprocess.run(command, check=True, capture_output=True)
        return self.url(name)

    def initialise(self) -> None:
        command = [self.programs / "initdb", "-D", self.folder / "data", "-U", "desk", "--auth=trust", "--no-sync"]
        done = subprocess.run([*_as_somebody(self.folder), *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = [part for setting in _QUICK for part in ("-c", setting)]
        place = ["-D", self.folder / "data", "-k", self.folder, "-h", "127.0.0.1", "-p", str(self.port)]
        with (self.folder / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_somebody(self.folder), self.programs / "postgres", *place, *options], stdout=log, stderr=log
            )
        probe = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if subprocess.run(probe).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "postgres.log").read_text(errors="replace")[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(2)  # SIGINT: fast shutdown
            try:
                self.process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    found_in_path = shutil.which("initdb")
    return None if found_in_path is None else Path(found_in_path).parent


def _as_somebody(folder: Path) -> list[str | Path]:
    """PostgreSQL refuses to run as root: return the command's beginning that gives it another user."""
    if os.geteuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the whole run; each test makes a database of its own."""
    programs = _programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL: install the Debian package postgresql")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="frontdesk-postgres-", dir="/tmp") as name:
        server = PostgresServer(programs, Path(name), port)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
