"""The model server, started once for the tests that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import ticket_bundle, ticket_bundles  # noqa: F401
from tests.serving.process import ServerProcess, free_port


@pytest.fixture(scope="session")
def grpc_port() -> int:
    """Return where the shared server listens for gRPC."""
    return free_port()


@pytest.fixture(scope="session")
def server(ticket_bundle: Path, grpc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:  # noqa: F811
    """Serve the small bundle."""
    log = tmp_path_factory.mktemp("server") / "log.jsonl"
    with ServerProcess.of_bundles(log, ticket_bundle, arguments=("--grpc-port", str(grpc_port))) as running:
        yield running
