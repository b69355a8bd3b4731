"""Start the lifecycle of a recipe whose watching asked for it, where limits and past allow it."""

from frontdesk.components.component import component


@component
def retrain(recipe: str, plan: str, store: str, registry: str) -> str:
    """Answer what the newest verdict asks for; what is granted is a run of its own. Returns the answer, one word."""
    from frontdesk.components.server import Server
    from frontdesk.database import opened
    from frontdesk.monitoring.looking import answer_newest
    from frontdesk.monitoring.plan import plan_of
    from frontdesk.monitoring.starting import Run, Started, settle
    from frontdesk.steps import step
    from frontdesk.storage import Store

    with step("retrain"), opened() as database:
        server = Server.of_settings()
        settle(database, recipe, server.state)

        def launch(run: Run) -> Started:
            version = server.newest_version(f"{recipe}-lifecycle")
            arguments = run.arguments(store, registry)
            return Started(run=server.start(version, f"{recipe}-{run.reason}-{run.key}", arguments))

        decision, _ = answer_newest(database, recipe, plan_of(plan, recipe), Store(store), launch)
    return decision.answer
