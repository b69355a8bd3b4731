"""Is the model store changed only by a bundle that loads, and `current` only as a whole?"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from frontdesk.bundle import Bundle
from frontdesk.deployment import current, deploy, enter, judge
from frontdesk.errors import BundleError, GateRefused
from frontdesk.registry import Registry
from frontdesk.storage import Store
from tests.bundles import TicketBundles, fused
from tests.s3_server import S3


class Desk(NamedTuple):
    """A store with two finished jobs 5, and an empty registry."""

    store: Store
    registry: Registry
    network: str
    classical: str


def made_desk(root: str, bundles: TicketBundles, registry: Path) -> Desk:
    store = Store(root)
    for name, bundle in (("network", bundles.network), ("classical", bundles.classical)):
        fused(store, name, bundle)
    return Desk(store, Registry(f"sqlite:///{registry}"), "network", "classical")


@pytest.fixture
def registry_file(empty_registry: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(empty_registry, tmp_path / "mlflow.db"))


@pytest.fixture
def desk(ticket_bundles: TicketBundles, registry_file: Path, tmp_path: Path) -> Desk:
    return made_desk(str(tmp_path / "store"), ticket_bundles, registry_file)


def run(desk: Desk, fused: str, **more):
    return deploy(desk.store, desk.registry, recipe="ticket", fused=fused, **more)


def test_nothing_is_deployed_before_the_first_deployment(desk: Desk) -> None:
    assert current(desk.store, "ticket") is None


def test_a_deployed_bundle_is_the_champion_and_loads(desk: Desk) -> None:
    version = run(desk, desk.network)
    assert current(desk.store, "ticket") == {"model_id": version.model_id, "uri": version.bundle, "version": 1}
    assert desk.registry.champion("ticket") == version
    assert Bundle.load(version.bundle).model_id == version.model_id


def test_deploying_twice_changes_nothing(desk: Desk) -> None:
    first = run(desk, desk.network)
    before = {path: path.stat().st_mtime_ns for path in Path(first.bundle).iterdir()}
    assert run(desk, desk.network) == first
    assert {path: path.stat().st_mtime_ns for path in Path(first.bundle).iterdir()} == before
    assert len(desk.registry.versions("ticket")) == 1


def test_the_next_champion_replaces_the_first_which_stays_in_the_store(desk: Desk) -> None:
    first, second = run(desk, desk.classical), run(desk, desk.network)
    assert current(desk.store, "ticket")["model_id"] == second.model_id != first.model_id
    assert desk.registry.champion("ticket").number == 2
    assert Bundle.load(first.bundle).model_id == first.model_id


def test_a_held_candidate_is_registered_and_not_deployed(desk: Desk) -> None:
    champion = run(desk, desk.classical)
    candidate = enter(desk.store, desk.registry, recipe="ticket", fused=desk.network)
    assert desk.registry.candidate("ticket") == candidate
    assert desk.registry.champion("ticket") == champion
    assert current(desk.store, "ticket")["model_id"] == champion.model_id


def test_a_damaged_bundle_is_taken_away_again_and_the_champion_stays(desk: Desk) -> None:
    champion = run(desk, desk.classical)
    model = Path(desk.store.uri("fused", desk.network, "bundle", "model.onnx"))
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        run(desk, desk.network)
    assert current(desk.store, "ticket")["model_id"] == champion.model_id
    assert [version.model_id for version in desk.registry.versions("ticket")] == [champion.model_id]
    models = Path(desk.store.uri("models", "ticket"))
    assert sorted(path.name for path in models.iterdir()) == sorted([champion.model_id, "current.json"])


def test_a_copy_that_was_damaged_later_is_repaired(desk: Desk) -> None:
    version = run(desk, desk.network)
    (Path(version.bundle) / "spec.json").write_bytes(b"{}")
    assert run(desk, desk.network) == version
    assert Bundle.load(version.bundle).model_id == version.model_id


def test_the_champion_itself_is_promoted_without_a_comparison(desk: Desk) -> None:
    run(desk, desk.network)
    verdict = judge(desk.store, desk.registry, recipe="ticket", fused=desk.network)
    assert verdict["decision"] == "promote"
    assert "Unchanged" in verdict["reasons"][0]


def test_a_job_that_did_not_finish_is_named(desk: Desk) -> None:
    with pytest.raises(BundleError, match="not finished"):
        run(desk, "nothing")


def test_a_store_in_s3_works_the_same(
    s3: S3, ticket_bundles: TicketBundles, registry_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    desk = made_desk(s3.uri("desk"), ticket_bundles, registry_file)
    first = run(desk, desk.classical)
    second = run(desk, desk.network)
    assert run(desk, desk.network) == second
    assert second.bundle == s3.uri(f"desk/models/ticket/{second.model_id}")
    assert current(desk.store, "ticket") == {"model_id": second.model_id, "uri": second.bundle, "version": 2}
    assert Bundle.load(second.bundle).model_id == second.model_id != first.model_id
    desk.store.remove("models", "ticket", second.model_id)
    assert desk.store.manifest("models", "ticket", second.model_id) is None
    assert run(desk, desk.network) == second
    assert Bundle.load(second.bundle).model_id == second.model_id


# --- approval


def test_without_approval_the_champion_stays(desk: Desk) -> None:
    champion = run(desk, desk.classical)
    with pytest.raises(GateRefused, match="approve ticket 2"):
        run(desk, desk.network, approval="required", wait_seconds=0)
    assert desk.registry.champion("ticket") == champion
    assert current(desk.store, "ticket")["model_id"] == champion.model_id


def test_an_approved_version_is_deployed(desk: Desk) -> None:
    enter(desk.store, desk.registry, recipe="ticket", fused=desk.network)

    def person() -> None:
        time.sleep(0.2)
        Registry(desk.registry.address).approve("ticket", 1)

    thread = threading.Thread(target=person)
    thread.start()
    version = run(desk, desk.network, approval="required", wait_seconds=30)
    thread.join()
    assert desk.registry.champion("ticket").number == version.number == 1
