"""Calls from inside the cluster: a pod of our serving image that runs `caller.py`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import Kubectl, until

SCRIPT = Path(__file__).with_name("caller.py").read_text("utf-8")
LABELS = {"frontdesk/test": "caller"}
SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass
class Called:
    """What came of some calls.

    Attributes:
        statuses: ``{HTTP status: answers}``.
        errors: ``{what broke: times}``, answers that are not 200 among them.
        models: ``{model_id: answered instances}``.
        sent_again: calls over a connection that the server had closed.
        bad_for: seconds between the first and the last call that failed.
        last: the last answer.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    sent_again: int = 0
    p50: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0
    bad_for: float = 0.0
    last: Any = None

    @property
    def failed(self) -> int:
        """Calls without an answer 200."""
        return self.calls - self.statuses.get("200", 0)

    def __str__(self) -> str:
        times = f"p50 {self.p50 * 1e3:.0f}, p99 {self.p99 * 1e3:.0f}, slowest {self.slowest * 1e3:.0f} ms"
        words = f"{self.calls} calls, {self.failed} failed, models {self.models}, {times}"
        if self.failed:
            words += f"; within {self.bad_for:.1f} s: {self.statuses} {self.errors}"
        return words


class Caller:
    """A client in a namespace of the cluster. Network policies of the namespace let it out, and to every port."""

    def __init__(self, kubectl: Kubectl, image: str) -> None:
        self._kubectl = kubectl
        container = {
            "name": "caller",
            "image": image,
            "command": ["python", "-c", "import signal; signal.pause()"],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            "securityContext": SECURITY,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "caller", "labels": LABELS},
            "spec": {
                "containers": [container],
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
            },
        }
        kubectl.apply(pod, *_open())
        kubectl.run("wait", "--for=condition=Ready", "pod/caller", "--timeout=120s")

    def ask(self, url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        """Return the answer to one call; fails where it is not 200."""
        found = self.call(url, body, headers)
        assert not found.failed, str(found)
        return found.last

    def call(self, url: str, body: Any, headers: dict[str, str] | None = None) -> Called:
        """Return what came of one call."""
        asked = json.dumps({"url": url, "body": body, "headers": headers or {}, "calls": 1})
        return Called(**json.loads(self._kubectl.run("exec", "caller", "--", "python", "-c", SCRIPT, asked)))

    @contextmanager
    def calling(self, url: str, body: Any, **options: Any) -> Iterator[Called]:
        """Call all the time while the block runs; what came of it is filled in when it ends.

        Args:
            options: see `caller`.
        """
        asked = json.dumps({"url": url, "body": body, "connections": 2, "pause": 0.05} | options)
        command = self._kubectl.command("exec", "-i", "caller", "--", "python", "-c", SCRIPT, asked)
        found = Called()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            try:
                assert process.stdout.readline().strip() == "calling", "the caller did not start"
                yield found
            finally:
                process.stdin.close()
                text = process.stdout.read()
        assert text, "the caller died"
        found.__dict__.update(Called(**json.loads(text)).__dict__)


def answered(caller: Caller, url: str, body: Any) -> Any:
    """Return the first answer of a service; its pods are ready a moment before the Service leads to them."""
    last = Called()

    def ask() -> bool:
        nonlocal last
        last = caller.call(url, body)
        return bool(last.statuses)

    until(url, ask, 60, lambda: str(last))
    assert not last.failed, str(last)
    return last.last


def _open() -> list[dict[str, Any]]:
    """Return network policies that let the caller reach everything here, where policies are enforced."""
    about = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    chosen = {"matchLabels": LABELS}
    out = {"podSelector": chosen, "policyTypes": ["Egress"], "egress": [{}]}
    to = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": chosen}]}]}
    return [
        {**about, "metadata": {"name": "caller-out"}, "spec": out},
        {**about, "metadata": {"name": "caller-in"}, "spec": to},
    ]
