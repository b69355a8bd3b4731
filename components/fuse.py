"""Job 5: trained models -> bundles, proven equal to what was trained, and measured."""

from typing import NamedTuple

from kfp.dsl import HTML, ClassificationMetrics, Metrics, Model, Output

from frontdesk.components.component import component


@component
def fuse(
    recipe: str,
    snapshot: str,
    tensors: str,
    trained: str,
    parameters: str,
    store: str,
    work: str,
    bundle: Output[Model],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    report: Output[HTML],
) -> NamedTuple("Fused", [("model_id", str), ("fused", str)]):  # type: ignore[valid-type]
    """Fuse preprocessing and weights, compare golden rows over every engine and Spark, evaluate with the baselines."""
    from collections import namedtuple
    from pathlib import Path

    from frontdesk.components.showing import show_manifest, show_matrix, show_numbers
    from frontdesk.recipes import jobs
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("fuse"):
        made = jobs(recipe).fuse(
            snapshot=snapshot,
            tensors=Path(tensors),
            trained=trained,
            parameters=parameters,
            store=store,
            work=Path(work) / "fuse",
        )
        place = Store(store)
        show_manifest(bundle, made | {"id": made["model_id"]}, place.uri("fused", made["id"], "bundle"))
        show_numbers(metrics, {"test": made["metrics"]["test"], "baselines": made["metrics"]["baselines"]})
        show_matrix(confusion, **made["confusion"])
        Path(report.path).write_bytes(place.read_bytes("fused", made["id"], "report.html"))
    return namedtuple("Fused", ["model_id", "fused"])(made["model_id"], made["id"])
