"""The lifecycle of a model: one pipeline for every recipe, on a laptop and on a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kfp import dsl, kubernetes

from frontdesk.components.deploy import deploy
from frontdesk.components.etl import etl
from frontdesk.components.fuse import fuse
from frontdesk.components.gate import gate
from frontdesk.components.hold import hold
from frontdesk.components.spark_preprocess import spark_preprocess
from frontdesk.components.train import train
from frontdesk.components.transfer import data_transfer


@dataclass(frozen=True)
class Share:
    """What one step asks of a cluster: requests and limits in Kubernetes units, and its longest time."""

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str
    hours: int


_SHARES = {
    "etl": Share("2", "4Gi", "4", "8Gi", 2),
    "spark_preprocess": Share("4", "8Gi", "8", "16Gi", 4),
    "data_transfer": Share("1", "1Gi", "2", "2Gi", 2),
    "train": Share("8", "32Gi", "16", "64Gi", 24),
    "fuse": Share("4", "16Gi", "8", "32Gi", 4),
    "gate": Share("1", "4Gi", "2", "8Gi", 1),
    "deploy": Share("500m", "2Gi", "2", "4Gi", 192),  # a person may take a week to approve
    "hold": Share("500m", "2Gi", "2", "4Gi", 1),
    "materialise": Share("2", "4Gi", "4", "8Gi", 2),
    "monitor": Share("1", "2Gi", "2", "4Gi", 1),
    "retrain": Share("500m", "2Gi", "2", "4Gi", 1),
}


@dataclass(frozen=True)
class Cluster:
    """What KFP takes when a pipeline is compiled, not when it runs.

    Attributes:
        volume: persistent volume claim that is the training node's disk; transfer, train and fuse share it.
        mount: where the claim is mounted.
        accelerator: resource name of the GPUs of `train`.
        accelerators: how many; 0 trains on CPUs.
        retries: further attempts of a step that failed, after 30 seconds, doubling to 10 minutes.
        shares: what each step asks for.
    """

    volume: str = "frontdesk-work"
    mount: str = "/var/lib/frontdesk"
    accelerator: str = "nvidia.com/gpu"
    accelerators: int = 1
    retries: int = 2
    shares: Mapping[str, Share] = field(default_factory=lambda: _SHARES)


class Outcome(NamedTuple):
    """The pipeline's outputs."""

    snapshot: str
    model_id: str
    fused: str
    decision: str
    verdict: dsl.Markdown


@dataclass(frozen=True)
class _Step:
    component: Any
    title: str
    cached: bool
    on_node: bool = False


# KFP's cache replays a step's outputs for the same image, source and arguments. It must not where a step reads what may
# change under one address (the source table, the champion) or leaves something behind (files on the node, a registry
# entry). Run again, such a step finds its finished work in the store within seconds.
_STEPS = {
    "etl": _Step(etl, "1 ETL: snapshot", cached=False),
    "spark_preprocess": _Step(spark_preprocess, "2 Spark: tensors", cached=True),
    "data_transfer": _Step(data_transfer, "3 Transfer to the node", cached=False, on_node=True),
    "train": _Step(train, "4 Train", cached=True, on_node=True),
    "fuse": _Step(fuse, "5 Fuse and evaluate", cached=True, on_node=True),
    "gate": _Step(gate, "Gate: candidate against champion", cached=False),
    "deploy": _Step(deploy, "6 Deploy", cached=False),
    "hold": _Step(hold, "Hold: the champion stays", cached=False),
}


def build(recipe: str = "ticket", cluster: Cluster | None = None) -> Any:
    """Return the lifecycle pipeline of a recipe.

    Args:
        recipe: see `frontdesk.recipes.names`.
        cluster: what to ask of the cluster. None for the local runner: it heeds none of it, and a second attempt in the
            same process's place would fail as the first did.
    """

    @dsl.pipeline(name=f"{recipe}-lifecycle", display_name=f"Lifecycle: {recipe}")
    def lifecycle(
        data: str,
        store: str,
        registry: str,
        test: str = "",
        columns: str = "",
        parameters: str = "{}",
        work: str = cluster.mount if cluster else "",
        approval: str = "none",
        reason: str = "manual",
        recipe: str = recipe,
    ) -> Outcome:
        """From tables to a deployed model.

        1. etl: tables -> one immutable snapshot, checked.
        2. spark_preprocess: Spark fits the preprocessing on the training rows and turns every row into tensors.
        3. data_transfer: the tensors move to the training node, verified.
        4. train: the network, and the classical system that it must beat.
        5. fuse: preprocessing and weights become one bundle, proven equal on golden rows and measured beside its
           baselines. The gate then compares it with the champion.
        6. deploy: registered, approved where that is asked for, copied, verified, champion. Or held: registered only.

        Args:
            data: address of the table.
            store: root of snapshots, tensors, trained models and bundles.
            registry: MLflow address.
            test: address of a separate test table; empty splits `data`.
            columns: column mapping as JSON; empty means the recipe's default.
            parameters: the recipe's parameters as JSON.
            work: disk of the training node.
            approval: ``none``, or ``required``: a person approves the version before it is deployed.
            reason: why it runs: ``manual``, ``schedule``, ``drift`` or ``taxonomy``. Kept with the run and the version.
            recipe: which recipe's jobs run.
        """

        def run(name: str, **arguments: Any) -> dsl.PipelineTask:
            task = _STEPS[name].component(recipe=recipe, **arguments)
            task.set_display_name(_STEPS[name].title).set_caching_options(_STEPS[name].cached)
            if cluster is not None:
                place(task, name, cluster)
                if _STEPS[name].on_node:
                    kubernetes.mount_pvc(task, pvc_name=cluster.volume, mount_path=cluster.mount)
            return task

        source = {"data": data, "test": test, "columns": columns}
        snapshot = run("etl", **source, parameters=parameters, store=store).outputs["Output"]
        tensors = run("spark_preprocess", snapshot=snapshot, parameters=parameters, store=store).outputs["Output"]
        node = {
            "snapshot": snapshot,
            "tensors": run("data_transfer", tensors=tensors, store=store, work=work).output,
            "parameters": parameters,
            "store": store,
            "work": work,
        }
        fused = run("fuse", trained=run("train", **node).outputs["Output"], **node)
        candidate = {"fused": fused.outputs["fused"], "store": store, "registry": registry}
        gate = run("gate", **candidate)
        entry = candidate | {"reason": reason}
        with dsl.If(gate.outputs["Output"] == "promote", name="promote"):
            run("deploy", approval=approval, **entry)
        with dsl.Else(name="hold"):
            run("hold", **entry)
        return Outcome(
            snapshot=snapshot,
            model_id=fused.outputs["model_id"],
            fused=fused.outputs["fused"],
            decision=gate.outputs["Output"],
            verdict=gate.outputs["verdict"],
        )

    return lifecycle


def place(task: dsl.PipelineTask, name: str, cluster: Cluster) -> None:
    """Say what a step's pod needs and how often it is tried."""
    share = cluster.shares[name]
    task.set_cpu_request(share.cpu).set_cpu_limit(share.cpu_limit)
    task.set_memory_request(share.memory).set_memory_limit(share.memory_limit)
    task.set_retry(cluster.retries, backoff_duration="30s", backoff_factor=2, backoff_max_duration="600s")
    kubernetes.set_timeout(task, share.hours * 3600)
    if name == "train" and cluster.accelerators:
        task.set_accelerator_type(cluster.accelerator).set_accelerator_limit(cluster.accelerators)
        kubernetes.add_toleration(task, key=cluster.accelerator, operator="Exists", effect="NoSchedule")
