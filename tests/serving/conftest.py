"""The model server, started once for the tests that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bundles import TicketBundles
from tests.serving.process import ServerProcess, free_port


@pytest.fixture(scope="session")
def grpc_port() -> int:
    """Return where the shared server listens for gRPC."""
    return free_port()


@pytest.fixture(scope="session")
def server(
    ticket_bundles: TicketBundles, grpc_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Serve both small bundles; the network's is called ``ticket``."""
    log = tmp_path_factory.mktemp("server") / "log.jsonl"
    bundles = (ticket_bundles.network, ticket_bundles.classical)
    with ServerProcess.of_bundles(log, *bundles, arguments=("--grpc-port", str(grpc_port))) as running:
        yield running
