"""Does a server with trusted keys answer with nothing that they did not sign, from its start and later?"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from frontdesk.bundle import manifest_at
from frontdesk.bundle.signature import sign_bundle
from frontdesk.fusion import fuse_network
from frontdesk.storage import Store, canonical_json
from tests.serving.process import ServerProcess
from tests.signing_keys import KeyPair
from tests.small_network import small_spec, write_network

SPEC = small_spec()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two bundles, not signed."""
    folder = tmp_path_factory.mktemp("made")
    network = write_network(folder / "network", SPEC)
    return [fuse_network(network, SPEC, f"snapshot{number}", folder / f"bundle{number}") for number in (1, 2)]


def wait_for(check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def point_to(store: Store, bundle: Path) -> str:
    model_id: str = manifest_at(str(bundle))["model_id"]
    pointer = {"model_id": model_id, "uri": str(bundle), "version": 1}
    store.put(canonical_json(pointer), "models", "ticket", "current.json")
    return model_id


def test_a_server_never_becomes_ready_with_an_unsigned_bundle(
    made: list[Path], keys: tuple[KeyPair, KeyPair], tmp_path: Path
) -> None:
    trusted = {"FRONTDESK_VERIFY_KEY_FILE": str(keys[0].public)}
    with pytest.raises(RuntimeError, match="the server ended with 1"):
        ServerProcess(["-m", "frontdesk.serving", str(made[0])], tmp_path / "log", environment=trusted)
    assert "untrusted_bundle" in (tmp_path / "log").read_text()


def test_a_following_server_stays_with_its_bundle_until_the_next_one_is_signed(
    made: list[Path], keys: tuple[KeyPair, KeyPair], tmp_path: Path
) -> None:
    first, second = (shutil.copytree(bundle, tmp_path / bundle.name) for bundle in made)
    sign_bundle(str(first), str(keys[0].private))
    store = Store(str(tmp_path / "store"))
    expected = point_to(store, first)
    command = ["-m", "frontdesk.serving", "ticket", "--store", store.root, "--look-seconds", "0.2"]
    trusted = {"FRONTDESK_VERIFY_KEY_FILE": str(keys[0].public)}
    with ServerProcess(command, tmp_path / "log", environment=trusted) as server:

        def served() -> list[str]:
            return list(server.client.get("/v2/models/ticket").json()["versions"])

        assert served() == [expected]
        unsigned = point_to(store, second)
        wait_for(lambda: any(one.get("event") == "version_not_loaded" for one in server.events()))
        refused = next(one for one in server.events() if one.get("event") == "version_not_loaded")
        assert (refused["model_id"], refused["code"]) == (unsigned, "untrusted_bundle")
        assert served() == [expected]
        # A refused version is not tried again; the next deployment is.
        shutil.copytree(made[1], tmp_path / "third")
        sign_bundle(str(tmp_path / "third"), str(keys[0].private))
        point_to(store, first)
        time.sleep(1)
        assert orjson.loads(store.read_bytes("models", "ticket", "current.json"))["model_id"] == expected
