"""Job 6: register, wait for approval where it is asked for, deploy, verify, promote."""

from frontdesk.components.component import component


@component
def deploy(recipe: str, fused: str, store: str, registry: str, approval: str, reason: str) -> str:
    """Make the candidate the champion. Returns its model id."""
    from frontdesk.deployment import deploy
    from frontdesk.registry import Registry
    from frontdesk.releases import roll_out_by_settings
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("deploy"):
        places = Store(store), Registry(registry)
        roll_out = roll_out_by_settings(*places, recipe)
        made = deploy(*places, recipe=recipe, fused=fused, approval=approval, reason=reason, roll_out=roll_out)
    return made.model_id
