"""The feature pipeline: one step, run by a schedule beside every model's lifecycle, because models share features."""

from typing import Any

from kfp import dsl

from frontdesk.components.materialise import materialise
from frontdesk.pipelines.cluster import Cluster, place


def build_features(cluster: Cluster | None = None) -> Any:
    """Return the pipeline that fills the online store; ``cluster`` as in `lifecycle.build`."""

    @dsl.pipeline(name="features-materialise", display_name="Features: offline to online")
    def features_materialise(features: str = "", until: str = "") -> int:
        """Bring the online store up to date.

        Args:
            features: folder of the feature tables; empty means the one of the step's settings.
            until: events after this moment (ISO 8601) are left for later; empty means now.
        """
        task = materialise(features=features, until=until)
        task.set_display_name("Materialise").set_caching_options(False)
        if cluster is not None:
            place(task, "materialise", cluster)
        return task.outputs["Output"]

    return features_materialise
