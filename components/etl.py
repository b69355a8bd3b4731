"""Job 1: sources -> one immutable snapshot."""

from kfp.dsl import Dataset, Markdown, Metrics, Output

from frontdesk.components.component import component


@component
def etl(
    recipe: str,
    data: str,
    test: str,
    columns: str,
    parameters: str,
    store: str,
    snapshot: Output[Dataset],
    counts: Output[Metrics],
    checks: Output[Markdown],
) -> str:
    """Read the tables, refuse wrong rows, split, check. Returns the snapshot's id."""
    from frontdesk.components.showing import show_manifest, show_numbers, show_table
    from frontdesk.feature_repo import open_join
    from frontdesk.recipes import jobs
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("etl"):
        made = jobs(recipe, open_join).etl(data=data, test=test, columns=columns, parameters=parameters, store=store)
        show_manifest(snapshot, made, Store(store).uri("snapshots", made["id"]))
        show_numbers(counts, {"rows": made["rows"], "labels": made["labels"]})
        rows = [(check["name"], check["status"], check["words"]) for check in made["checks"]]
        show_table(checks, "Data checks", ("check", "status", "found"), rows)
    return made["id"]
