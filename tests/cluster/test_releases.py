"""Install, upgrade, uninstall: what the chart leaves behind is nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.kubectl import Kubectl, until
from tests.cluster.release import CHART, Release, S3Address, database_secret, s3_secret

pytestmark = pytest.mark.cluster
EVERYBODY = {"configmap/kube-root-ca.crt", "serviceaccount/default", "configmap/istio-ca-root-cert"}
PASSING = ("event", "endpoints", "endpointslice", "pod.metrics", "lease", "podmetrics")
"""Kinds that others write, and that end by themselves."""


def everything(kubectl: Kubectl) -> set[str]:
    """Return every object of a namespace as ``kind/name``, whatever kinds the cluster knows."""
    kinds = kubectl.run("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    asked = ",".join(kind for kind in kinds if not kind.startswith(PASSING))
    names = kubectl.run("get", asked, "-o", "name", "--ignore-not-found").split()
    return {name.replace(".apps", "") for name in names} - EVERYBODY


def older(folder: Path) -> Path:
    """Return the chart as an earlier release would have been: this is the first, so only its version differs."""
    chart = folder / "frontdesk"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text("utf-8"))
    about |= {"version": "0.0.9", "appVersion": "0.0.9"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
    return chart


def test_upgrade_and_uninstall(
    namespaces: Callable[[str], Kubectl],
    values: dict[str, Any],
    s3_address: S3Address,
    tmp_path: Path,
) -> None:
    kubectl = namespaces("releases")
    off = {recipe: {"enabled": False} for recipe in ("email", "intent")}
    given = values | {"recipes": values["recipes"] | off}
    ours = [s3_secret(s3_address), database_secret()]
    kubectl.apply(*ours)
    before = everything(kubectl)

    Release(kubectl, given, older(tmp_path)).install()
    kubectl.ready("ticket")
    kubectl.rolled_out("frontdesk-gateway")
    first = everything(kubectl)
    release = Release(kubectl, given)
    release.install()
    kubectl.ready("ticket")
    kubectl.rolled_out("frontdesk-gateway", "ticket-predictor")
    assert _versions(kubectl) == {yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]}
    assert {one.partition("/")[0] for one in first} <= {one.partition("/")[0] for one in everything(kubectl)}

    release.uninstall()
    left = until(
        "an empty namespace", lambda: everything(kubectl) == before, told=lambda: str(everything(kubectl) - before)
    )
    assert left


def _versions(kubectl: Kubectl) -> set[str]:
    found = [*kubectl.items("deployments", "-l", "app.kubernetes.io/part-of=frontdesk"), *kubectl.items("isvc")]
    return {one["metadata"]["labels"]["app.kubernetes.io/version"] for one in found}
