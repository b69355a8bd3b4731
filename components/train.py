"""Job 4: tensors on the node -> trained models."""

from kfp.dsl import Metrics, Model, Output

from frontdesk.components.component import component


@component
def train(
    recipe: str,
    snapshot: str,
    tensors: str,
    parameters: str,
    store: str,
    work: str,
    model: Output[Model],
    metrics: Output[Metrics],
) -> str:
    """Train on `tensors`, the folder on this node; a killed training resumes. Returns the id of the trained models."""
    from pathlib import Path

    from frontdesk.components.showing import show_manifest, show_numbers
    from frontdesk.recipes import jobs
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("train"):
        made = jobs(recipe).train(
            snapshot=snapshot, tensors=Path(tensors), parameters=parameters, store=store, work=Path(work) / "train"
        )
        show_manifest(model, made, Store(store).uri("trained", made["id"]))
        show_numbers(metrics, made["metrics"])
    return made["id"]
