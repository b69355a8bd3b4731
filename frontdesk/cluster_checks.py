"""Is everything there in a cluster that the chart's objects need, and do they work? (``frontdesk doctor --cluster``)

Every check reads; nothing is changed. Of secrets only the names of their keys are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from frontdesk.cluster_reasons import OF_SERVICE, Object, Workloads, conditions, rolled_out, why_deployment, why_job
from frontdesk.cluster_rules import problems
from frontdesk.errors import ClusterError
from frontdesk.findings import Finding
from frontdesk.kubernetes_api import Cluster

SERVING = "serving.kserve.io"
OURS, COMPONENT = "app.kubernetes.io/part-of=frontdesk", "app.kubernetes.io/component"
S3_ENDPOINT = f"{SERVING}/s3-endpoint"
CRDS = {"inferenceservices": "v1beta1", "servingruntimes": "v1alpha1", "clusterstoragecontainers": "v1alpha1"}
"""Kinds of KServe that are needed, in the version that we write."""
ENFORCED = "pod-security.kubernetes.io/enforce"

NEEDED: dict[str, tuple[tuple[str, str, str], ...]] = {
    "pipelines": (
        ("get", SERVING, "inferenceservices"),
        ("patch", SERVING, "inferenceservices"),
        ("create", SERVING, "inferenceservices"),
        ("list", "", "pods"),
    ),
}
"""What our service accounts must be allowed, by component: verb, group, resource."""
REFUSED: tuple[tuple[str, str, str], ...] = (
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "pods/exec"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
)
"""What none of them may be allowed."""


def check_cluster(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Yield a finding for every check of a cluster and of a namespace in it.

    Raises:
        ClusterError: the cluster does not answer.
    """
    yield Finding("cluster", "ok", f"Kubernetes {cluster.version()}")
    yield from _kserve(cluster)
    space = cluster.get("v1", "Namespace", None, namespace)
    if space is None:
        yield Finding("namespace", "missing", f"there is no namespace {namespace}", "Create it, or name another one")
        return
    restricted = (space["metadata"].get("labels") or {}).get(ENFORCED) == "restricted"
    words = f"{namespace}, Pod Security {'restricted' if restricted else 'not enforced as restricted'}"
    remedy = "" if restricted else f"kubectl label namespace {namespace} {ENFORCED}=restricted"
    yield Finding("namespace", "ok" if restricted else "note", words, remedy)
    yield from _guarded("storage initializer", _storage_initializer(cluster, restricted))
    yield from _guarded("accounts", _accounts(cluster, namespace))
    yield from _guarded("secrets", _secrets(cluster, namespace))
    yield from _guarded("workloads", _workloads(cluster, namespace))
    yield from _guarded("metrics", _metrics(cluster, namespace))


