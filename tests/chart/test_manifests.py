"""Are the kustomize manifests what the chart renders, with base and overlays as they are committed?"""

from __future__ import annotations

import importlib.util
import subprocess
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from frontdesk.cluster_rules import problems
from tests.chart.rendering import ROOT, helm, tool

MANIFESTS = ROOT / "manifests"
OVERLAYS = {"kind": "trial", "dev": "dev", "prod": "production"}


@cache
def render() -> ModuleType:
    """Return the script that makes the manifests."""
    spec = importlib.util.spec_from_file_location("render", MANIFESTS / "render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(folder: Path) -> dict[Any, dict[str, Any]]:
    """Return what kustomize makes of a folder, but for the namespace; skip the test where there is none."""
    kubectl, kustomize = tool("kubectl"), tool("kustomize")
    if kubectl is None and kustomize is None:
        pytest.skip("there is neither kubectl nor kustomize")
    command = [kubectl, "kustomize", str(folder)] if kubectl else [str(kustomize), "build", str(folder)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    objects = [one for one in yaml.safe_load_all(text) if one["kind"] != "Namespace"]
    return {render().key_of(one): one for one in objects}


def test_they_are_made_from_the_chart_as_it_is() -> None:
    made = render().files(helm())
    for path, content in made.items():
        assert (MANIFESTS / path).read_text() == content, f"{path}: run `make manifests`"
    there = {
        str(path.relative_to(MANIFESTS)) for part in ("base", "overlays") for path in (MANIFESTS / part).rglob("*.yaml")
    }
    assert there == set(made)
    assert render().OVERLAYS == OVERLAYS


def test_the_base_is_the_chart() -> None:
    assert built(MANIFESTS / "base") == render().chart(helm())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_a_scenario_of_the_chart(overlay: str) -> None:
    assert built(MANIFESTS / "overlays" / overlay) == render().chart(helm(), render().scenario(OVERLAYS[overlay]))


@pytest.mark.parametrize("folder", ["base", *(f"overlays/{name}" for name in OVERLAYS)])
def test_nothing_is_silently_wrong_and_nothing_of_helm_is_left(folder: str) -> None:
    objects = built(MANIFESTS / folder)
    assert not [words for one in objects.values() for words in problems(one)]
    assert not any(kind == "Secret" for kind, _, _ in objects)
    text = yaml.safe_dump_all(objects.values())
    assert "helm.sh" not in text.replace("helm.sh/resource-policy", "")
    assert "managed-by: Helm" not in text


def test_the_namespace_admits_only_restricted_pods() -> None:
    namespace = yaml.safe_load((MANIFESTS / "base/namespace.yaml").read_text())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_storage_initializer_is_mended() -> None:
    patch = yaml.safe_load((MANIFESTS / "kserve/storage-initializer.yaml").read_text())
    shipped = {"name": "storage-initializer", "image": "kserve/storage-initializer:v0.20.0"}
    patched = {"container": shipped | patch["spec"]["container"]}
    assert problems({"kind": "ClusterStorageContainer", "spec": patched}) == []
