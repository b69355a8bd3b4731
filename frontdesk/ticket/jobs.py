"""What the ticket recipe does in each job: one spec, two models (the network and the classical system), two bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from frontdesk.engines.choice import PORTABLE
from frontdesk.jobs import Fused, Trained, first_confusion
from frontdesk.label_jobs import LabelJobs, describe_in_bundle
from frontdesk.preprocessing.spec import Spec
from frontdesk.settings import TrainNodes, read_settings
from frontdesk.storage import Store
from frontdesk.ticket.recipe import NAME, TicketParameters


class TicketJobs(LabelJobs):
    """The jobs of the ticket recipe."""

    name = NAME
    parameters_type = TicketParameters

    def spark_preprocess(self, *, snapshot: str, parameters: str, store: str) -> dict[str, Any]:
        """Job 2: snapshot -> word ids, levels and numbers, by Spark."""
        from frontdesk.preprocessing.spark import preprocess

        return preprocess(Store(store), snapshot, self.parameters(parameters))

    def train_models(
        self, store: Store, snapshot: str, tensors: Path, parameters: TicketParameters, work: Path
    ) -> Trained:
        """Train the network (v2) and the classical system (v1)."""
        from frontdesk.ticket.classical import train_classical

        spec = Spec.from_json(orjson.loads((tensors / "spec.json").read_bytes()))
        network = _train_network(store, tensors, parameters, work)
        classical = train_classical(store, snapshot, spec, parameters, work)
        history = orjson.loads((network / "history.json").read_bytes())
        return Trained({"network": network, "classical": classical}, history)

    def fuse_models(
        self, store: Store, snapshot: str, tensors: Path, models: Path, parameters: TicketParameters, work: Path
    ) -> Fused:
        """Fuse both models; v1 is a baseline of v2's evaluation."""
        from frontdesk.bundle.labels import LabelBundle
        from frontdesk.evaluation.evaluate import evaluate
        from frontdesk.fusion import fuse

        bundle, bundle_v1 = fuse(
            store,
            network=models / "network",
            classical=models / "classical",
            tensors=tensors,
            snapshot_id=snapshot,
            parameters=parameters,
            work=work,
            spark=True,
        )
        candidate = LabelBundle.load(bundle, engine=PORTABLE)
        evaluation = work / "evaluation"
        metrics = evaluate(
            candidate,
            store,
            snapshot,
            others={"v1": LabelBundle.load(bundle_v1, engine=PORTABLE)},
            parameters=parameters,
            out=evaluation,
            network=models / "network",
            history=orjson.loads((models / "network" / "history.json").read_bytes()),
        )
        describe_in_bundle(bundle, candidate, metrics)
        bundles = {"bundle": bundle, "bundle-v1": bundle_v1}
        return Fused(bundles, evaluation, candidate.model_id, metrics, first_confusion(metrics))


def _train_network(store: Store, tensors: Path, parameters: TicketParameters, work: Path) -> Path:
    """Train the network here, or by as many nodes as the settings ask for; the result is the same."""
    from frontdesk.training import train

    nodes = read_settings(TrainNodes)
    if nodes.nodes == 1:
        return train(tensors, work, parameters)
    from frontdesk.kubernetes_api import Cluster
    from frontdesk.training_nodes import train_on_nodes

    return train_on_nodes(store, tensors.name, parameters, work, nodes, Cluster())
