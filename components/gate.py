"""The gate between jobs 5 and 6: is the candidate better than what is deployed?"""

from kfp.dsl import Markdown, Output

from frontdesk.components.component import component


@component
def gate(recipe: str, fused: str, store: str, registry: str, verdict: Output[Markdown]) -> str:
    """Compare the candidate with the champion on the candidate's test rows. Returns ``promote`` or ``hold``."""
    from frontdesk.components.showing import show_table
    from frontdesk.deployment import judge
    from frontdesk.registry import Registry
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("gate"):
        made = judge(Store(store), Registry(registry), recipe=recipe, fused=fused)
        show_table(verdict, f"Gate: {made['decision']}", ("reason",), [(reason,) for reason in made["reasons"]])
        verdict.metadata["reasons"] = made["reasons"]
    return made["decision"]
