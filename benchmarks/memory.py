"""Resident memory of each process of a desk: ``python -m benchmarks.memory BUNDLE ...``.

Starts a model server for every bundle, one more with two workers, and a gateway; reads what the kernel counts when each
is ready and after `REQUESTS` requests. RSS counts a page in every process that maps it, PSS a shared page by its share.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson

from frontdesk.bundle import Bundle

REQUESTS = 500
_READY_SECONDS = 180.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def memory(parent: int) -> str:
    """Return RSS and PSS of a process and its descendants in MiB, as cells of the table."""
    total, waiting = dict.fromkeys(("Rss", "Pss"), 0), [parent]
    while waiting:
        number = waiting.pop()
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{number}/smaps_rollup").read_text()
            for line in rollup.splitlines():
                kind, _, rest = line.partition(":")
                if kind in total:
                    total[kind] += int(rest.split()[0])
            waiting += [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]
    return " | ".join(f"{kibibytes / 1024:.0f}" for kibibytes in total.values())


def call(url: str, body: bytes | None = None) -> int:
    """Return the status of a request."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with _OPENER.open(request, timeout=60) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@contextlib.contextmanager
def running(arguments: list[str], ready: str, folder: Path) -> Iterator[tuple[int, str]]:
    """Yield process and address of a ready server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FRONTDESK_DATABASE": f"sqlite:///{folder}/desk.db"}
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        command = [sys.executable, *arguments, "--port", url.rpartition(":")[2]]
        process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
    try:
        while call(url + ready) != 200:
            if process.poll() is not None or time.monotonic() > began + _READY_SECONDS:
                raise SystemExit((folder / "log").read_text()[-1000:])
            time.sleep(0.05)
        yield process.pid, url
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+")
    bundles: list[str] = parser.parse_args().bundles
    print(f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    print("| process | bundle, MB | RSS when ready, MiB | PSS | RSS after requests, MiB | PSS |\n" + "| --- " * 6 + "|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for location in bundles:
            bundle = Bundle.load(location)
            size = sum(entry["bytes"] for entry in bundle.manifest["files"].values()) / 1e6
            body = orjson.dumps({"instances": [bundle.example()]})
            for workers in ("1", "2"):
                arguments = ["-m", "frontdesk.serving", location, "--workers", workers]
                with running(arguments, "/v2/health/ready", folder) as (process, url):
                    before = memory(process)
                    statuses = {call(f"{url}/v1/models/{bundle.recipe}:predict", body) for _ in range(REQUESTS)}
                    assert statuses == {200}, statuses
                    title = f"server, {bundle.recipe} ({bundle.manifest['model_kind']}), {workers} worker(s)"
                    print(f"| {title} | {size:.1f} | {before} | {memory(process)} |", flush=True)
        gateway = ["-m", "frontdesk.cli.main", "gateway"]
        with running(gateway, "/healthz", folder) as (process, url):
            before = memory(process)
            for _ in range(REQUESTS):
                call(f"{url}/readyz")
            print(f"| gateway | – | {before} | {memory(process)} |")


if __name__ == "__main__":
    main()
