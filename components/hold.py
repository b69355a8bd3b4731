"""Instead of job 6: keep the candidate in the registry, leave the champion where it is."""

from frontdesk.components.component import component


@component
def hold(recipe: str, fused: str, store: str, registry: str, reason: str) -> str:
    """Register the candidate without deploying it. Returns its model id."""
    from frontdesk.deployment import enter
    from frontdesk.registry import Registry
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("hold"):
        version = enter(Store(store), Registry(registry), recipe=recipe, fused=fused, reason=reason)
    return version.model_id
