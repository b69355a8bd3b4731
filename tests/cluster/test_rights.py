"""Every service account can what it needs and nothing else: all verbs on all resources of interest."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.release import Release

pytestmark = pytest.mark.cluster
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    *("bindings", "configmaps", "endpoints", "events", "limitranges", "persistentvolumeclaims", "pods", "pods/attach"),
    *(
        "pods/exec",
        "pods/log",
        "pods/portforward",
        "pods/ephemeralcontainers",
        "pods/eviction",
        "replicationcontrollers",
    ),
    *("resourcequotas", "secrets", "serviceaccounts", "serviceaccounts/token", "services"),
    *("deployments.apps", "deployments/scale.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps"),
    *("controllerrevisions.apps", "jobs.batch", "cronjobs.batch"),
    *("inferenceservices.serving.kserve.io", "inferenceservices/status.serving.kserve.io"),
    *("servingruntimes.serving.kserve.io", "trainedmodels.serving.kserve.io", "inferencegraphs.serving.kserve.io"),
    *("horizontalpodautoscalers.autoscaling", "poddisruptionbudgets.policy"),
    *("networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io", "httproutes.gateway.networking.k8s.io"),
    *("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io", "leases.coordination.k8s.io"),
    *("endpointslices.discovery.k8s.io", "workflows.argoproj.io", "workflowtaskresults.argoproj.io"),
    *("cronworkflows.argoproj.io", "trainjobs.trainer.kubeflow.org", "pytorchjobs.kubeflow.org"),
    *("sparkapplications.sparkoperator.k8s.io", "servicemonitors.monitoring.coreos.com"),
)
CLUSTER_WIDE = (
    *("nodes", "namespaces", "persistentvolumes", "clusterroles.rbac.authorization.k8s.io"),
    *("clusterrolebindings.rbac.authorization.k8s.io", "customresourcedefinitions.apiextensions.k8s.io"),
    *("clusterstoragecontainers.serving.kserve.io", "clusterservingruntimes.serving.kserve.io"),
    *("validatingwebhookconfigurations.admissionregistration.k8s.io", "storageclasses.storage.k8s.io"),
    *("certificatesigningrequests.certificates.k8s.io", "priorityclasses.scheduling.k8s.io"),
)
SPECIAL = (
    *(("impersonate", "users"), ("impersonate", "serviceaccounts"), ("escalate", "roles.rbac.authorization.k8s.io")),
    *(("bind", "roles.rbac.authorization.k8s.io"), ("proxy", "pods"), ("use", "podsecuritypolicies.policy")),
)

READ = ("get", "list", "watch")
ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "frontdesk-serving": {},
    "frontdesk-gateway": {},
    "frontdesk-jobs": {},
    "frontdesk-pipelines": {
        # the deploy step
        "inferenceservices.serving.kserve.io": (*READ, "create", "patch", "delete"),
        "events": READ,
        "deployments.apps": READ,
        "replicasets.apps": READ,
        # a step of a pipeline
        "pods": READ,
        "workflowtaskresults.argoproj.io": ("create", "patch"),
    },
}
"""What each may in the namespace of the chart, with its values as they are: no executors of Spark, no TrainJobs."""
NAMED = {"frontdesk-inference-services": ("configmaps", ("get",)), "kfp-launcher": ("configmaps", ("get",))}
"""What the pipelines' account may do to objects of these names alone."""

Right = tuple[str, str]


def allowed(account: str, asked: Iterable[Right], *, of: str, within: str, name: str = "") -> set[Right]:
    """Return which of some verbs and resources the server allows a service account.

    Args:
        of: namespace of the account.
        within: namespace of the resources; empty for those of the whole cluster.
        name: of one object.
    """
    asked = list(asked)
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{of}", "system:authenticated"]
    reviews = []
    for verb, resource in asked:
        plural, _, group = resource.partition(".")
        plural, _, part = plural.partition("/")
        attributes = {"verb": verb, "resource": plural, "group": group, "subresource": part, "namespace": within}
        spec = {"user": f"system:serviceaccount:{of}:{account}", "groups": groups}
        spec["resourceAttributes"] = attributes | {"name": name}
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    text = Kubectl().run("create", "-f", "-", "-o", "json", given=yaml.safe_dump_all(reviews))
    decoder, place, answers = json.JSONDecoder(), 0, []
    while place < len(text.rstrip()):
        one, place = decoder.raw_decode(text, place)
        answers += one["items"] if one["kind"] == "List" else [one]
        place += len(text[place:]) - len(text[place:].lstrip())
    assert len(answers) == len(asked)
    return {right for right, answer in zip(asked, answers, strict=True) if answer["status"]["allowed"]}


@pytest.mark.parametrize("account", ALLOWED)
def test_the_whole_table(account: str, desk: Release) -> None:
    asked = [(verb, resource) for resource in RESOURCES for verb in VERBS] + list(SPECIAL)
    expected = {(verb, resource) for resource, verbs in ALLOWED[account].items() for verb in verbs}
    assert allowed(account, asked, of=desk.namespace, within=desk.namespace) == expected


@pytest.mark.parametrize("account", ALLOWED)
def test_nothing_elsewhere(account: str, desk: Release) -> None:
    asked = [(verb, resource) for resource in RESOURCES for verb in ("get", "list", "create", "patch", "delete")]
    for other in ("default", "kube-system"):
        assert not allowed(account, asked, of=desk.namespace, within=other)
    wide = [(verb, resource) for resource in CLUSTER_WIDE for verb in VERBS]
    assert not allowed(account, wide, of=desk.namespace, within="")


@pytest.mark.parametrize("account", ALLOWED)
def test_single_objects(account: str, desk: Release) -> None:
    for name, (resource, verbs) in NAMED.items():
        expected = {(verb, resource) for verb in verbs} if account == "frontdesk-pipelines" else set()
        asked = [(verb, resource) for verb in VERBS]
        assert allowed(account, asked, of=desk.namespace, within=desk.namespace, name=name) == expected


def test_kubectl_says_the_same(desk: Release) -> None:
    """The reviews ask what a person would ask."""
    account = f"system:serviceaccount:{desk.namespace}:frontdesk-pipelines"
    for verb, resource, answer in (("patch", "inferenceservices", "yes"), ("get", "secrets", "no")):
        assert desk.kubectl.tried("auth", "can-i", verb, resource, f"--as={account}").stdout.strip() == answer


def test_no_server_has_a_token(desk: Release) -> None:
    found = desk.kubectl.pods("app.kubernetes.io/name=frontdesk")
    assert {pod["spec"]["serviceAccountName"] for pod in found} >= {"frontdesk-serving", "frontdesk-gateway"}
    for pod in found:
        volumes = [
            source for volume in pod["spec"]["volumes"] for source in (volume.get("projected") or {}).get("sources", ())
        ]
        assert not [source for source in volumes if "serviceAccountToken" in source], pod["metadata"]["name"]
