"""The Kubernetes objects of a training on several nodes: pure functions of what is asked for.

Kubeflow Trainer (v2) takes a TrainJob and the TrainingRuntime that it refers to; the Training Operator (v1) takes one
PyTorchJob. Either tells ``torchrun`` in every pod, by ``PET_*`` variables, who its peers are. The pods are admitted
under Pod Security ``restricted``, hold no token, and know the store's keys by reference only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frontdesk.pod import STORE_ENVIRONMENT, STORE_KEYS, restricted_container
from frontdesk.settings import TrainNodes

TRAINER, TRAINING_OPERATOR = "trainer.kubeflow.org/v1alpha1", "kubeflow.org/v1"
MANAGER = "frontdesk-train"
_NODE, _PYTORCH = "node", "pytorch"
"""Names that the controllers give the container."""
_WORK = "/work"
_USER = 1000
_FORWARDED = (
    *STORE_ENVIRONMENT,
    "FRONTDESK_DEVICE",
    "FRONTDESK_THREADS",
    "FRONTDESK_LOG_LEVEL",
    "FRONTDESK_TRAIN_BACKEND",
)


@dataclass(frozen=True)
class Work:
    """What is trained, and by what.

    Attributes:
        name: of the objects.
        namespace: where they live.
        image: of the pods.
        python: interpreter inside the image.
        store, tensors, parameters: arguments of ``frontdesk train-worker``.
        environment: the step's own; see `_FORWARDED`.
    """

    name: str
    namespace: str
    image: str
    python: str
    store: str
    tensors: str
    parameters: str
    environment: Mapping[str, str]


def manifests(work: Work, nodes: TrainNodes) -> list[dict[str, Any]]:
    """Return the objects in the order in which they are applied; the last one is the job."""
    if nodes.kind == "PyTorchJob":
        return [_pytorch_job(work, nodes)]
    return [_runtime(work, nodes), _train_job(work, nodes)]


def _metadata(work: Work) -> dict[str, Any]:
    return {"name": work.name, "namespace": work.namespace, "labels": _labels()}


def _labels() -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "frontdesk",
        "app.kubernetes.io/component": "train-worker",
        "app.kubernetes.io/part-of": "frontdesk",
        "app.kubernetes.io/managed-by": "frontdesk",
    }


def _runtime(work: Work, nodes: TrainNodes) -> dict[str, Any]:
    """Return a runtime of our own: those that Trainer brings are not admitted under ``restricted``."""
    job = {
        "name": _NODE,
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {"backoffLimit": 0, "template": _pod(work, nodes, _NODE, "Never")},
        },
    }
    return {
        "apiVersion": TRAINER,
        "kind": "TrainingRuntime",
        "metadata": _metadata(work),
        "spec": {
            "mlPolicy": {"numNodes": nodes.nodes, "torch": {}},
            # A process that ends takes its peers with it, so all are started anew, from the checkpoint.
            "template": {"spec": {"failurePolicy": {"maxRestarts": nodes.restarts}, "replicatedJobs": [job]}},
        },
    }


def _train_job(work: Work, nodes: TrainNodes) -> dict[str, Any]:
    return {
        "apiVersion": TRAINER,
        "kind": "TrainJob",
        "metadata": _metadata(work),
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": work.name},
            "trainer": {"numNodes": nodes.nodes, "numProcPerNode": nodes.processes},
        },
    }


def _pytorch_job(work: Work, nodes: TrainNodes) -> dict[str, Any]:
    """Return a job of workers only: for a master, the operator adds init containers that ``restricted`` refuses."""
    return {
        "apiVersion": TRAINING_OPERATOR,
        "kind": "PyTorchJob",
        "metadata": _metadata(work),
        "spec": {
            "nprocPerNode": str(nodes.processes),
            "runPolicy": {
                "cleanPodPolicy": "All",
                "backoffLimit": nodes.restarts * nodes.nodes,
                "activeDeadlineSeconds": nodes.hours * 3600,
            },
            "elasticPolicy": {"minReplicas": nodes.nodes, "maxReplicas": nodes.nodes, "rdzvBackend": "c10d"},
            "pytorchReplicaSpecs": {
                "Worker": {
                    "replicas": nodes.nodes,
                    "restartPolicy": "OnFailure",
                    "template": _pod(work, nodes, _PYTORCH, None),
                }
            },
        },
    }


def _pod(work: Work, nodes: TrainNodes, container: str, restart: str | None) -> dict[str, Any]:
    account = {"serviceAccountName": nodes.service_account} if nodes.service_account else {}
    tolerations = [{"key": nodes.accelerator, "operator": "Exists", "effect": "NoSchedule"}]
    return {
        "metadata": {"labels": _labels()},
        "spec": {
            **account,
            **({"restartPolicy": restart} if restart else {}),
            **({"tolerations": tolerations} if nodes.accelerators else {}),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": container,
                    "image": work.image,
                    "command": _command(work),
                    "env": _environment(work, nodes),
                    "resources": _resources(nodes),
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "securityContext": restricted_container(),
                    "volumeMounts": [
                        {"name": "work", "mountPath": _WORK},
                        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                    ],
                }
            ],
            "volumes": [{"name": "work", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        },
    }


def _command(work: Work) -> list[str]:
    launcher = [work.python, "-m", "torch.distributed.run", "--module", "frontdesk.cli.main"]
    worker = ["train-worker", "--tensors", work.tensors, "--store", work.store, "--parameters", work.parameters]
    return [*launcher, *worker, "--work", _WORK]


def _resources(nodes: TrainNodes) -> dict[str, Any]:
    gpus = {nodes.accelerator: str(nodes.accelerators)} if nodes.accelerators else {}
    return {"requests": {"cpu": nodes.cpu, "memory": nodes.memory} | gpus, "limits": {"memory": nodes.memory} | gpus}


def _environment(work: Work, nodes: TrainNodes) -> list[dict[str, Any]]:
    plain = [{"name": name, "value": work.environment[name]} for name in _FORWARDED if work.environment.get(name)]
    keys = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": nodes.s3_secret_name, "key": key}}}
        for key in STORE_KEYS
        if nodes.s3_secret_name
    ]
    return [*plain, *keys]
