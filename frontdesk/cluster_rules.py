"""What KServe and Kubernetes accept without a word, and what then happens: rules on manifests, before or after they are
applied.

KServe 0.20 admits an InferenceService whose storage it cannot read, whose runtime does not exist or whose canary gets
no traffic; a Deployment whose pods Pod Security refuses stays at 0 replicas. `problems` finds these in one manifest and
asks no cluster, so the chart's tests and ``frontdesk doctor --cluster`` go by the same rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml

Manifest = Mapping[str, Any]
Runtimes = Mapping[str, Collection[str]]

OUR_RUNTIMES: Runtimes = {"frontdesk": ("frontdesk-bundle",)}
"""Serving runtimes of the chart, with the model formats that they read."""
SERVICES_CONFIG_MAP = "frontdesk-inference-services"
"""ConfigMap of InferenceServices that lack only the address of their model."""
SCHEMES = ("s3", "gs", "pvc", "https", "hdfs", "webhdfs", "oci", "oci+native", "oci+fetch", "hf")
"""Schemes of the addresses that KServe fetches models from."""
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"

_STANDARD = ("Standard", "RawDeployment")
_MODES = (*_STANDARD, "Knative", "Serverless", "ModelMesh")
_FRAMEWORKS = (
    *("sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle"),
)
_SERVER, _TRANSFORMER = "kserve-container", "transformer-container"
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")


def problems(manifest: Manifest, *, runtimes: Runtimes = OUR_RUNTIMES, keda: bool = False) -> list[str]:
    """Return what is wrong with a manifest although the API server takes it; nothing where it is fine.

    Args:
        manifest: any object of Kubernetes, as its YAML says it.
        runtimes: ``{serving runtime: its model formats}`` that an InferenceService may name.
        keda: whether KEDA is installed.

    Returns:
        Each with the field, what happens, and what to do: ``spec.predictor.minReplicas: ...; ...``.
    """
    kind, spec = manifest.get("kind"), _map(manifest.get("spec"))
    if kind == "InferenceService":
        return list(_inference_service(manifest, runtimes, keda, modelless=False))
    if kind == "ConfigMap":
        return list(_services_config_map(manifest, runtimes, keda))
    if kind in ("ServingRuntime", "ClusterServingRuntime"):
        return list(_pod(spec, "spec", of_runtime=True))
    if kind == "ClusterStorageContainer":
        return list(_container(_map(spec.get("container")), "spec.container", {}))
    if kind == "Pod":
        return list(_pod(spec, "spec"))
    if kind in _WORKLOADS:
        return list(_pod(_map(_map(spec.get("template")).get("spec")), "spec.template.spec"))
    if kind == "CronJob":
        where, inner = "spec.jobTemplate.spec.template.spec", spec
        for part in ("jobTemplate", "spec", "template", "spec"):
            inner = _map(inner.get(part))
        return list(_pod(inner, where))
    return []


def _services_config_map(manifest: Manifest, runtimes: Runtimes, keda: bool) -> Iterator[str]:
    if _map(manifest.get("metadata")).get("name") != SERVICES_CONFIG_MAP:
        return
    for key, text in _map(manifest.get("data")).items():
        try:
            service = yaml.safe_load(text)
        except yaml.YAMLError:
            service = None
        if not isinstance(service, dict) or service.get("kind") != "InferenceService":
            yield f"data.{key}: the deploy step cannot apply it; write a whole InferenceService"
            continue
        for found in _inference_service(service, runtimes, keda, modelless=True):
            yield f"data.{key}: {found}"


def _inference_service(manifest: Manifest, runtimes: Runtimes, keda: bool, *, modelless: bool) -> Iterator[str]:
    annotations, spec = _map(_map(manifest.get("metadata")).get("annotations")), _map(manifest.get("spec"))
    predictor = _map(spec.get("predictor"))
    mode = annotations.get(DEPLOYMENT_MODE)
    yield from _mode(mode)
    standard = mode in _STANDARD
    yield from _scaler(annotations.get(AUTOSCALER_CLASS), standard, keda)
    if standard and spec.get("canary"):
        yield "spec.canary: it is deployed, but no route sends it requests; roll out with `frontdesk rollout` instead"
    for name in ("predictor", "transformer"):
        if part := _map(spec.get(name)):
            yield from _scaling(part, f"spec.{name}", standard)
            yield from _pod(part, f"spec.{name}")
            for container in _maps(part.get("containers")):
                if container.get("name") == _SERVER:
                    yield from _resources(container, f"spec.{name}.containers[{_SERVER}]")
    yield from _implementation(predictor)
    if model := _map(predictor.get("model")):
        yield from _model(model, runtimes, modelless=modelless)
    yield from _collocated(predictor)


def _mode(mode: Any) -> Iterator[str]:
    where = f"metadata.annotations[{DEPLOYMENT_MODE}]"
    if mode is None:
        yield f"{where}: without it the controller's default decides, Knative in older releases; set Standard"
    elif mode not in _MODES:
        yield f"{where}: {mode!r} is no mode, so the controller's default decides; set Standard"


def _scaler(scaler: Any, standard: bool, keda: bool) -> Iterator[str]:
    where = f"metadata.annotations[{AUTOSCALER_CLASS}]"
    if scaler == "keda" and not keda:
        yield f"{where}: KEDA is not installed, so nothing scales; install it, or set hpa"
    if scaler == "kpa" and standard:
        yield f"{where}: kpa needs Knative, so nothing scales in Standard mode; set hpa"


def _scaling(part: Manifest, where: str, standard: bool) -> Iterator[str]:
    if not standard:
        return
    if (percent := part.get("canaryTrafficPercent")) is not None:
        words = f"is ignored in Standard mode, also {percent}: all requests go to the new version at once"
        yield f"{where}.canaryTrafficPercent: {words}; roll out with `frontdesk rollout` instead"
    if (metric := part.get("scaleMetric")) not in (None, "cpu", "memory"):
        words = f"the HorizontalPodAutoscaler cannot follow {metric!r} and goes by 80 % of the CPU"
        yield f"{where}.scaleMetric: {words}; set cpu or memory"
    if part.get("scaleMetric") == "memory" and part.get("scaleTarget") is None:
        yield f"{where}.scaleTarget: memory has no default, so the CPU is followed instead; set it"
    if part.get("minReplicas") == 0:
        yield f"{where}.minReplicas: Standard mode never scales to 0 and keeps one; set 1 or more"


def _implementation(predictor: Manifest) -> Iterator[str]:
    named = [name for name in ("model", *_FRAMEWORKS) if name in predictor]
    if len(named) > 1:
        yield f"spec.predictor: of {', '.join(named)} KServe serves only one; keep one"
    if not named and not predictor.get("containers"):
        yield "spec.predictor: it says nothing that serves, and KServe's webhook fails; add `model`"


def _model(model: Manifest, runtimes: Runtimes, *, modelless: bool) -> Iterator[str]:
    where = "spec.predictor.model"
    runtime, kind = model.get("runtime"), _map(model.get("modelFormat")).get("name")
    if runtime is not None and runtime not in runtimes:
        known = ", ".join(sorted(runtimes)) or "none"
        yield f"{where}.runtime: there is no runtime {runtime!r}, so no pod is made; name one of: {known}"
    formats = runtimes.get(runtime, ()) if runtime else {name for names in runtimes.values() for name in names}
    if (runtime is None or runtime in runtimes) and kind not in formats:
        words = f"no runtime reads the format {kind!r}" if runtime is None else f"{runtime} does not read {kind!r}"
        yield f"{where}.modelFormat: {words}, so no pod is made; name one of: {', '.join(sorted(formats)) or 'none'}"
    address = model.get("storageUri")
    if address is None:
        if not modelless and not model.get("storage") and not model.get("storageUris"):
            words = "KServe takes it for a server of many models and adds its agent, which loads none"
            yield f"{where}.storageUri: {words}; name the bundle"
    elif (scheme := str(address).partition("://")[0]) not in SCHEMES or "://" not in str(address):
        yield f"{where}.storageUri: nothing fetches {scheme!r} addresses, so the pod never starts; use s3://"
    yield from _resources(model, where)


def _resources(container: Manifest, where: str) -> Iterator[str]:
    requests = _map(_map(container.get("resources")).get("requests"))
    if not requests:
        words = "KServe then asks for 1 CPU and 2 GiB, whatever the runtime says"
        yield f"{where}.resources: {words}; set requests and a memory limit"
    elif "cpu" not in requests:
        yield f"{where}.resources.requests: without cpu there is nothing to scale by, so it never scales; set cpu"


def _collocated(predictor: Manifest) -> Iterator[str]:
    containers = {container.get("name"): container for container in _maps(predictor.get("containers"))}
    server = _map(predictor.get("model")) or containers.get(_SERVER)
    if _TRANSFORMER in containers and server and not server.get("readinessProbe"):
        words = f"beside a {_TRANSFORMER} KServe probes the transformer's port for the predictor too"
        yield f"spec.predictor: {words}, so it counts as ready too early; give {_SERVER} its own readinessProbe"


def _pod(spec: Manifest, where: str, *, of_runtime: bool = False) -> Iterator[str]:
    """Check containers and what they share. A runtime's have no pod around them, so theirs must say it all."""
    around = {} if of_runtime else _map(spec.get("securityContext"))
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{where}.{field}: Pod Security restricted refuses the pod; leave it out"
    for volume in _maps(spec.get("volumes")):
        if "hostPath" in volume:
            words = "Pod Security restricted refuses a hostPath; use another volume"
            yield f"{where}.volumes[{volume.get('name')}]: {words}"
    for field in ("initContainers", "containers"):
        for container in _maps(spec.get(field)):
            yield from _container(container, f"{where}.{field}[{container.get('name')}]", around)


