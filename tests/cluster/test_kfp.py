"""The lifecycle on a real pipeline server: submitted, killed in its training, taken up again, deployed, scheduled.

Needs ``KFP_ENDPOINT``. One run serves most tests, because a server starts a step in ten seconds and more.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp.client import Client
from kfp_server_api import ApiException

from frontdesk.components.server import EXPERIMENT, Server
from frontdesk.deployment import current
from frontdesk.simulation.tickets import simulate, write
from frontdesk.storage import Store
from tests.cluster.calling import Caller
from tests.cluster.kubectl import Kubectl, until
from tests.cluster.parts import ask_ticket, registry_server, ticket_parts
from tests.cluster.release import Images, S3Address, s3_secret

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),  # five minutes on two free cores
    # Of the SDK, about releases of servers.
    pytest.mark.filterwarnings("ignore:This client only works with Kubeflow Pipeline:FutureWarning"),
    pytest.mark.skipif("KFP_ENDPOINT" not in os.environ, reason="KFP_ENDPOINT names no pipeline server"),
]

KFP_NAMESPACE = os.environ.get("KFP_NAMESPACE", "kubeflow")
BACKEND = os.environ.get("KFP_BACKEND", "2.0")
PARAMETERS = {
    "epochs": 1000,  # half a minute or more, long enough to be killed in
    "checkpoint_seconds": 0.5,
    "embedding": 16,
    "filters": 16,
    "hidden": 32,
    "max_tokens": 48,
    "split": "random",
}
STEP = {"cpu": "50m", "memory": "128Mi", "cpu_limit": "2", "memory_limit": "3Gi", "hours": 1}
STEPS = ("etl", "spark_preprocess", "data_transfer", "train", "fuse", "gate", "deploy", "hold")


@dataclass
class Desk:
    """A store, a registry, a serving namespace, and a server that runs pipelines."""

    serving: Kubectl
    pipelines: Kubectl
    image: str
    store: Store
    folder: Path
    environment: dict[str, str]
    server: Client
    told: dict[str, Any] = field(default_factory=dict)

    def frontdesk(self, *arguments: str) -> Any:
        """Run a command of ours; return its JSON."""
        command = [sys.executable, "-m", "frontdesk.cli.main", *arguments, "--json"]
        environment = os.environ | self.environment
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
        return json.loads(ran.stdout)


def claim(name: str, folder: str, dynamic: bool) -> list[dict[str, Any]]:
    """Return the training node's disk: of the cluster's own storage class, or a folder of the node."""
    size = {"storage": "1Gi"}
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}}
    volume = {
        "capacity": size,
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": folder, "type": "DirectoryOrCreate"},
        "storageClassName": "",
    }
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": spec if dynamic else spec | {"storageClassName": "", "volumeName": name},
    }
    own = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume}
    return [wanted] if dynamic else [own, wanted]


def on_disk(kubectl: Kubectl, image: str, name: str, command: str) -> None:
    """Run a command as root on the training node's disk."""
    container = {
        "name": "main",
        "image": image,
        "command": ["sh", "-c", command],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "volumeMounts": [{"name": "disk", "mountPath": "/disk"}],
    }
    volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": name}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    until("the disk", lambda: (kubectl.get("pod", name) or {})["status"].get("phase") == "Succeeded", 60, kubectl.story)
    kubectl.run("delete", "pod", name, "--grace-period=0", "--force")


