"""The lifecycle of a model: one pipeline for every recipe, on a laptop and on a cluster."""

from dataclasses import dataclass
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
from frontdesk.pipelines.cluster import Cluster, place


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
