"""Watch a recipe: judge the newest window of its log, keep the verdict, say whether a retraining is asked for."""

from kfp.dsl import Markdown, Metrics, Output

from frontdesk.components.component import component


@component
def monitor(recipe: str, plan: str, store: str, now: str, verdict: Output[Markdown], figures: Output[Metrics]) -> str:
    """Judge the newest window that has ended (ISO 8601; empty: now). Returns ``retrain`` or ``keep``.

    The database is the one of the step's settings: its address is a secret and no argument.
    """
    from frontdesk.components.showing import show_numbers, show_table
    from frontdesk.monitoring.report import look_at
    from frontdesk.steps import step

    with step("monitor"):
        seen = look_at(recipe, plan=plan or None, store=store or None, now=now or None)
        show_table(verdict, f"{recipe}: {seen.level}", ("level", "what changed"), seen.causes)
        show_numbers(figures, seen.numbers)
    return "retrain" if seen.asks else "keep"
