"""Does a server with trusted keys answer with nothing that they did not sign, from its start and later?"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from frontdesk.bundle import Bundle, manifest_at
from frontdesk.bundle.signature import sign_bundle
from frontdesk.fusion import fuse_network
from frontdesk.serving.model import BundleModel, Limits
from frontdesk.serving.watching import Deployed, Watcher
from frontdesk.storage import Store, canonical_json
from tests.serving.process import ServerProcess
from tests.signing_keys import KeyPair, Trust
from tests.small_network import small_spec, write_network

SPEC = small_spec()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two bundles, not signed."""
    folder = tmp_path_factory.mktemp("made")
    network = write_network(folder / "network", SPEC)
    return [fuse_network(network, SPEC, f"snapshot{number}", folder / f"bundle{number}") for number in (1, 2)]


def point_to(store: Store, bundle: Path) -> str:
    model_id: str = manifest_at(str(bundle))["model_id"]
    pointer = {"model_id": model_id, "uri": str(bundle), "version": 1}
    store.put(canonical_json(pointer), "models", "ticket", "current.json")
    return model_id


def test_a_server_never_becomes_ready_with_an_unsigned_bundle(
    made: list[Path], signing_keys: tuple[KeyPair, KeyPair], tmp_path: Path
) -> None:
    trusted = {"FRONTDESK_VERIFY_KEY_FILE": str(signing_keys[0].public)}
    with pytest.raises(RuntimeError, match="the server ended with 1"):
        ServerProcess(["-m", "frontdesk.serving", str(made[0])], tmp_path / "log", environment=trusted)
    assert "the bundle is not signed" in (tmp_path / "log").read_text()


def test_a_following_server_stays_with_its_bundle_until_the_next_one_is_signed(
    made: list[Path], signing_keys: tuple[KeyPair, KeyPair], tmp_path: Path, trust: Trust
) -> None:
    first, second = (shutil.copytree(bundle, tmp_path / bundle.name) for bundle in made)
    sign_bundle(str(first), str(signing_keys[0].private))
    trust.use(verify=signing_keys[0].public)
    store = Store(str(tmp_path / "store"))
    expected = point_to(store, first)
    deployed = Deployed(store, "ticket", Bundle.load)
    model = BundleModel("ticket", deployed.open, Limits())
    model.open()
    watcher = Watcher(model, deployed)
    unsigned = point_to(store, second)
    asyncio.run(watcher.look())
    assert model.bundle.model_id == expected
    sign_bundle(str(second), str(signing_keys[0].private))
    asyncio.run(watcher.look())
    assert model.bundle.model_id == expected, "a refused version waits for a deployment"
    for bundle, served in ((first, expected), (second, unsigned)):
        point_to(store, bundle)
        asyncio.run(watcher.look())
        assert model.bundle.model_id == served
