"""Job 3: tensors from the object store to the training node."""

from frontdesk.components.component import component


@component
def data_transfer(recipe: str, tensors: str, store: str, work: str) -> str:
    """Copy and verify the tensors; a killed transfer goes on where it stopped. Returns their folder on the node."""
    from pathlib import Path

    from frontdesk.recipes import jobs
    from frontdesk.steps import step

    with step("data_transfer"):
        folder = jobs(recipe).data_transfer(tensors=tensors, store=store, node=Path(work) / "node")
    return str(folder)
