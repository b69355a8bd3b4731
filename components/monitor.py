"""Watch a recipe: judge the newest window of its log, keep the verdict, say whether a retraining is asked for."""

from kfp.dsl import Markdown, Metrics, Output

from frontdesk.components.component import component


@component
def monitor(recipe: str, plan: str, store: str, now: str, verdict: Output[Markdown], figures: Output[Metrics]) -> str:
    """Judge the newest window that has ended (ISO 8601; empty: now), and the recipe's experiments.

    Returns ``retrain`` or ``keep``.

    The database is the one of the step's settings: its address is a secret and no argument.
    """
    from frontdesk.components.showing import show_numbers, show_table
    from frontdesk.database import opened
    from frontdesk.experiments.refreshing import refresh
    from frontdesk.monitoring.looking import look_at, moment
    from frontdesk.monitoring.plan import plan_of
    from frontdesk.steps import step

    with step("monitor"), opened() as database:
        seen = look_at(database, recipe, plan_of(plan, recipe), store or None, moment(now))
        found = seen.whole.verdict
        causes = [] if found is None else [(cause.level, cause.words) for cause in found.causes]
        show_table(verdict, f"{recipe}: {seen.whole.level}", ("level", "what changed"), causes)
        show_numbers(figures, {name: value for name, (_, value) in seen.whole.figures.items()})
        refresh(database, moment(now), recipe)
    return "retrain" if seen.asks else "keep"
