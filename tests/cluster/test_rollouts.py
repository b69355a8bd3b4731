"""A new model, a broken model and a dead pod, each under load."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from frontdesk.bundle import manifest_at
from tests.cluster.calling import Caller, answered
from tests.cluster.conftest import doctor, put
from tests.cluster.kubectl import Kubectl, until
from tests.cluster.questions import questions
from tests.cluster.release import Images, Release, S3Address, database_secret, s3_secret

pytestmark = pytest.mark.cluster
SERVICE, DEPLOYMENT = "ticket", "ticket-predictor"
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
PODS = f"serving.kserve.io/inferenceservice={SERVICE}"


@pytest.fixture(scope="module")
def tickets(
    namespaces: Callable[[str], Kubectl], values: dict[str, Any], s3_address: S3Address, images: Images
) -> Iterator[tuple[Release, Caller]]:
    """Two servers of tickets, and no other service."""
    kubectl = namespaces("rollouts")
    off = {recipe: {"enabled": False} for recipe in ("email", "intent")}
    release = Release(kubectl, values | {"recipes": values["recipes"] | off})
    kubectl.apply(s3_secret(s3_address), database_secret())
    release.install({"recipes": {SERVICE: {"minReplicas": 2, "maxReplicas": 2}}})
    kubectl.ready(SERVICE)
    kubectl.rolled_out(DEPLOYMENT)
    yield release, Caller(kubectl, images["serving"])
    release.uninstall()


@pytest.fixture
def address(tickets: tuple[Release, Caller]) -> str:
    """The address of the service, which answers."""
    release, caller = tickets
    url = release.url(DEPLOYMENT, f"/v1/models/{SERVICE}:predict")
    answered(caller, url, ASKED)
    return url


ASKED = {"instances": questions("ticket", 1)}


def serve(release: Release, bundle: str) -> None:
    """Pin another bundle."""
    release.install({"recipes": {SERVICE: {"minReplicas": 2, "maxReplicas": 2, "bundle": bundle}}})


def until_taken_up(kubectl: Kubectl, before: int) -> None:
    """Wait until KServe has made a new version of the Deployment."""
    until("a new version", lambda: revision(kubectl) > before, told=kubectl.story)


def revision(kubectl: Kubectl) -> int:
    """Return the number of the Deployment's newest version."""
    found = kubectl.get("deployment", DEPLOYMENT)
    assert found is not None
    return int(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


@pytest.mark.parametrize("keep", [False, True], ids=["new-connections", "kept-connections"])
def test_a_new_model_takes_over_without_a_lost_request(
    keep: bool,
    tickets: tuple[Release, Caller],
    address: str,
    stored: dict[str, str],
    second_bundle: Path,
    s3_address: S3Address,
) -> None:
    release, caller = tickets
    old, new = stored[SERVICE], put(s3_address, second_bundle)
    if keep:
        old, new = new, old
    before = revision(release.kubectl)
    with caller.calling(address, ASKED, keep=keep, connections=3) as found:
        serve(release, new)
        until_taken_up(release.kubectl, before)
        release.kubectl.rolled_out(DEPLOYMENT)
        # Kept connections stay with the old pods until these end, which a rollout does not wait for.
        until("the old pods have ended", lambda: len(release.kubectl.items("pods", "-l", PODS)) == 2)
    print(f"\nrolling update, {'kept' if keep else 'new'} connections: {found}")
    assert not found.failed, str(found)
    assert set(found.models) == {manifest_at(old)["model_id"], manifest_at(new)["model_id"]}
    after = caller.ask(address, ASKED)
    assert after["predictions"][0]["model_id"] == manifest_at(new)["model_id"]


def test_a_broken_bundle_never_receives_traffic(
    tickets: tuple[Release, Caller],
    address: str,
    bundles: dict[str, Path],
    s3_address: S3Address,
    tmp_path: Path,
) -> None:
    release, caller = tickets
    good = caller.ask(address, ASKED)["predictions"][0]["model_id"]
    broken = tmp_path / "broken"
    shutil.copytree(bundles[SERVICE], broken)
    (broken / "policy.json").write_bytes((broken / "policy.json").read_bytes() + b"\n")
    parts = ("models", SERVICE, "broken")
    s3_address.store.upload(broken, *parts)
    before = revision(release.kubectl)
    with caller.calling(address, ASKED) as found:
        serve(release, s3_address.store.uri(*parts))
        until_taken_up(release.kubectl, before)
        until("the new pod has failed", lambda: release.kubectl.restarts(PODS) >= 1, told=release.kubectl.story)
    print(f"\nbroken bundle: {found}")
    assert not found.failed, str(found)
    assert set(found.models) == {good}
    code, findings = doctor(release.namespace)
    (told,) = findings[f"InferenceService {SERVICE}"]
    assert code == 1
    assert told["state"] == "wrong"
    assert "policy.json" in told["words"], told  # the server's own last words
    with caller.calling(address, ASKED) as found:
        release.helm.run("rollback", "frontdesk")
        until("the good version", lambda: _model(release.kubectl) == good, told=release.kubectl.story)
        release.kubectl.rolled_out(DEPLOYMENT)
    assert not found.failed, str(found)
    assert set(found.models) == {good}


def _model(kubectl: Kubectl) -> str:
    """Return the model that new pods would get."""
    found = kubectl.get("deployment", DEPLOYMENT)
    assert found is not None
    return str(found["spec"]["template"]["metadata"]["annotations"][SOURCE]).rpartition("/")[2]


def test_a_killed_pod_costs_what_was_in_flight(tickets: tuple[Release, Caller], address: str) -> None:
    """No drain, no grace: as when its node dies, but that the endpoints hear of it."""
    release, caller = tickets
    with caller.calling(address, ASKED, connections=4, pause=0.02) as found:
        (killed, *others) = release.kubectl.pods(PODS)
        assert others
        release.kubectl.run("delete", "pod", killed["metadata"]["name"], "--grace-period=0", "--force")
        release.kubectl.rolled_out(DEPLOYMENT)
    print(f"\nkilled pod, one of two: {found}")
    assert found.statuses["200"] > 100
    assert found.failed <= max(10, 0.05 * found.calls), str(found)
    assert set(found.statuses) <= {"200", "503"}, str(found)
    again = caller.call(address, ASKED)
    assert not again.failed