@pytest.fixture(scope="module")
def kfp(
    namespaces: Callable[[str], Kubectl],
    images: Images,
    s3_address: S3Address,
    run_name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("kfp")
    serving, pipelines, image = namespaces("kfp"), Kubectl(KFP_NAMESPACE), images["python-pipelines"]
    name, registry = f"frontdesk-test-{run_name}", f"http://mlflow.{serving.namespace}:5000"
    store = Store(f"{s3_address.prefix}/kfp")
    scheme = "https" if s3_address.secure else "http"
    parts = ticket_parts(serving.namespace or "", KFP_NAMESPACE, images, s3_address, store.root, folder)
    dynamic = any(
        one["metadata"].get("annotations", {}).get("storageclass.kubernetes.io/is-default-class") == "true"
        for one in Kubectl().items("storageclass")
    )
    disk = claim(name, f"/var/tmp/{name}", dynamic)
    here = [one for one in parts if one["metadata"].get("namespace", serving.namespace) == serving.namespace]
    there = [one for one in parts if one not in here]
    file = folder / "cluster.yaml"
    content = {
        "format": 1,
        "backend": BACKEND,
        "image": image,
        "service_account": "frontdesk-pipelines",
        "environment": {
            "AWS_ENDPOINT_URL": f"{scheme}://{s3_address.endpoint}",
            "AWS_DEFAULT_REGION": s3_address.region,
            "FRONTDESK_SERVING_NAMESPACE": serving.namespace,
            "FRONTDESK_SERVING_SECONDS": "120",
            "FRONTDESK_SPARK_MASTER": "local[1]",
            "FRONTDESK_SPARK_MEMORY": "1g",
            "FRONTDESK_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "HOME": "/tmp",
        },
        "secrets": {name: {key: key for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}},
        "volume": name,
        "accelerators": 0,
        "steps": dict.fromkeys(STEPS, STEP),
    }
    file.write_text(yaml.safe_dump(content))
    environment = {
        "FRONTDESK_KFP": os.environ["KFP_ENDPOINT"],
        "FRONTDESK_STORE": store.root,
        "FRONTDESK_MLFLOW": registry,
        "FRONTDESK_CLUSTER": str(file),
    }
    try:
        serving.apply(s3_secret(s3_address), *registry_server(image), *here)
        pipelines.apply(s3_secret(s3_address, name), *there)
        pipelines.apply(*disk)
        on_disk(pipelines, image, name, "chmod 777 /disk")
        serving.rolled_out("mlflow")
        write(simulate(400, seed=3), folder / "tickets.parquet")
        store.put((folder / "tickets.parquet").read_bytes(), "tickets.parquet")
        server = Client(os.environ["KFP_ENDPOINT"])
        sets = [part for key, value in PARAMETERS.items() for part in ("--set", f"{key}={value}")]
        asked = ("--data", store.uri("tickets.parquet"), *sets)
        desk = Desk(serving, pipelines, image, store, folder, environment, server, {"asked": asked})
        yield desk
        for run in (desk.told["submitted"]["run"], *desk.told.get("fired", ())):  # their pods hold the disk
            pipelines.run("delete", "pods", "-l", f"pipeline/runid={run}", "--ignore-not-found")
        on_disk(pipelines, image, name, "rm -rf /disk/*")
    finally:
        for one in [*there, *disk, s3_secret(s3_address, name)]:
            pipelines.tried("delete", one["kind"], one["metadata"]["name"], "--ignore-not-found", "--timeout=60s")


def pods_of(kfp: Desk, run: str, step: str) -> list[dict[str, Any]]:
    """Return the pods of a step, oldest first: known by its source in their arguments, which their drivers have too."""
    pods = kfp.pipelines.items("pods", "-l", f"pipeline/runid={run}")
    found = [
        pod for pod in pods if f"def {step}(" in json.dumps(pod["spec"]) and "-driver-" not in pod["metadata"]["name"]
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def log_of(kfp: Desk, pod: dict[str, Any]) -> str:
    return kfp.pipelines.tried("logs", pod["metadata"]["name"], "-c", "main").stdout


def ended(kfp: Desk, run: str) -> str | None:
    state = str(kfp.server.get_run(run).state)
    return state if state in ("SUCCEEDED", "FAILED", "ERROR", "CANCELED") else None


def story(kfp: Desk, run: str) -> str:
    """Return how the failed pods of a run ended."""
    pods = kfp.pipelines.items("pods", "-l", f"pipeline/runid={run}")
    lines = [f"{pod['metadata']['name']} {pod['status']['phase']}" for pod in pods]
    failed = [pod for pod in pods if pod["status"]["phase"] not in ("Succeeded",)]
    return "\n".join([*lines, *(log_of(kfp, pod)[-1500:] for pod in failed)])


def await_training(kfp: Desk, run: str) -> dict[str, Any]:
    """Return the pod of a training that runs, and has kept a checkpoint."""

    def training() -> dict[str, Any] | None:
        assert ended(kfp, run) is None, story(kfp, run)
        for pod in pods_of(kfp, run, "train"):
            if log_of(kfp, pod).count('"event":"epoch"') >= 10:
                assert pod["status"]["phase"] == "Running", "the training ended before it was seen: give it more epochs"
                return pod
        return None

    found: dict[str, Any] = until("a training under way", training, 700, lambda: story(kfp, run))
    return found


def runs_of_schedule(kfp: Desk, name: str) -> list[str]:
    """Return the runs that a recurring run has started."""
    experiment = kfp.server.get_experiment(experiment_name=EXPERIMENT).experiment_id
    (schedule,) = (one for one in Server(os.environ["KFP_ENDPOINT"]).recurring() if one.name == name)
    found = kfp.server.list_runs(experiment_id=experiment, page_size=50, sort_by="created_at desc").runs or ()
    return [one.run_id for one in found if one.recurring_run_id == schedule.id]


def unschedule(name: str) -> None:
    server = Server(os.environ["KFP_ENDPOINT"])
    for one in server.recurring():
        if one.name == name:
            server.remove(one.id)


@pytest.fixture(scope="module")
def run(kfp: Desk) -> str:
    """A lifecycle whose training pod was killed once, retried, and succeeded."""
    kfp.told["submitted"] = kfp.frontdesk("submit", "ticket", *kfp.told["asked"])
    started = str(kfp.told["submitted"]["run"])
    victim = await_training(kfp, started)
    kfp.pipelines.run("delete", "pod", victim["metadata"]["name"], "--grace-period=0", "--force")
    # Argo makes a pod anew that is gone before it was looked at; one that it saw fails the run.
    state = until("the end of the killed run", lambda: ended(kfp, started), 700, lambda: story(kfp, started))
    if state != "SUCCEEDED":  # a server of release 2.0 retries nothing by itself
        kfp.server._run_api.run_service_retry_run(started)
        until("the retry", lambda: ended(kfp, started) is None, 60)
        state = until("the end of the retry", lambda: ended(kfp, started), 700, lambda: story(kfp, started))
    assert state == "SUCCEEDED", story(kfp, started)
    return started


@pytest.fixture(scope="module")
def fired(kfp: Desk, run: str) -> str:
    """A run that a schedule started; the schedule is gone, and the run ended."""
    name = str(kfp.serving.namespace)
    schedule = ("schedule", "ticket", "--name", name, "--cron", "* * * * *", *kfp.told["asked"])
    try:
        kfp.told["scheduled"] = [kfp.frontdesk(*schedule)["changes"][0]["action"] for _ in range(2)]
        kfp.told["fired"] = until("a run of the schedule", lambda: runs_of_schedule(kfp, name), 240)
    finally:
        unschedule(name)
    for one in kfp.told["fired"]:
        with contextlib.suppress(ApiException):  # an old server's runs go with their schedule
            kfp.server.terminate_run(one)
    return str(kfp.told["fired"][0])


def test_the_retry_goes_on_from_the_checkpoint(kfp: Desk, run: str) -> None:
    (pod,) = [pod for pod in pods_of(kfp, run, "train") if pod["status"]["phase"] == "Succeeded"]
    events = [json.loads(line) for line in log_of(kfp, pod).splitlines() if line.startswith('{"at"')]
    (resumed,) = [one for one in events if one["event"] == "training_resumed"]
    assert 0 < resumed["step"] < resumed["of"]


def test_artifacts_lie_in_the_object_store(kfp: Desk, run: str) -> None:
    from pyarrow.fs import FileSelector

    from frontdesk.storage import filesystem

    files, path = filesystem(f"s3://{os.environ.get('KFP_BUCKET', 'mlpipeline')}/v2/artifacts/ticket-lifecycle/{run}")
    kept = {Path(one.path).name: one for one in files.get_file_info(FileSelector(path, recursive=True)) if one.is_file}
    for name in (
        "snapshot",
        "counts",
        "checks",
        "tensors",
        "model",
        "bundle",
        "metrics",
        "confusion",
        "report",
        "verdict",
    ):
        assert kept[name].size > 0, name
    with files.open_input_stream(kept["report"].path) as file:
        assert b"<html" in file.read(1000).lower()
    with files.open_input_stream(kept["verdict"].path) as file:
        assert file.read().startswith(b"### Gate: promote")


def test_the_deployed_service_answers_as_the_new_model(kfp: Desk, run: str, images: Images) -> None:
    deployed = current(kfp.store, "ticket")
    assert deployed is not None
    namespace = kfp.serving.namespace or ""
    caller = Caller(kfp.serving, images["serving"])
    assert ask_ticket(caller, namespace, deployed["uri"]) == ({deployed["model_id"]}, 0)
    service = kfp.serving.get("inferenceservice", "ticket")
    assert service is not None
    assert service["metadata"]["annotations"]["frontdesk/model-id"] == deployed["model_id"]
    assert service["metadata"]["ownerReferences"][0]["name"] == "frontdesk-inference-services"


def test_a_schedule_fires_and_is_declared_once(kfp: Desk, run: str, fired: str) -> None:
    assert kfp.told["scheduled"] == ["create", "keep"]
    assert run not in kfp.told["fired"]
    found = kfp.server.get_run(fired)
    assert found.pipeline_version_reference.pipeline_version_id == (
        kfp.server.get_run(run).pipeline_version_reference.pipeline_version_id
    )
    # An old server tells the account of submitted runs only.
    assert kfp.server.get_run(run).service_account == "frontdesk-pipelines"
    assert found.service_account in ("frontdesk-pipelines", None)
