"""The doctor finds what Kubernetes and KServe take without a word, and says why pods are not there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.calling import SECURITY
from tests.cluster.conftest import OURS, doctor
from tests.cluster.kubectl import Kubectl, until
from tests.cluster.release import Images

pytestmark = pytest.mark.cluster


def deployment(name: str, **container: Any) -> dict[str, Any]:
    labels = {"app": name}
    one = {"name": "main", "securityContext": SECURITY, "resources": {"requests": {"cpu": "5m"}}} | container
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [one]}},
        },
    }


def service(name: str, annotations: dict[str, str] | None = None, **model: Any) -> dict[str, Any]:
    given = {"modelFormat": {"name": "frontdesk-bundle"}, "runtime": "frontdesk", "storageUri": "s3://desk/models/x"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": annotations or {"serving.kserve.io/deploymentMode": "Standard"}},
        "spec": {"predictor": {"model": given | model}},
    }


@pytest.fixture(scope="module")
def found(namespaces: Callable[[str], Kubectl], images: Images) -> dict[str, Any]:
    """What the doctor says of a namespace where everything is broken."""
    kubectl, image = namespaces("broken"), images["serving"]
    stops = {"command": ["python", "-c", "raise SystemExit('nothing to do here')"]}
    needs = {"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "there", "key": "absent"}}}]}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "greedy"}}
    account["metadata"] |= {"labels": {"app.kubernetes.io/part-of": "frontdesk"}}  # type: ignore[operator]
    account["secrets"] = [{"name": "gone"}]  # type: ignore[assignment]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "greedy"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "greedy", "namespace": kubectl.namespace}],
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there"}, "stringData": {"other": "hush-hush"}}
    kubectl.apply(
        *(account, binding, secret, deployment("refused", image=image, securityContext={})),
        *(deployment("no-image", image=f"{images.registry}/none:0"), deployment("ends", image=image, **stops)),
        *(
            deployment("no-key", image=image, **needs),
            deployment("too-big", image=image, resources={"requests": {"cpu": "900"}}),
        ),
        *(
            service("by-ftp", storageUri="ftp://desk/x"),
            service("no-mode", {"serving.kserve.io/deploymentMode": "Foo"}),
        ),
        service("no-runtime", runtime="frontdusk"),
    )

    def told() -> dict[str, Any] | None:
        code, findings = doctor(str(kubectl.namespace))
        assert code == 1
        waits = ("refused", "no-image", "ends", "no-key", "too-big")
        started = all(not re.search("starts|no pods yet", findings[f"Deployment {name}"][0]["words"]) for name in waits)
        return findings if started else None

    found: dict[str, Any] = until("a reason for each", told, told=kubectl.story)
    return found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Deployment refused", 'violates PodSecurity "restricted'),
        ("Deployment no-image", "ImagePull|ErrImage"),
        ("Deployment ends", "ended with 1"),
        ("Deployment no-key", "CreateContainerConfigError"),
        ("Deployment too-big", "finds no node: .*Insufficient cpu"),
        ("InferenceService by-ftp", "nothing fetches 'ftp'"),
        ("InferenceService no-mode", "'Foo' is no mode"),
        ("InferenceService no-runtime", "no runtime 'frontdusk'"),
        ("secret there", "lacks the keys absent, needed by Deployment no-key"),
        ("secret gone", "needed by ServiceAccount greedy"),
        ("account greedy", "may get secrets"),
    ],
)
def test_says_what_is_wrong(name: str, words: str, found: dict[str, Any]) -> None:
    assert {one["state"] for one in found[name]} <= {"missing", "wrong"}
    assert re.search(words, " ".join(one["words"] for one in found[name])), found[name]


def test_tells_no_secret(found: dict[str, Any]) -> None:
    assert "hush-hush" not in str(found)


def test_says_what_it_found_of_the_cluster(found: dict[str, Any]) -> None:
    version = Kubectl().json("version")["serverVersion"]["gitVersion"]
    assert version in found["cluster"][0]["words"]
    assert found["KServe"][0]["state"] in ("ok", "note")
    assert found["storage initializer"][0]["state"] == "ok"
    assert found["namespace"][0]["state"] == "ok"


def test_a_storage_initializer_as_kserve_ships_it_is_found(found: dict[str, Any], images: Images) -> None:
    """It is asked for by its own label, so that the cluster's default stays what it is."""
    shipped = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "frontdesk-test-shipped", "labels": OURS},
        "spec": {
            "container": {"name": "storage-initializer", "image": images["serving"]},
            "supportedUriFormats": [{"prefix": "s3://frontdesk-test-shipped-nobody-uses-this"}],
        },
    }
    kubectl = Kubectl()
    kubectl.apply(shipped)
    try:
        _, findings = doctor("default")
        words = [one["words"] for one in findings["storage initializer"] if "frontdesk-test-shipped" in one["remedy"]]
        assert any("runAsNonRoot" in one for one in words), findings["storage initializer"]
    finally:
        kubectl.run("delete", "clusterstoragecontainer", "frontdesk-test-shipped")


def test_a_namespace_that_is_not_there() -> None:
    code, findings = doctor("frontdesk-test-nowhere")
    assert code == 1
    assert findings["namespace"][0]["state"] == "missing"


def test_no_cluster(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "frontdesk.cli.main", "doctor", "--cluster", "--json"]
    ran = subprocess.run(
        command, env={"KUBECONFIG": str(tmp_path / "none")}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert '"code": "cluster"' in ran.stdout
    assert "Traceback" not in ran.stderr
