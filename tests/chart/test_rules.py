"""Is everything found that KServe and Kubernetes accept without a word, and nothing else?"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from frontdesk.cluster_rules import AUTOSCALER_CLASS, DEPLOYMENT_MODE, problems

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER = {"name": "kserve-container", "image": "registry.local/frontdesk/serving:1", "securityContext": RESTRICTED}
REQUESTS = {"requests": {"cpu": "10m", "memory": "64Mi"}}


def service(**predictor: Any) -> dict[str, Any]:
    """Return an InferenceService without a fault, with fields of its predictor replaced; None takes one out."""
    model = {
        "modelFormat": {"name": "frontdesk-bundle"},
        "runtime": "frontdesk",
        "storageUri": "s3://models/models/ticket/abc",
        "resources": REQUESTS,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "ticket", "annotations": {DEPLOYMENT_MODE: "Standard", AUTOSCALER_CLASS: "hpa"}},
        "spec": {"predictor": without_none({"model": model, "minReplicas": 1, "scaleMetric": "cpu"} | predictor)},
    }


def model(**fields: Any) -> dict[str, Any]:
    """Return that service with fields of its model replaced."""
    return service(model=without_none(service()["spec"]["predictor"]["model"] | fields))


def annotated(**annotations: str | None) -> dict[str, Any]:
    manifest = service()
    names = {"mode": DEPLOYMENT_MODE, "scaler": AUTOSCALER_CLASS}
    manifest["metadata"]["annotations"].update({names[key]: value for key, value in annotations.items()})
    manifest["metadata"]["annotations"] = without_none(manifest["metadata"]["annotations"])
    return manifest


def without_none(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}


def pod(**fields: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [without_none(CONTAINER | fields)]}}


def restricted_but(**fields: Any) -> dict[str, Any]:
    return pod(securityContext=without_none(RESTRICTED | fields))


FAULTS = {
    "ftp storage": (model(storageUri="ftp://host/model"), "spec.predictor.model.storageUri", "nothing fetches 'ftp'"),
    "no scheme": (model(storageUri="models/ticket"), "spec.predictor.model.storageUri", "never starts"),
    "no storage": (model(storageUri=None), "spec.predictor.model.storageUri", "server of many models"),
    "runtime": (model(runtime="fronthouse"), "spec.predictor.model.runtime", "there is no runtime 'fronthouse'"),
    "format": (model(modelFormat={"name": "pickle"}), "spec.predictor.model.modelFormat", "does not read 'pickle'"),
    "format of any": (model(runtime=None, modelFormat={"name": "x"}), "spec.predictor.model.modelFormat", "no runtime"),
    "mode": (annotated(mode="Foo"), f"metadata.annotations[{DEPLOYMENT_MODE}]", "'Foo' is no mode"),
    "no mode": (annotated(mode=None), f"metadata.annotations[{DEPLOYMENT_MODE}]", "set Standard"),
    "keda": (annotated(scaler="keda"), f"metadata.annotations[{AUTOSCALER_CLASS}]", "KEDA is not installed"),
    "kpa": (annotated(scaler="kpa"), f"metadata.annotations[{AUTOSCALER_CLASS}]", "set hpa"),
    "canary share": (service(canaryTrafficPercent=150), "spec.predictor.canaryTrafficPercent", "ignored"),
    "rps": (service(scaleMetric="rps"), "spec.predictor.scaleMetric", "cannot follow 'rps'"),
    "memory": (service(scaleMetric="memory"), "spec.predictor.scaleTarget", "memory has no default"),
    "to zero": (service(minReplicas=0), "spec.predictor.minReplicas", "never scales to 0"),
    "resources": (model(resources=None), "spec.predictor.model.resources", "1 CPU and 2 GiB"),
    "only limits": (model(resources={"limits": {"cpu": 1}}), "spec.predictor.model.resources", "1 CPU"),
    "no cpu": (
        model(resources={"requests": {"memory": "1Gi"}}),
        "spec.predictor.model.resources.requests",
        "never scales",
    ),
    "two frameworks": (service(sklearn={}), "spec.predictor", "keep one"),
    "nothing": (service(model=None), "spec.predictor", "says nothing that serves"),
    "latest": (pod(image="registry.local:5000/a/serving:latest"), "spec.containers[kserve-container].image", "another"),
    "no tag": (pod(image="registry.local:5000/a/serving"), "spec.containers[kserve-container].image", "another"),
    "no context": (pod(securityContext=None), "spec.containers[kserve-container].securityContext", "0 replicas"),
    "root": (restricted_but(runAsUser=0), "spec.containers[kserve-container].securityContext", "numeric runAsUser"),
    "user by name": (restricted_but(runAsUser=None), "spec.containers[kserve-container].securityContext", "numeric"),
    "capabilities": (restricted_but(capabilities={}), "spec.containers[kserve-container].securityContext", "drop"),
    "escalation": (restricted_but(allowPrivilegeEscalation=True), "securityContext", "allowPrivilegeEscalation"),
    "seccomp": (restricted_but(seccompProfile={"type": "Unconfined"}), "securityContext", "seccompProfile"),
    "privileged": (restricted_but(privileged=True), "securityContext", "privileged"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_alone_and_says_what_to_do(name: str) -> None:
    manifest, where, words = FAULTS[name]
    before = copy.deepcopy(manifest)
    (found,) = problems(manifest)
    assert where in found
    assert words in found
    assert ";" in found, "it says what to do"
    assert manifest == before


def test_what_is_right_is_not_blamed() -> None:
    assert problems(service()) == []
    assert problems(pod()) == []
    assert problems(pod(image="registry.local:5000/serving@sha256:" + "0" * 64)) == []
    assert problems({"kind": "Service", "spec": {"ports": [{"port": 80}]}}) == []
    assert problems(annotated(scaler="keda"), keda=True) == []
    assert problems(model(runtime="other", modelFormat={"name": "onnx"}), runtimes={"other": ["onnx"]}) == []
    knative = service(scaleMetric="rps", canaryTrafficPercent=10)
    knative["metadata"]["annotations"] = {DEPLOYMENT_MODE: "Knative"}
    assert problems(knative) == []


def test_a_canary_of_the_controller_gets_no_request() -> None:
    manifest = service()
    manifest["spec"]["canary"] = [{"name": "v2", "trafficPercent": 10}]
    (found,) = problems(manifest)
    assert "frontdesk rollout" in found


def test_a_collocated_predictor_needs_its_own_probe() -> None:
    transformer = CONTAINER | {"name": "transformer-container"}
    (found,) = problems(service(containers=[transformer]))
    assert "own readinessProbe" in found
    probed = service()["spec"]["predictor"]["model"] | {"readinessProbe": {"httpGet": {"path": "/", "port": 8081}}}
    assert problems(service(containers=[transformer], model=probed)) == []
    both = [CONTAINER | {"resources": REQUESTS}, transformer]
    assert "own readinessProbe" in problems(service(model=None, containers=both))[0]


def test_a_container_of_ones_own_needs_resources() -> None:
    (found,) = problems(service(model=None, containers=[CONTAINER]))
    assert found.startswith("spec.predictor.containers[kserve-container].resources")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job", "CronJob"])
def test_every_workload_is_looked_into(kind: str) -> None:
    template = {"spec": {"initContainers": [CONTAINER | {"securityContext": {}}], "containers": [CONTAINER]}}
    spec: dict[str, Any] = {"template": template}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    (found,) = problems({"kind": kind, "spec": spec})
    assert "initContainers[kserve-container].securityContext" in found


def test_what_a_pod_says_holds_for_its_containers_but_not_in_a_runtime() -> None:
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    around = {key: value for key, value in RESTRICTED.items() if key not in own}
    spec = {"securityContext": around, "containers": [CONTAINER | {"securityContext": own}]}
    assert problems({"kind": "Pod", "spec": spec}) == []
    (found,) = problems({"kind": "ServingRuntime", "spec": spec})
    assert "runAsNonRoot" in found


def test_the_shipped_storage_initializer_is_refused() -> None:
    shipped = {"name": "storage-initializer", "image": "kserve/storage-initializer:v0.20.0"}
    manifest = {"kind": "ClusterStorageContainer", "spec": {"container": shipped}}
    (found,) = problems(manifest)
    assert found.startswith("spec.container.securityContext")
    manifest["spec"]["container"]["securityContext"] = RESTRICTED
    assert problems(manifest) == []


def test_the_host_is_out_of_reach() -> None:
    spec = {"hostNetwork": True, "volumes": [{"name": "h", "hostPath": {"path": "/"}}], "containers": [CONTAINER]}
    assert len(problems({"kind": "Pod", "spec": spec})) == 2


def test_services_for_the_deploy_step_lack_only_their_model() -> None:
    def config_map(*services: Any) -> dict[str, Any]:
        data = {f"{number}.yaml": text for number, text in enumerate(services)}
        return {"kind": "ConfigMap", "metadata": {"name": "frontdesk-inference-services"}, "data": data}

    assert problems(config_map(yaml.safe_dump(model(storageUri=None)))) == []
    (found,) = problems(config_map(yaml.safe_dump(service(minReplicas=0))))
    assert found.startswith("data.0.yaml: spec.predictor.minReplicas")
    assert len(problems(config_map("[", "kind: Pod"))) == 2


@pytest.mark.parametrize("manifest", [{}, {"kind": "InferenceService"}, {"kind": "Pod", "spec": {"containers": "x"}}])
def test_half_a_manifest_is_no_crash(manifest: dict[str, Any]) -> None:
    assert isinstance(problems(manifest), list)
