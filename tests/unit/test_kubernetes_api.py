"""What is said where no cluster answers. What a cluster answers is asked in ``tests/cluster``."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from frontdesk.errors import ClusterError
from frontdesk.kubernetes_api import Cluster


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a kubeconfig of this user nor a pod's service account."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig(path: Path, port: int) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "me", "user": {"token": "of-nobody"}}],
            }
        )
    )
    return path


def test_without_a_kubeconfig_and_outside_of_a_pod() -> None:
    with pytest.raises(ClusterError, match="no cluster is configured") as caught:
        Cluster()
    assert caught.value.where == "KUBECONFIG"


@pytest.mark.parametrize("content", ["", "[1", "- a", "apiVersion: v1", "contexts: 7\ncurrent-context: here"])
def test_a_broken_kubeconfig(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(ClusterError, match="no cluster is configured"):
        Cluster()


def test_a_context_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", 1)))
    with pytest.raises(ClusterError, match="no cluster is configured"):
        Cluster("there")


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", port)))
    cluster = Cluster()
    for ask in (
        lambda: cluster.get("v1", "ConfigMap", "desk", "one"),
        lambda: cluster.list("v1", "ConfigMap"),
        lambda: cluster.can("get", "", "pods/log", "desk"),
    ):
        with pytest.raises(ClusterError, match="does not answer") as caught:
            ask()
        assert caught.value.where == f"http://127.0.0.1:{port}"
        assert "of-nobody" not in str(caught.value)
