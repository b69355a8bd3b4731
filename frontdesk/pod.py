"""The pod that this process runs in, and what the pods that it makes have in common."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

STORE_ENVIRONMENT = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EC2_METADATA_DISABLED",
)
"""What pods that we make need of our own environment: where the store is, never a key."""
STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""What they get from a secret, by reference."""


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


def restricted_container() -> dict[str, Any]:
    """Return the security context that Pod Security ``restricted`` asks of a container, with a read-only root."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
