"""Job 2: snapshot -> fitted values and tensors, by Spark."""

from kfp.dsl import Dataset, Metrics, Output

from frontdesk.components.component import component


@component
def spark_preprocess(
    recipe: str, snapshot: str, parameters: str, store: str, tensors: Output[Dataset], counts: Output[Metrics]
) -> str:
    """Fit vocabulary, levels, scales and label index on the training rows and apply them. Returns the tensors' id."""
    from frontdesk.components.showing import show_manifest, show_numbers
    from frontdesk.recipes import jobs
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("spark_preprocess"):
        made = jobs(recipe).spark_preprocess(snapshot=snapshot, parameters=parameters, store=store)
        show_manifest(tensors, made, Store(store).uri("tensors", made["id"]))
        show_numbers(counts, {"rows": made["rows"]})
    return made["id"]
