"""The images as a node has them: they run under Pod Security ``restricted`` with a root that cannot be written to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.cluster.calling import SECURITY
from tests.cluster.kubectl import Kubectl
from tests.cluster.release import Images, S3Address, s3_secret

pytestmark = pytest.mark.cluster

READ_ONLY = """
import os, tempfile
assert (os.getuid(), os.getgid()) == (1000, 1000)
try:
    open("/opt/frontdesk/new", "w")
except OSError:
    pass
else:
    raise SystemExit("the root can be written to")
tempfile.TemporaryFile().close()
"""
NOTHING_THAT_INSTALLS = """
import importlib.util, shutil
assert not [name for name in ("pip", "uv") if importlib.util.find_spec(name) or shutil.which(name)]
"""
PROBES = {
    "serving": """
import importlib.util
assert not [name for name in ("torch", "pyspark", "kfp", "mlflow") if importlib.util.find_spec(name)]
import frontdesk.serving.server
""",
    "gateway": """
import importlib.util, subprocess
assert not [name for name in ("torch", "pyspark", "kfp", "kserve") if importlib.util.find_spec(name)]
import frontdesk.serving.gateway.process
subprocess.run(["frontdesk", "keys", "create", "--client", "probe", "--json"], check=True)
""",
    "python-pipelines": """
import os, subprocess
import kfp, kfp.dsl.executor_main, mlflow, feast, pyspark, frontdesk.components
from frontdesk.preprocessing.java import java_home
java_home()
for folder in ("/minio", "/s3", "/gcs"):
    assert os.stat(folder).st_mode & 0o777 == 0o777
import torch
layer = torch.nn.Linear(8, 2)
steps = torch.optim.AdamW(layer.parameters())
layer(torch.ones(4, 8)).square().mean().backward()
steps.step()
""",
}


def pod(name: str, image: str, **container: Any) -> dict[str, Any]:
    """Return a pod of one container as our chart would make it: read-only root, room under /tmp."""
    whole = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": SECURITY,
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    spec = {
        "containers": [whole | container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def kubectl(namespaces: Callable[[str], Kubectl]) -> Kubectl:
    """A namespace of this module."""
    return namespaces("images")


@pytest.mark.parametrize("name", sorted(PROBES))
def test_an_image_does_its_work_with_a_read_only_root(kubectl: Kubectl, images: Images, name: str) -> None:
    script = READ_ONLY + NOTHING_THAT_INSTALLS + PROBES[name]
    kubectl.apply(pod(name, images[name], command=["python", "-c", script]))
    try:
        ended = kubectl.tried("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=170s")
        assert ended.returncode == 0, kubectl.tried("logs", name).stdout or ended.stderr
    finally:
        kubectl.run("delete", "pod", name, "--wait=false")


def test_a_server_starts_cold(
    kubectl: Kubectl, images: Images, stored: dict[str, str], s3_address: S3Address, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pod created until ready, which a server is after it has read its bundle and proven its golden rows."""
    kubectl.apply(s3_secret(s3_address))
    scheme = "https" if s3_address.secure else "http"
    container = {
        "args": ["serve", stored["ticket"], "--host", "0.0.0.0", "--port", "8080"],
        "env": [
            {"name": "AWS_ENDPOINT_URL", "value": f"{scheme}://{s3_address.endpoint}"},
            {"name": "AWS_DEFAULT_REGION", "value": s3_address.region},
        ],
        "envFrom": [{"secretRef": {"name": "frontdesk-s3"}}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1},
    }
    kubectl.apply(pod("cold", images["serving"], **container))
    kubectl.run("wait", "pod/cold", "--for=condition=Ready", "--timeout=170s")
    found = kubectl.json("get", "pod", "cold")
    ready = next(one for one in found["status"]["conditions"] if one["type"] == "Ready")
    seconds = (_time(ready["lastTransitionTime"]) - _time(found["metadata"]["creationTimestamp"])).total_seconds()
    with capsys.disabled():
        print(f"\ncold start of serving, golden rows proven: {seconds:.0f} s after its pod was created")
    kubectl.run("delete", "pod", "cold", "--wait=false")


def test_the_sizes(kubectl: Kubectl, images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    """Nodes tell what they hold. Serving is the smallest but for the gateway, and far from the pipelines."""
    held = [image for node in kubectl.items("nodes") for image in node["status"]["images"]]
    sizes = {name: one["sizeBytes"] for name in PROBES for one in held if images[name] in one["names"]}
    if missing := set(PROBES) - set(sizes):
        pytest.skip(f"no node lists {', '.join(sorted(missing))}")
    with capsys.disabled():
        print("\nimages on the node, MB:", {name: round(size / 1e6) for name, size in sorted(sizes.items())})
    assert sizes["serving"] < sizes["python-pipelines"] / 2


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