def _guarded(name: str, checks: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings; where this account may not look, say so."""
    try:
        yield from checks
    except ClusterError as error:
        yield Finding(name, "note", f"cannot be looked at: {error.message}", "Ask with an account that may read it")


def _kserve(cluster: Cluster) -> Iterator[Finding]:
    absent = []
    for plural, version in CRDS.items():
        found = cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, f"{plural}.{SERVING}")
        served = {one["name"] for one in found["spec"]["versions"] if one["served"]} if found else set()
        if version not in served:
            absent.append(f"{plural} {version}")
    if absent:
        yield Finding(
            "KServe", "missing", f"the cluster does not know {', '.join(absent)}", "Install KServe 0.16 or newer"
        )
        return
    hooks = cluster.get(
        "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", None, f"inferenceservice.{SERVING}"
    )
    if hooks is None:
        yield Finding("KServe", "wrong", "nothing validates InferenceServices", "Install KServe's webhooks")
    managers = [
        one
        for one in cluster.list("apps/v1", "Deployment", labels="control-plane=kserve-controller-manager")
        if one["spec"].get("replicas", 1)
    ]
    if not managers:
        words = "its kinds are there; no Deployment of its controller is, so its version and state cannot be read"
        yield Finding("KServe", "note", words)
        return
    images = [one["image"] for one in managers[0]["spec"]["template"]["spec"]["containers"]]
    version = next((image.rpartition(":")[2] for image in images if "kserve-controller" in image), "of unknown version")
    if (managers[0].get("status") or {}).get("availableReplicas", 0):
        yield Finding("KServe", "ok", f"controller {version} runs")
    else:
        yield Finding("KServe", "wrong", f"controller {version} does not run", "Look at its pod in its namespace")


def _storage_initializer(cluster: Cluster, restricted: bool) -> Iterator[Finding]:
    name = "storage initializer"
    takes_s3 = [
        one
        for one in cluster.list(f"{SERVING}/v1alpha1", "ClusterStorageContainer")
        if any(str(form.get("prefix", "")).startswith("s3://") for form in one["spec"].get("supportedUriFormats") or ())
    ]
    if not takes_s3:
        yield Finding(
            name, "missing", "no ClusterStorageContainer takes s3:// addresses", "Install KServe's default one"
        )
    for one in takes_s3:
        found = problems(one)
        if not found:
            yield Finding(name, "ok", f"{one['metadata']['name']} runs under Pod Security restricted")
        for problem in found:
            fatal = restricted and "securityContext" in problem
            remedy = f"kubectl edit clusterstoragecontainer {one['metadata']['name']}"
            yield Finding(name, "wrong" if fatal else "note", problem, remedy)


def _accounts(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    accounts = {
        (namespace, one["metadata"]["name"]): (one["metadata"].get("labels") or {}).get(COMPONENT, "")
        for one in cluster.list("v1", "ServiceAccount", namespace, labels=OURS)
    }
    for binding in cluster.list("rbac.authorization.k8s.io/v1", "RoleBinding", namespace, labels=OURS):
        for subject in binding.get("subjects") or ():
            if subject["kind"] == "ServiceAccount":  # of a namespace of the pipelines' own
                component = (binding["metadata"].get("labels") or {}).get(COMPONENT, "")
                accounts.setdefault((subject.get("namespace") or namespace, subject["name"]), component)
    if not accounts:
        yield Finding(
            "accounts", "missing", "no service account of ours is here", "Install the chart in this namespace"
        )
    for (space, name), component in sorted(accounts.items()):
        if cluster.get("v1", "ServiceAccount", space, name) is None:
            yield Finding(
                f"account {name}", "missing", f"there is none in namespace {space}", "Install the chart again"
            )
            continue
        who, needed = f"{space}/{name}", NEEDED.get(component, ())
        lacking = [_words(right) for right in needed if not cluster.can(*right, namespace, account=who)]
        too_much = [_words(right) for right in REFUSED if cluster.can(*right, namespace, account=who)]
        if lacking:
            yield Finding(f"account {name}", "wrong", f"may not {', '.join(lacking)}", "Install the chart again")
        if too_much:
            words = f"may {', '.join(too_much)}, which it does not need"
            yield Finding(f"account {name}", "wrong", words, "Look which RoleBinding or ClusterRoleBinding grants it")
        if not lacking and not too_much:
            yield Finding(
                f"account {name}", "ok", "may do what it needs" if needed else "has no rights, and needs none"
            )


def _words(right: tuple[str, str, str]) -> str:
    verb, group, resource = right
    return f"{verb} {resource}{f'.{group}' if group else ''}"


def _secrets(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    wanted: dict[str, dict[str, set[str]]] = {}
    for who, secret, key in _references(cluster, namespace):
        wanted.setdefault(secret, {}).setdefault(key, set()).add(who)
    for secret, keys in sorted(wanted.items()):
        name, users = f"secret {secret}", ", ".join(sorted(set().union(*keys.values())))
        found = cluster.get("v1", "Secret", namespace, secret)
        if found is None:
            yield Finding(name, "missing", f"needed by {users}", f"Create it in namespace {namespace}")
            continue
        there = set(found.get("data") or ())
        absent = sorted(key for key in keys if key and key not in there)
        if absent:
            yield Finding(name, "wrong", f"lacks the keys {', '.join(absent)}, needed by {users}", "Add them")
        elif "AWS_ACCESS_KEY_ID" in there and S3_ENDPOINT not in (found["metadata"].get("annotations") or {}):
            words = "names no object store, so KServe's storage initializer asks AWS for models"
            yield Finding(name, "note", words, f"For another store, annotate it with {S3_ENDPOINT}=HOST:PORT")
        else:
            yield Finding(name, "ok", f"used by {users}")


def _references(cluster: Cluster, namespace: str) -> Iterator[tuple[str, str, str]]:
    """Yield who needs which secret, and which key of it (empty for the secret as a whole)."""
    for account in cluster.list("v1", "ServiceAccount", namespace, labels=OURS):
        who = f"ServiceAccount {account['metadata']['name']}"
        for kind in ("secrets", "imagePullSecrets"):
            for one in account.get(kind) or ():
                yield who, one["name"], ""
    for kind, api_version in (("Deployment", "apps/v1"), ("StatefulSet", "apps/v1"), ("CronJob", "batch/v1")):
        for owner in cluster.list(api_version, kind, namespace):
            spec = owner["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else owner["spec"]
            who = f"{kind} {owner['metadata']['name']}"
            for secret, key in _of_pod(spec["template"]["spec"]):
                yield who, secret, key


def _of_pod(pod: Object) -> Iterator[tuple[str, str]]:
    for one in pod.get("imagePullSecrets") or ():
        yield one["name"], ""
    for volume in pod.get("volumes") or ():
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in (one["secret"] for one in sources if "secret" in one and not one["secret"].get("optional")):
            name = source.get("secretName") or source.get("name")
            yield from ((name, item["key"]) for item in source.get("items") or ({"key": ""},))
    for container in [*(pod.get("initContainers") or ()), *pod["containers"]]:
        references = [(one.get("valueFrom") or {}).get("secretKeyRef") for one in container.get("env") or ()]
        references += [one.get("secretRef") for one in container.get("envFrom") or ()]
        for reference in references:
            if reference and not reference.get("optional"):
                yield reference["name"], reference.get("key", "")


def _workloads(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    seen = Workloads(
        deployments=cluster.list("apps/v1", "Deployment", namespace),
        replica_sets=cluster.list("apps/v1", "ReplicaSet", namespace),
        jobs=cluster.list("batch/v1", "Job", namespace),
        pods=cluster.list("v1", "Pod", namespace),
        events=cluster.list("v1", "Event", namespace, fields="type=Warning"),
    )
    services = cluster.list(f"{SERVING}/v1beta1", "InferenceService", namespace)
    if not services:
        yield Finding(
            "InferenceServices", "note", f"there is none in {namespace}", "Submit a lifecycle, or pin a bundle"
        )
    runtimes = {one["metadata"]["name"]: _formats(one) for one in _runtimes(cluster, namespace)}
    for service in services:
        yield from _service(service, seen, runtimes)
    for one in seen.deployments:
        if OF_SERVICE not in (one["metadata"].get("labels") or {}):
            name = f"Deployment {one['metadata']['name']}"
            if rolled_out(one):
                yield Finding(name, "ok", f"{one['spec'].get('replicas', 1)} ready")
            else:
                yield Finding(name, "wrong", why_deployment(one, seen))
    for job in seen.jobs:
        if (reason := why_job(job, seen)) is not None:
            yield Finding(f"Job {job['metadata']['name']}", "wrong", reason)


def _runtimes(cluster: Cluster, namespace: str) -> Iterator[Object]:
    yield from cluster.list(f"{SERVING}/v1alpha1", "ServingRuntime", namespace)
    yield from cluster.list(f"{SERVING}/v1alpha1", "ClusterServingRuntime")


def _formats(runtime: Object) -> list[str]:
    return [one["name"] for one in runtime["spec"].get("supportedModelFormats") or ()]


def _service(service: Object, seen: Workloads, runtimes: Mapping[str, list[str]]) -> Iterator[Finding]:
    name = service["metadata"]["name"]
    title = f"InferenceService {name}"
    for problem in problems(service, runtimes=runtimes):
        yield Finding(title, "wrong", problem, "KServe takes it without a word: correct the manifest")
    mine = [one for one in seen.deployments if (one["metadata"].get("labels") or {}).get(OF_SERVICE) == name]
    behind = [f"{one['metadata']['name']}: {why_deployment(one, seen)}" for one in mine if not rolled_out(one)]
    ready = conditions(service).get("Ready") or {}
    if ready.get("status") != "True":
        failure = ((service.get("status") or {}).get("modelStatus") or {}).get("lastFailureInfo") or {}
        said = [str(one["message"]) for one in (failure, *conditions(service).values()) if one.get("message")]
        words = "; ".join(behind or said[:1] or ["KServe's controller has not looked at it"])
        yield Finding(title, "wrong", f"not ready: {words}")
    elif behind:
        yield Finding(title, "wrong", f"answers, but its newest version does not get ready: {'; '.join(behind)}")
    else:
        pods = sum(one["spec"].get("replicas", 1) for one in mine)
        yield Finding(title, "ok", f"ready, {pods} pods")


def _metrics(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    scalers = cluster.list("autoscaling/v2", "HorizontalPodAutoscaler", namespace)
    served = cluster.get("apiregistration.k8s.io/v1", "APIService", None, "v1beta1.metrics.k8s.io")
    available = served is not None and (conditions(served).get("Available") or {}).get("status") == "True"
    if available:
        yield Finding("metrics", "ok", f"{len(scalers)} HorizontalPodAutoscalers can read load")
    elif scalers:
        words = f"no metrics API: {len(scalers)} HorizontalPodAutoscalers keep their lowest number of pods"
        yield Finding("metrics", "wrong", words, "Install metrics-server")
    else:
        yield Finding("metrics", "note", "no metrics API; nothing here scales by load")