def _container(container: Manifest, where: str, around: Manifest) -> Iterator[str]:
    image = str(container.get("image", ""))
    if image and "@" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest"):
        words = f"{image!r} may be another image at every start; name a version or a digest"
        yield f"{where}.image: {words}"
    own = _map(container.get("securityContext"))
    context = {**around, **own}
    lacks = []
    if own.get("allowPrivilegeEscalation") is not False:
        lacks.append("allowPrivilegeEscalation: false")
    capabilities = _map(own.get("capabilities"))
    if "ALL" not in (capabilities.get("drop") or ()) or set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        lacks.append("capabilities: {drop: [ALL]}")
    if context.get("runAsNonRoot") is not True:
        lacks.append("runAsNonRoot: true")
    if not isinstance(context.get("runAsUser"), int) or context["runAsUser"] == 0:
        lacks.append("a numeric runAsUser")
    if _map(context.get("seccompProfile")).get("type") not in ("RuntimeDefault", "Localhost"):
        lacks.append("seccompProfile: {type: RuntimeDefault}")
    if own.get("privileged"):
        lacks.append("privileged: false")
    if lacks:
        words = "Pod Security restricted refuses the pod, and its Deployment stays at 0 replicas without a word"
        yield f"{where}.securityContext: {words}; add {', '.join(lacks)}"


def _map(value: Any) -> Manifest:
    return value if isinstance(value, Mapping) else {}


def _maps(value: Any) -> list[Manifest]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
