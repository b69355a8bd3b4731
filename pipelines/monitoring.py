"""The monitoring pipeline: judge the newest window; where that asks for a retraining, start one as a run of its own."""

from typing import Any

from kfp import dsl

from frontdesk.components.monitor import monitor
from frontdesk.components.retrain import retrain as start
from frontdesk.pipelines.cluster import Cluster, place


def build_monitoring(recipe: str = "ticket", cluster: Cluster | None = None) -> Any:
    """Return the pipeline that watches a recipe; ``cluster`` as in `lifecycle.build`."""

    @dsl.pipeline(name=f"{recipe}-monitoring", display_name=f"Monitoring: {recipe}")
    def monitoring(
        store: str,
        registry: str,
        plan: str = "",
        retrain: bool = True,
        now: str = "",
        recipe: str = recipe,
    ) -> str:
        """Watch, and retrain where that is asked for.

        Args:
            store: root of snapshots and bundles, and of training rows out of feedback.
            registry: MLflow address, for the lifecycle that is started.
            plan: file of what is watched (YAML), a path or ``s3://``; empty means the one of the step's settings.
            retrain: whether a retraining that is asked for is started.
            now: moment (ISO 8601) to look from; empty means now.
            recipe: which recipe is watched.
        """
        looked = monitor(recipe=recipe, plan=plan, store=store, now=now)
        looked.set_display_name("Watch").set_caching_options(False)
        asked = looked.outputs["Output"]
        with dsl.If(retrain == True, name="may-retrain"), dsl.If(asked == "retrain", name="asked"):  # noqa: E712
            started = start(recipe=recipe, plan=plan, store=store, registry=registry)
            started.set_display_name("Start the retraining").set_caching_options(False)
        if cluster is not None:
            place(looked, "monitor", cluster)
            place(started, "retrain", cluster)
        return asked

    return monitoring
