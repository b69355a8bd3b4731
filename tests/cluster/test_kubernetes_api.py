"""The door to the Kubernetes API, at a real one; and the deploy step where no pod can ever become ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from frontdesk.errors import ClusterError, GateRefused
from frontdesk.inference_service import CONFIG_MAP, MANAGER, InferenceServices, declared
from frontdesk.kubernetes_api import Cluster
from frontdesk.registry import Version
from tests.cluster.kubectl import Kubectl

pytestmark = pytest.mark.cluster

API = "serving.kserve.io/v1beta1"
OLD = {"model_id": "old", "uri": "s3://nowhere/models/ticket/old", "version": 1}
NEW = Version(2, "new", "s3://nowhere/models/ticket/new", "", "manual", False)
SERVICE: dict[str, Any] = {
    "apiVersion": API,
    "kind": "InferenceService",
    "metadata": {"name": "ticket", "annotations": {"serving.kserve.io/deploymentMode": "Standard"}},
    "spec": {"predictor": {"model": {"modelFormat": {"name": "nobody"}, "runtime": "nobody"}}},
}
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ServingRuntime",
    "spec": {
        "supportedModelFormats": [{"name": "nobody", "autoSelect": True}],
        # Root: Pod Security refuses the pod, so that nothing is pulled or started.
        "containers": [{"name": "kserve-container", "image": "nobody:1", "securityContext": {"runAsUser": 0}}],
    },
}


@pytest.fixture(scope="module")
def api() -> Cluster:
    return Cluster()


@pytest.fixture(scope="module")
def namespace(namespaces: Callable[[str], Kubectl]) -> str:
    return str(namespaces("api").namespace)


def settings(namespace: str, **data: str) -> dict[str, Any]:
    about = {"name": "one", "namespace": namespace, "labels": {"frontdesk/test": "api"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}


def named(manifest: dict[str, Any], name: str, namespace: str) -> dict[str, Any]:
    return manifest | {"metadata": {"name": name, "namespace": namespace}}


def test_objects_come_and_go(api: Cluster, namespace: str) -> None:
    assert api.get("v1", "ConfigMap", namespace, "one") is None
    made = api.apply(settings(namespace, a="1"), manager="first")
    assert api.get("v1", "ConfigMap", namespace, "one") == made
    assert (
        api.apply(settings(namespace, a="1"), manager="first")["metadata"]["resourceVersion"]
        == (made["metadata"]["resourceVersion"])
    )
    (listed,) = api.list("v1", "ConfigMap", namespace, labels="frontdesk/test=api")
    assert listed == made
    assert "one" in {one["metadata"]["name"] for one in api.list("v1", "ConfigMap", labels="frontdesk/test=api")}
    for _ in range(2):
        api.delete("v1", "ConfigMap", namespace, "one")
    assert api.get("v1", "ConfigMap", namespace, "one") is None


def test_what_others_declared_stays_theirs(api: Cluster, namespace: str) -> None:
    api.apply(settings(namespace, a="1", b="1"), manager="first")
    api.apply(settings(namespace, b="2"), manager="second")
    api.apply(settings(namespace, a="3"), manager="first")
    found = api.get("v1", "ConfigMap", namespace, "one")
    assert found is not None
    assert found["data"] == {"a": "3", "b": "2"}
    api.delete("v1", "ConfigMap", namespace, "one")


def test_kinds_and_rights(api: Cluster, namespace: str) -> None:
    assert api.get("v1", "Namespace", None, namespace) is not None
    assert api.get("frontdesk.example/v1", "Desk", namespace, "one") is None
    with pytest.raises(ClusterError, match="no Desk"):
        api.list("v1", "Desk", namespace)
    assert api.can("create", "serving.kserve.io", "inferenceservices", namespace)
    assert api.can("get", "", "pods/log", namespace)


def test_a_refusal_is_told_in_the_servers_words(api: Cluster, namespace: str) -> None:
    wrong = settings(namespace, a="1")
    wrong["metadata"]["name"] = "Not_A_Name"
    with pytest.raises(ClusterError, match=r"Not_A_Name.*Invalid value.*422"):
        api.apply(wrong, manager="first")


def test_a_service_that_never_becomes_ready_is_undone(api: Cluster, namespace: str) -> None:
    api.apply(named(RUNTIME, "nobody", namespace), manager="chart")
    template = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"ticket.yaml": yaml.safe_dump(SERVICE)}}
    api.apply(named(template, CONFIG_MAP, namespace), manager="chart")
    services = InferenceServices(api, namespace, 5)

    def refused(champion: dict[str, Any] | None) -> str:
        with pytest.raises(GateRefused) as caught, services.replaced("ticket", NEW, champion):
            pytest.fail("nothing serves the model")
        return str(caught.value)

    assert "violates PodSecurity" in refused(None)
    gone = Kubectl(namespace).run("wait", "--for=delete", "isvc/ticket", "--timeout=60s")
    assert gone is not None
    found = services.template("ticket")
    assert found is not None
    before = api.apply(declared(found, OLD["uri"], OLD["model_id"]), manager=MANAGER)
    assert "violates PodSecurity" in refused(OLD)
    after = api.get(API, "InferenceService", namespace, "ticket")
    assert after is not None
    assert after["spec"]["predictor"]["model"]["storageUri"] == OLD["uri"]
    assert after["metadata"]["annotations"]["frontdesk/model-id"] == "old"
    assert after["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
