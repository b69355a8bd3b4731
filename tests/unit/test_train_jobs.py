"""The jobs of a training on several nodes: what is rendered, and what the train step makes of how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from frontdesk import training_nodes
from frontdesk.errors import ClusterError, TrainingError, UsageError
from frontdesk.settings import TrainNodes, read_settings
from frontdesk.storage import Store
from frontdesk.ticket.recipe import TicketParameters
from frontdesk.train_jobs import Work, manifests
from frontdesk.training_nodes import train_on_nodes

WORK = Work(
    name="frontdesk-train-0123456789ab",
    namespace="desk",
    image="registry/frontdesk:1",
    python="/opt/python",
    store="s3://bucket/store",
    tensors="t1",
    parameters="{}",
    environment={"AWS_ENDPOINT_URL": "http://store:9000", "AWS_SECRET_ACCESS_KEY": "a secret", "HOME": "/root"},
)
NODES = TrainNodes(nodes=3, processes=2, s3_secret_name="frontdesk-s3", accelerators=2, backend="nccl")


def exactly(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of an object with these fields and no others."""
    fields = required | (optional or {})
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def many(items: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list that is not empty."""
    return {"type": "array", "items": items, "minItems": 1}


TEXT, NUMBER, TRUTH, ANY = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "object"}
REFERENCE = exactly({"secretKeyRef": exactly({"name": TEXT, "key": TEXT})})
CONTAINER = exactly(
    {
        "name": TEXT,
        "image": TEXT,
        "command": many(TEXT),
        "env": many(exactly({"name": TEXT}, {"value": TEXT, "valueFrom": REFERENCE})),
        "resources": exactly({"requests": ANY, "limits": ANY}),
        "terminationMessagePolicy": {"const": "FallbackToLogsOnError"},
        "securityContext": {
            "const": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        },
        "volumeMounts": many(exactly({"name": TEXT, "mountPath": TEXT})),
    }
)
POD = exactly(
    {
        "metadata": ANY,
        "spec": exactly(
            {
                "automountServiceAccountToken": {"const": False},
                "enableServiceLinks": TRUTH,
                "securityContext": exactly(
                    {
                        "runAsNonRoot": {"const": True},
                        "runAsUser": {"const": 1000},
                        "fsGroup": NUMBER,
                        "seccompProfile": ANY,
                    }
                ),
                "containers": many(CONTAINER),
                "volumes": many(ANY),
            },
            {"restartPolicy": TEXT, "serviceAccountName": TEXT, "tolerations": many(ANY)},
        ),
    }
)
METADATA = exactly(
    {"name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,48})$"}, "namespace": TEXT, "labels": ANY}
)
# The fields that we use of Kubeflow Trainer 2.x and of the Training Operator 1.9, read in their CRDs.
SCHEMAS = {
    "TrainingRuntime": exactly(
        {
            "apiVersion": {"const": "trainer.kubeflow.org/v1alpha1"},
            "kind": TEXT,
            "metadata": METADATA,
            "spec": exactly(
                {
                    "mlPolicy": exactly({"numNodes": NUMBER, "torch": exactly({})}),
                    "template": exactly(
                        {
                            "spec": exactly(
                                {
                                    "failurePolicy": exactly({"maxRestarts": NUMBER}),
                                    "replicatedJobs": many(
                                        exactly(
                                            {
                                                "name": {"const": "node"},
                                                "template": exactly(
                                                    {
                                                        "metadata": ANY,
                                                        "spec": exactly({"backoffLimit": NUMBER, "template": POD}),
                                                    }
                                                ),
                                            }
                                        )
                                    ),
                                }
                            )
                        }
                    ),
                }
            ),
        }
    ),
    "TrainJob": exactly(
        {
            "apiVersion": {"const": "trainer.kubeflow.org/v1alpha1"},
            "kind": TEXT,
            "metadata": METADATA,
            "spec": exactly(
                {
                    "runtimeRef": exactly({"apiGroup": TEXT, "kind": {"const": "TrainingRuntime"}, "name": TEXT}),
                    "trainer": exactly({"numNodes": NUMBER, "numProcPerNode": NUMBER}),
                }
            ),
        }
    ),
    "PyTorchJob": exactly(
        {
            "apiVersion": {"const": "kubeflow.org/v1"},
            "kind": TEXT,
            "metadata": METADATA,
            "spec": exactly(
                {
                    "nprocPerNode": TEXT,
                    "runPolicy": exactly(
                        {"cleanPodPolicy": TEXT, "backoffLimit": NUMBER, "activeDeadlineSeconds": NUMBER}
                    ),
                    "elasticPolicy": exactly({"minReplicas": NUMBER, "maxReplicas": NUMBER, "rdzvBackend": TEXT}),
                    "pytorchReplicaSpecs": exactly(
                        {"Worker": exactly({"replicas": NUMBER, "restartPolicy": TEXT, "template": POD})}
                    ),
                }
            ),
        }
    ),
}


def container_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the container of a runtime or a PyTorchJob."""
    spec = manifest["spec"]
    if manifest["kind"] == "PyTorchJob":
        pod = spec["pytorchReplicaSpecs"]["Worker"]["template"]
    else:
        pod = spec["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    return container


@pytest.mark.parametrize("kind", ["TrainJob", "PyTorchJob"])
def test_manifests_have_the_fields_of_their_kinds(kind: str) -> None:
    found = manifests(WORK, NODES.model_copy(update={"kind": kind}))
    assert found[-1]["kind"] == kind
    for manifest in found:
        jsonschema_rs.validate(SCHEMAS[manifest["kind"]], manifest)
    text = json.dumps(found)
    assert "a secret" not in text
    assert "/root" not in text


@pytest.mark.parametrize("kind", ["TrainJob", "PyTorchJob"])
def test_every_node_starts_torchrun_with_our_worker(kind: str) -> None:
    found = manifests(WORK, NODES.model_copy(update={"kind": kind}))
    container = container_of(found[0])
    assert container["name"] == ("node" if kind == "TrainJob" else "pytorch")
    assert container["command"][:5] == ["/opt/python", "-m", "torch.distributed.run", "--module", "frontdesk.cli.main"]
    assert container["command"][5:7] == ["train-worker", "--tensors"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    env = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}
    assert env["AWS_ENDPOINT_URL"] == "http://store:9000"
    assert env["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "frontdesk-s3", "key": "AWS_SECRET_ACCESS_KEY"}}


def test_how_many_nodes_and_processes() -> None:
    job = manifests(WORK, NODES)[-1]
    assert job["spec"]["trainer"] == {"numNodes": 3, "numProcPerNode": 2}
    job = manifests(WORK, NODES.model_copy(update={"kind": "PyTorchJob"}))[-1]
    assert job["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"] == 3
    assert job["spec"]["nprocPerNode"] == "2"


def test_the_settings_are_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_TRAIN_NODES", "2")
    assert read_settings(TrainNodes).nodes == 2
    monkeypatch.setenv("FRONTDESK_TRAIN_KIND", "MPIJob")
    with pytest.raises(UsageError) as caught:
        read_settings(TrainNodes)
    assert caught.value.where == "FRONTDESK_TRAIN_KIND"


class Remote(Store):
    """A store on this machine that says it is not."""

    local = False


class Jobs:
    """What the step needs of a cluster: a job goes through the given states, one per look."""

    def __init__(self, states: list[Any]) -> None:
        self.states, self.applied, self.deleted = states, [], []

    def apply(self, manifest: dict[str, Any], *, manager: str) -> dict[str, Any]:
        self.applied.append(manifest["kind"])
        return manifest

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        if callable(state):
            state = state()
        return {"status": {"conditions": [{"type": state, "status": "True", "message": "said so"}]}} if state else state

    def delete(self, api_version: str, kind: str, namespace: str, name: str) -> None:
        self.deleted.append(kind)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not sleep between two looks."""
    monkeypatch.setattr(training_nodes, "_POLL_SECONDS", 0.0)


def start(tmp_path: Path, jobs: Jobs) -> Path:
    """Run the step's part against a store of this machine."""
    nodes = NODES.model_copy(update={"namespace": "desk"})
    store = Remote(str(tmp_path / "store"))
    return train_on_nodes(store, "t1", TicketParameters(), tmp_path / "work", nodes, jobs)  # type: ignore[arg-type]


@pytest.mark.usefixtures("patient")
def test_a_failed_job_is_told_and_removed(tmp_path: Path) -> None:
    jobs = Jobs([None, "Created", "Running", "Failed"])
    with pytest.raises(TrainingError, match="said so"):
        start(tmp_path, jobs)
    assert jobs.applied == ["TrainingRuntime", "TrainJob"]
    assert jobs.deleted == ["TrainJob", "TrainingRuntime"]


@pytest.mark.usefixtures("patient")
def test_a_running_job_is_waited_for_through_a_silent_server(tmp_path: Path) -> None:
    jobs = Jobs(["Running", ClusterError("silent"), "Running", "Complete"])
    with pytest.raises(TrainingError, match="wrote no network"):
        start(tmp_path, jobs)
    assert jobs.applied == []
    assert jobs.states == []


@pytest.mark.usefixtures("patient")
def test_an_error_in_asking_leaves_the_job_to_the_next_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_nodes, "_SILENT_POLLS", 1)
    jobs = Jobs([None, "Running", ClusterError("silent"), ClusterError("silent")])
    with pytest.raises(ClusterError):
        start(tmp_path, jobs)
    assert jobs.deleted == []


def test_a_store_of_this_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="do not see this machine's files"):
        train_on_nodes(Store(str(tmp_path)), "t1", TicketParameters(), tmp_path, NODES, Jobs([]))  # type: ignore[arg-type]
