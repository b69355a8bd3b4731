"""Every object of every scenario of the chart, and of every overlay, is one that an API server takes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontdesk.cluster_rules import problems
from tests.chart.rendering import SCENARIOS, rendered
from tests.cluster.conftest import OURS
from tests.cluster.kubectl import Kubectl, until

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = sorted(path.name for path in (ROOT / "manifests/overlays").iterdir())
OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.80.1"
CRDS = ("prometheusrules", "servicemonitors")
"""Kinds that a cluster may lack."""


def definitions() -> Iterator[dict[str, Any]]:
    """Yield the definitions of the kinds, as the Prometheus operator's Go module has them."""
    if (go := shutil.which("go")) is None:
        pytest.skip("the cluster lacks the kinds of the Prometheus operator, and there is no Go to fetch them with")
    fetched = subprocess.run(
        [go, "mod", "download", "-json", OPERATOR], cwd="/", capture_output=True, text=True, timeout=120, check=False
    )
    if fetched.returncode != 0:
        pytest.skip(f"the cluster lacks the kinds of the Prometheus operator, and {OPERATOR} cannot be fetched")
    folder = Path(json.loads(fetched.stdout)["Dir"]) / "example/prometheus-operator-crd"
    for name in CRDS:
        yield yaml.safe_load((folder / f"monitoring.coreos.com_{name}.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def place(namespaces: Callable[[str], Kubectl]) -> Iterator[Kubectl]:
    """A namespace, and the kinds that the cluster lacks for as long as this module runs."""
    cluster, lent = Kubectl(), []
    if any(cluster.get("crd", f"{name}.monitoring.coreos.com") is None for name in CRDS):
        for manifest in definitions():
            if cluster.get("crd", manifest["metadata"]["name"]) is None:
                manifest["metadata"]["labels"] = OURS
                cluster.apply(manifest)
                lent.append(manifest["metadata"]["name"])
    for name in lent:
        until(
            name, lambda name=name: cluster.tried("wait", "--for=condition=Established", f"crd/{name}").returncode == 0
        )
    yield namespaces("admission")
    for name in lent:
        cluster.run("delete", "crd", name, "--ignore-not-found")


def overlay(name: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay."""
    text = Kubectl().run("kustomize", str(ROOT / "manifests/overlays" / name))
    return [one for one in yaml.safe_load_all(text) if one]


def within(objects: Iterable[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Return objects as if each of their namespaces were this one."""
    return [
        {**one, "metadata": {**one["metadata"], "namespace": namespace}} if one["metadata"].get("namespace") else one
        for one in objects
    ]


def pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the pods that the controllers of Kubernetes would make of workloads, one of each."""
    for one in objects:
        spec = one.get("spec") or {}
        if one["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if one["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
            template = spec["template"]
            about = {"name": f"{one['kind'].lower()}-{one['metadata']['name']}"[:63].rstrip("-")}
            labels = (template.get("metadata") or {}).get("labels") or {}
            pod = {"restartPolicy": "Always", **template["spec"]}
            # The account is made by the same manifests, which a dry run does not keep.
            pod.pop("serviceAccountName", None)
            about |= {"namespace": one["metadata"]["namespace"], "labels": labels}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": pod}


def test_the_scenarios_and_overlays_are_there() -> None:
    assert len(SCENARIOS) >= 3
    assert OVERLAYS == ["dev", "kind", "prod"]


@pytest.mark.parametrize(
    ("make", "name"), [*((rendered, name) for name in SCENARIOS), *((overlay, name) for name in OVERLAYS)]
)
def test_admitted(make: Callable[[str], Iterable[dict[str, Any]]], name: str, place: Kubectl) -> None:
    assert place.namespace is not None
    objects = within(make(name), place.namespace)
    assert len(objects) > 10
    ran = Kubectl().admitted(*objects)
    assert ran.returncode == 0, ran.stderr
    assert "would violate PodSecurity" not in ran.stderr, ran.stderr
    assert not [problem for one in objects for problem in problems(one)]
    # A Deployment is taken whatever its pods are; they are judged as the ReplicaSet would have them judged.
    each = list(pods(objects))
    assert each
    judged = Kubectl().admitted(*each)
    assert judged.returncode == 0, judged.stderr


def test_what_the_server_must_refuse(place: Kubectl) -> None:
    """The check above would find something."""
    assert place.namespace is not None
    bad = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bad", "namespace": place.namespace},
        "spec": {"containers": [{"name": "main", "image": "registry.local/nothing:1"}]},
    }
    judged = Kubectl().admitted(bad)
    assert judged.returncode != 0
    assert "violates PodSecurity" in judged.stderr
