"""The chart, installed in a namespace."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from frontdesk.storage import Store
from tests.cluster.kubectl import Helm, Kubectl

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/frontdesk"
NAME = "frontdesk"
SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
"""What a server of a small bundle gets, so that many fit on a small node."""


@dataclass(frozen=True)
class Images:
    """Names of our images as the cluster's nodes know them."""

    registry: str
    tag: str

    def __getitem__(self, name: str) -> str:
        return f"{self.registry}/{name}:{self.tag}"


@dataclass(frozen=True)
class S3Address:
    """The object store as pods reach it, which is also how tests do.

    Attributes:
        endpoint: host and port.
        prefix: of everything that this run puts there.
    """

    endpoint: str
    secure: bool
    region: str
    prefix: str

    @property
    def store(self) -> Store:
        """The place of this run."""
        return Store(self.prefix)


class Release:
    """One installation of the chart.

    Args:
        values: of the chart; changes go on top of them.
    """

    def __init__(self, kubectl: Kubectl, values: Mapping[str, Any], chart: Path = CHART) -> None:
        assert kubectl.namespace is not None
        self.kubectl, self.helm, self._chart = kubectl, Helm(kubectl.namespace), chart
        self.namespace, self._values = kubectl.namespace, values

    def install(self, changes: Mapping[str, Any] | None = None, *arguments: str) -> None:
        """Install the chart, or upgrade what is installed, and wait for nothing but Helm's own hooks."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "values.yaml"
            file.write_text(yaml.safe_dump(merged(self._values, changes or {})))
            self.helm.run("upgrade", "--install", NAME, str(self._chart), "--values", str(file), *arguments)

    def url(self, service: str, path: str) -> str:
        """Return an address as pods of the namespace reach it."""
        return f"http://{service}.{self.namespace}.svc.cluster.local{path}"

    def uninstall(self) -> None:
        """Remove the release and wait until its objects are gone."""
        self.helm.run("uninstall", NAME, "--wait", "--ignore-not-found")


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with changes on top, as Helm puts one file of values over another."""
    result = copy.deepcopy(dict(values))
    for key, value in changes.items():
        inside = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if inside else copy.deepcopy(value)
    return result


def s3_secret(address: S3Address, name: str = "frontdesk-s3") -> dict[str, Any]:
    """Return the secret of the object store as KServe's storage initializer and our steps read it."""
    kserve = {
        "s3-endpoint": address.endpoint,
        "s3-usehttps": str(int(address.secure)),
        "s3-region": address.region,
        "s3-useanoncredential": "false",
    }
    about = {"name": name, "annotations": {f"serving.kserve.io/{key}": value for key, value in kserve.items()}}
    keys = {key: os.environ[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "stringData": keys}


def database_secret(name: str = "frontdesk-database") -> dict[str, Any]:
    """Return the secret of the bundled database, which is made with its password; the same at every run."""
    about = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "stringData": {"password": "of-a-test"}}
