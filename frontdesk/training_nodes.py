"""The train step's part of a training on several nodes: start the pods, wait for them, take what they wrote."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontdesk.errors import ClusterError, TrainingError, UsageError
from frontdesk.logs import event
from frontdesk.pod import own_namespace
from frontdesk.settings import TrainNodes, settings
from frontdesk.storage import Store, canonical_json
from frontdesk.ticket.recipe import TicketParameters
from frontdesk.train_jobs import MANAGER, Work, manifests
from frontdesk.train_worker import KIND, network_key

if TYPE_CHECKING:
    from frontdesk.kubernetes_api import Cluster

_log = logging.getLogger(__name__)
_POLL_SECONDS = 5.0
_SILENT_POLLS = 60
_DONE, _FAILED = ("Complete", "Succeeded"), "Failed"
"""Conditions of a TrainJob and of a PyTorchJob."""


def train_on_nodes(
    store: Store, tensors_id: str, parameters: TicketParameters, work: Path, nodes: TrainNodes, cluster: Cluster
) -> Path:
    """Train the ticket network by pods; one that is running already is waited for, a finished one is taken.

    Args:
        store: on ``s3://``; holds the tensors and receives the network.
        tensors_id: what to train on.
        parameters: knobs.
        work: folder of this step.
        nodes: how many, of what size.
        cluster: the API server.

    Returns:
        ``work/network``, as `frontdesk.training.train` leaves it.

    Raises:
        UsageError: the pods could not reach the store, or the namespace is unknown.
        TrainingError: the job failed, or took too long.
        ClusterError: the cluster does not know the kind of job, or refused it.
    """
    key = network_key(tensors_id, parameters)
    if store.manifest(KIND, key) is None:
        _run(_work(store, tensors_id, parameters, nodes, key), nodes, cluster)
    if store.manifest(KIND, key) is None:
        raise TrainingError("the job is done and wrote no network", where=store.uri(KIND, key))
    return store.fetch(KIND, key, to=work / "network")


def _work(store: Store, tensors_id: str, parameters: TicketParameters, nodes: TrainNodes, key: str) -> Work:
    if store.local:
        words = "the nodes of a training do not see this machine's files"
        raise UsageError(words, where=store.root, remedy="Keep the store on s3://, or leave FRONTDESK_TRAIN_NODES at 1")
    namespace = nodes.namespace or own_namespace()
    if namespace is None:
        remedy = "Run the step on the cluster, or leave FRONTDESK_TRAIN_NODES at 1"
        raise UsageError("the namespace of the nodes is unknown", where="FRONTDESK_TRAIN_NAMESPACE", remedy=remedy)
    return Work(
        name=f"frontdesk-train-{key[:12]}",
        namespace=namespace,
        image=settings().image,
        python=sys.executable,
        store=store.root,
        tensors=tensors_id,
        parameters=canonical_json(parameters.model_dump(mode="json")).decode(),
        environment=os.environ,
    )


def _run(work: Work, nodes: TrainNodes, cluster: Cluster) -> None:
    """Start the job where there is none, wait until it ended, and remove it."""
    objects = manifests(work, nodes)
    job = objects[-1]
    if _find(cluster, job) is None:
        for manifest in objects:
            cluster.apply(manifest, manager=MANAGER)
        event(_log, "nodes_started", job=work.name, kind=nodes.kind, nodes=nodes.nodes)
    deadline, silent = time.monotonic() + nodes.hours * 3600, 0
    while True:
        try:
            ended = _outcome(_find(cluster, job))
            silent = 0
        except ClusterError:
            silent += 1  # a server that starts anew must not cost a day of training
            if silent > _SILENT_POLLS:
                raise
            ended = None
        if ended is not None or time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    # A step that is killed does not come here: its next attempt finds the job.
    for manifest in reversed(objects):
        cluster.delete(manifest["apiVersion"], manifest["kind"], work.namespace, work.name)
    if ended is None:
        words = f"the training did not end within {nodes.hours} hours"
        raise TrainingError(words, where=f"{nodes.kind} {work.name}", remedy="Raise FRONTDESK_TRAIN_HOURS")
    if ended:
        raise TrainingError(f"the nodes failed: {ended}", where=f"{nodes.kind} {work.name}")


def _find(cluster: Cluster, job: dict[str, Any]) -> dict[str, Any] | None:
    about = job["metadata"]
    return cluster.get(job["apiVersion"], job["kind"], about["namespace"], about["name"])


def _outcome(job: dict[str, Any] | None) -> str | None:
    """Return why a job failed, the empty string for a job that did its work, None for one that has not ended."""
    if job is None:
        return "somebody deleted the job"
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True" and condition["type"] == _FAILED:
            return condition.get("message") or condition.get("reason") or _FAILED
        if condition.get("status") == "True" and condition["type"] in _DONE:
            return ""
    return None
