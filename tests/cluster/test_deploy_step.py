"""The deploy step in a pod: a model takes the InferenceService over whole, or everything stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontdesk.deployment import current
from frontdesk.storage import Store
from tests.bundles import fused
from tests.cluster.calling import SECURITY, Caller
from tests.cluster.kubectl import Kubectl, until
from tests.cluster.parts import TEMPLATES, ask_ticket, registry_server, ticket_parts
from tests.cluster.release import Images, S3Address, s3_secret

pytestmark = pytest.mark.cluster

DEPLOY = """
import sys
from frontdesk.deployment import deploy
from frontdesk.registry import Registry
from frontdesk.steps import step
from frontdesk.storage import Store

with step("deploy"):
    deploy(Store(sys.argv[1]), Registry(sys.argv[2]), recipe="ticket", fused=sys.argv[3])
"""
"""Step 6 without the pipeline around it."""
TOLD = 'python3 -c "$@" || { code=$?; cat "$FRONTDESK_ERROR_FILE"; exit $code; }'
"""A step's reason goes to a file, which the pipeline's server shows, and not to its log."""


@dataclass
class Desk:
    """A namespace for a ticket server, a registry, and two finished jobs 5: ``first`` and ``second``."""

    kubectl: Kubectl
    image: str
    store: Store
    caller: Caller
    environment: dict[str, str]

    def deploy(self, bundle: str, name: str) -> tuple[int, str]:
        """Run the step in a pod as a pipeline's; return its exit code and what it said."""
        container = {
            "name": "main",
            "image": self.image,
            "command": ["sh", "-c", TOLD, "python3", DEPLOY, self.store.root, "http://mlflow:5000", bundle],
            "env": [{"name": key, "value": value} for key, value in self.environment.items()],
            "envFrom": [{"secretRef": {"name": "frontdesk-s3"}}],
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}},
            "securityContext": SECURITY,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        spec = {
            "restartPolicy": "Never",
            "serviceAccountName": "frontdesk-pipelines",
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        }
        self.kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        ended = until("the end of the step", lambda: self._ended(name), 240, self.kubectl.story)
        said = self.kubectl.run("logs", name)
        self.kubectl.run("delete", "pod", name, "--grace-period=0", "--force")
        return int(ended["exitCode"]), said

    def _ended(self, name: str) -> dict[str, Any] | None:
        status = (self.kubectl.get("pod", name) or {}).get("status", {})
        (container,) = status.get("containerStatuses", [{}])
        ended: dict[str, Any] | None = container.get("state", {}).get("terminated")
        return ended

    def service(self) -> dict[str, Any]:
        """Return the InferenceService."""
        found = self.kubectl.get("inferenceservice", "ticket")
        assert found is not None
        return found

    def check_answers(self) -> str:
        """Ask the deployed model's golden questions; return the model that answers."""
        deployed = current(self.store, "ticket")
        assert deployed is not None
        namespace = self.kubectl.namespace or ""
        assert ask_ticket(self.caller, namespace, deployed["uri"]) == ({deployed["model_id"]}, 0)
        return str(deployed["model_id"])


@pytest.fixture(scope="module")
def place(
    namespaces: Callable[[str], Kubectl],
    images: Images,
    s3_address: S3Address,
    bundles: dict[str, Path],
    second_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Desk:
    kubectl = namespaces("deploy")
    namespace, image = kubectl.namespace or "", images["python-pipelines"]
    store = Store(f"{s3_address.prefix}/deploy")
    parts = ticket_parts(namespace, namespace, images, s3_address, store.root, tmp_path_factory.mktemp("deploy"))
    kubectl.apply(s3_secret(s3_address), *registry_server(image), *parts)
    fused(store, "first", bundles["ticket"])
    fused(store, "second", second_bundle)
    kubectl.rolled_out("mlflow")
    environment = {
        "AWS_ENDPOINT_URL": f"{'https' if s3_address.secure else 'http'}://{s3_address.endpoint}",
        "AWS_DEFAULT_REGION": s3_address.region,
        "FRONTDESK_SERVING_NAMESPACE": namespace,
        "FRONTDESK_SERVING_SECONDS": "45",
        "FRONTDESK_ERROR_FILE": "/tmp/error.json",
        "HOME": "/tmp",
    }
    return Desk(kubectl, image, store, Caller(kubectl, images["serving"]), environment)


@pytest.fixture(scope="module")
def champion(place: Desk) -> str:
    """The first model, deployed."""
    code, said = place.deploy("first", "first")
    assert code == 0, said
    return place.check_answers()


def test_the_first_model_is_served(place: Desk, champion: str) -> None:
    service = place.service()
    deployed = current(place.store, "ticket")
    assert deployed is not None
    assert service["metadata"]["annotations"]["frontdesk/model-id"] == champion
    assert service["spec"]["predictor"]["model"]["storageUri"] == deployed["uri"]
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ConfigMap", TEMPLATES)  # so an uninstalled chart leaves no service


def test_a_second_time_changes_nothing(place: Desk, champion: str) -> None:
    before = place.service()
    code, said = place.deploy("first", "again")
    assert code == 0, said
    assert place.service()["metadata"]["generation"] == before["metadata"]["generation"]
    assert place.service()["spec"] == before["spec"]


def test_a_model_that_never_becomes_ready_is_undone(place: Desk, champion: str) -> None:
    before, template = place.service(), place.kubectl.get("configmap", TEMPLATES)
    assert template is not None
    broken = yaml.safe_load(template["data"]["ticket.yaml"])
    broken["spec"]["predictor"]["model"]["args"] = ["serve", "/mnt/models", "--no-such-option"]
    change = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": TEMPLATES}}
    place.kubectl.apply(change | {"data": {"ticket.yaml": yaml.safe_dump(broken)}})
    try:
        code, said = place.deploy("second", "undone")
    finally:
        place.kubectl.apply(change | {"data": template["data"]})
    assert code == 4, said
    assert "inference_service_undone" in said
    assert "no-such-option" in said, said  # why: the server's own last words
    assert place.service()["spec"] == before["spec"]
    assert place.check_answers() == champion


def test_another_model_takes_over(place: Desk, champion: str) -> None:
    code, said = place.deploy("second", "second")
    assert code == 0, said
    assert place.check_answers() != champion
