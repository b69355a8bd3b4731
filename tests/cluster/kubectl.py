"""kubectl and helm as tests use them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import yaml

from tests.chart.rendering import helm

PATIENCE_SECONDS = 180.0


def program(name: str) -> str:
    """Return where a program is: its variable (``KUBECTL``), else the search path. Skips where it is not."""
    found = os.environ.get(name.upper()) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is neither named by {name.upper()} nor on the path")
    return found


def until(
    what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS, told: Callable[[], str] = str
) -> Any:
    """Return the first true value of a condition. Raises with ``told()`` where none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come to be in {seconds:.0f} s\n{told()}")
        time.sleep(0.5)


class Kubectl:
    """kubectl in one namespace; without one, in none."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace
        self._command = [program("kubectl"), *(("-n", namespace) if namespace else ())]

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command, for a process of its own."""
        return [*self._command, *arguments]

    def tried(
        self, *arguments: str, given: str | None = None, seconds: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run it, whatever comes of it."""
        return subprocess.run(
            self.command(*arguments), input=given, capture_output=True, text=True, timeout=seconds, check=False
        )

    def run(self, *arguments: str, given: str | None = None, seconds: float = 180) -> str:
        """Run it and return what it printed; fails with what it said."""
        ran = self.tried(*arguments, given=given, seconds=seconds)
        assert ran.returncode == 0, f"kubectl {' '.join(arguments)}: {ran.stderr.strip()}"
        return ran.stdout

    def json(self, *arguments: str) -> Any:
        """Return what it printed as JSON."""
        return json.loads(self.run(*arguments, "-o", "json"))

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        return list(self.json("get", kind, *arguments)["items"])

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return one object, None where there is none."""
        ran = self.run("get", kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(ran) if ran else None

    def apply(self, *manifests: Mapping[str, Any], options: Iterable[str] = ()) -> str:
        """Apply manifests on the server's side, as the product does."""
        arguments = ("apply", "--server-side", "--force-conflicts", *options, "-f", "-")
        return self.run(*arguments, given=yaml.safe_dump_all(manifests))

    def admitted(self, *manifests: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """Let the server judge manifests: schemas, webhooks, quotas, Pod Security; nothing is stored."""
        return self.tried("apply", "--server-side", "--dry-run=server", "-f", "-", given=yaml.safe_dump_all(manifests))

    def story(self) -> str:
        """Return what a person would look at first when something does not start."""
        parts = [self.tried("get", "all,isvc", "-o", "wide").stdout]
        parts.append(
            self.tried("get", "events", "--sort-by=.lastTimestamp", "--field-selector=type=Warning").stdout[-3000:]
        )
        for pod in self.tried("get", "pods", "-o", "name").stdout.split():
            parts.append(f"--- {pod}\n{self.tried('logs', pod, '--all-containers', '--tail=8').stdout[-1500:]}")
        return "\n".join(parts)

    def rolled_out(self, *deployments: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until Deployments are what they should be."""
        for name in deployments:
            ran = self.tried(
                "rollout", "status", f"deployment/{name}", f"--timeout={seconds:.0f}s", seconds=seconds + 30
            )
            assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}\n{self.story()}"

    def ready(self, *services: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until InferenceServices are ready."""
        for name in services:
            until(f"InferenceService {name}", lambda name=name: self.is_ready(name), seconds, self.story)

    def is_ready(self, service: str) -> bool:
        """Return whether KServe says of the newest version of an InferenceService that it is ready."""
        found = self.get("inferenceservice", service)
        if found is None or found.get("status", {}).get("observedGeneration", 0) < found["metadata"]["generation"]:
            return False
        return any(one["type"] == "Ready" and one["status"] == "True" for one in found["status"].get("conditions", ()))

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Return the pods with some labels that are not being deleted."""
        return [pod for pod in self.items("pods", "-l", selector) if "deletionTimestamp" not in pod["metadata"]]

    def restarts(self, selector: str) -> int:
        """Return how often a container of those pods was started again at most."""
        states = [one for pod in self.pods(selector) for one in pod["status"].get("containerStatuses", ())]
        return max((one["restartCount"] for one in states), default=0)


class Helm:
    """helm in one namespace."""

    def __init__(self, namespace: str) -> None:
        self._command, self._namespace = helm(), namespace

    def run(self, *arguments: str, seconds: float = 300) -> str:
        """Run it and return what it printed; fails with what it said."""
        ran = self.tried(*arguments, seconds=seconds)
        assert ran.returncode == 0, (
            f"helm {' '.join(arguments)}: {ran.stderr.strip()}\n{Kubectl(self._namespace).story()}"
        )
        return ran.stdout

    def tried(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run it, whatever comes of it."""
        command = [self._command, *arguments, "--namespace", self._namespace]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
