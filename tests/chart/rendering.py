"""What the chart renders: Helm is run once per set of values, and its objects are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/frontdesk"
SCENARIOS = ("default", *sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*.yaml")))
NAMESPACE = "frontdesk"
Manifest = dict[str, Any]


def tool(name: str) -> str | None:
    """Return a program that is named in the environment, installed, or built by `make setup`."""
    built = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "frontdesk/bin" / name
    return os.environ.get(name.upper()) or shutil.which(name) or (str(built) if built.is_file() else None)


@cache
def helm() -> str:
    """Return Helm; skip the test where there is none."""
    found = tool("helm")
    if found is None:
        pytest.skip("there is no helm: `make setup` builds it where Go is installed")
    return found


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm and return what it said, whether or not it failed."""
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, cwd=ROOT, check=False)


@cache
def rendered(scenario: str, *settings: str) -> tuple[Manifest, ...]:
    """Return the objects of a scenario, hooks too, with ``--set`` of more values."""
    values = [] if scenario == "default" else ["--values", str(CHART / "ci" / f"{scenario}-values.yaml")]
    more = [part for setting in settings for part in ("--set", setting)]
    done = run_helm("template", "frontdesk", str(CHART), "--namespace", NAMESPACE, *values, *more)
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> list[Manifest]:
    """Return the objects of some kinds."""
    return [one for one in manifests if one["kind"] in kinds]


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    """Return one object."""
    (found,) = (one for one in of_kind(manifests, kind) if one["metadata"]["name"] == name)
    return found


def services(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """Return the InferenceServices by name: the chart's own, and those that the deploy step applies."""
    waiting = named(manifests, "ConfigMap", "frontdesk-inference-services")["data"] or {}
    both = [*of_kind(manifests, "InferenceService"), *map(yaml.safe_load, waiting.values())]
    return {one["metadata"]["name"]: one for one in both}


def pods(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, dict[str, str], Manifest]]:
    """Yield name, labels and specification of every pod that these objects lead to, as the controllers make them."""
    runtime = named(manifests, "ServingRuntime", "frontdesk")["spec"]
    for one in manifests:
        name = f"{one['kind']}/{one['metadata']['name']}"
        template = one.get("spec", {})
        if one["kind"] == "CronJob":
            template = template["jobTemplate"]["spec"]
        if "template" in template:
            template = template["template"]
            yield name, template["metadata"]["labels"], template["spec"]
    for name, service in services(manifests).items():
        for part in ("predictor", "transformer"):
            if part in service["spec"]:
                spec = dict(service["spec"][part])
                if "model" in spec:
                    (server,) = runtime["containers"]
                    spec["containers"] = [{**server, "resources": spec["model"]["resources"]}]
                    spec["volumes"] = runtime["volumes"]
                labels = service["metadata"]["labels"]
                of_kserve = {"serving.kserve.io/inferenceservice": name, "component": part}
                yield f"InferenceService/{name}/{part}", {**labels, **of_kserve}, spec


def containers(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, Manifest]]:
    """Yield every container of every pod."""
    for name, _, spec in pods(manifests):
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            yield f"{name}/{container['name']}", container


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Return whether a label selector takes labels."""
    if not all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", ()):
        there = rule["key"] in labels
        if not (there if rule["operator"] == "Exists" else labels.get(rule["key"]) in rule["values"]):
            return False
    return True
