"""What a process of a training on several nodes does: ``torchrun`` starts it, the first one writes the result.

Nodes share nothing but the store: each copies the tensors to its own disk; the checkpoint and the trained network lie
in the store. The key of the network does not contain how many trained it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from frontdesk.distributed import Backend, workers
from frontdesk.storage import MANIFEST, Store, canonical_json, describe, work_key
from frontdesk.tensors import transfer
from frontdesk.ticket.recipe import TicketParameters
from frontdesk.training import train

KIND = "networks"


def network_key(tensors_id: str, parameters: TicketParameters) -> str:
    """Return the name of a trained network in the store."""
    return work_key("network", tensors=tensors_id, parameters=parameters.model_dump(mode="json"))


def train_share(
    store: Store, tensors_id: str, parameters: TicketParameters, work: Path, backend: Backend = "auto"
) -> dict[str, Any]:
    """Take part in a training; every process of it calls this alike.

    Args:
        store: holds ("tensors", tensors_id) and receives ("networks", key).
        tensors_id: what to train on.
        parameters: knobs.
        work: folder of this node.
        backend: how the processes talk.

    Returns:
        ``{"network": key, "rank", "size"}``.

    Raises:
        TrainingError: the processes lost each other; or the training failed as it would on one node.
        UsageError: batches are too small to be divided among the processes.
    """
    key = network_key(tensors_id, parameters)
    with workers(backend) as group:
        finished = group.from_first(b"finished" if group.first and store.manifest(KIND, key) else None)
        if finished is None:
            if os.environ.get("LOCAL_RANK", "0") == "0":
                transfer(store, tensors_id, work)
            group.wait()
            checkpoints = None if store.local else store.uri("checkpoints")
            folder = train(work / tensors_id, work / key, parameters, group=group, checkpoints=checkpoints)
            if group.first:
                _publish(store, key, folder)
            group.wait()
        return {"network": key, "rank": group.rank, "size": group.size}


def _publish(store: Store, key: str, folder: Path) -> None:
    with store.writing(KIND, key) as finished:
        shutil.copytree(folder, finished, dirs_exist_ok=True)
        (finished / MANIFEST).unlink()
        (finished / MANIFEST).write_bytes(canonical_json({"id": key, "files": describe(finished)}))
