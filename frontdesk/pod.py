"""The pod that this process runs in."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def own_namespace() -> str | None:
    """Return the namespace of this pod; None outside of a cluster, or in a pod without a service account's token."""
    return _NAMESPACE_FILE.read_text("utf-8").strip() if _NAMESPACE_FILE.is_file() else None


def own_name() -> str:
    """Return the name of this pod: what Kubeflow Pipelines says, else the host's name, which is cut at 63 letters."""
    return os.environ.get("KFP_POD_NAME") or socket.gethostname()


def own_address() -> str:
    """Return the address of this pod."""
    return socket.gethostbyname(socket.gethostname())
