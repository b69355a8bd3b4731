"""Start the lifecycle of a recipe whose watching asked for it, where limits and past allow it."""

from frontdesk.components.component import component


@component
def retrain(recipe: str, plan: str, store: str, registry: str, now: str) -> str:
    """Decide about what the newest verdict asks for, and start a run of its own. Returns the answer, one word."""
    from frontdesk.components.server import Server
    from frontdesk.monitoring.report import answer_to
    from frontdesk.monitoring.starting import Run, Started
    from frontdesk.steps import step

    def launch(run: Run) -> Started:
        server = Server.of_settings()
        version = server.newest_version(f"{recipe}-lifecycle")
        name = f"{recipe}-{run.reason}-{run.key}"
        return Started(run=server.start(version, name, run.arguments(store, registry)))

    with step("retrain"):
        decision = answer_to(recipe, plan=plan or None, store=store, now=now or None, launch=launch)
    return decision.answer
