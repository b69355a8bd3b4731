"""Copy the newest features from the offline to the online store."""

from kfp.dsl import Metrics, Output

from frontdesk.components.component import component


@component
def materialise(features: str, until: str, rows: Output[Metrics]) -> int:
    """Bring the online store up to date with events until a moment (ISO 8601; empty: now). Returns the views copied.

    The online store is the one of the step's settings: its address is a secret and no argument.
    """
    from datetime import datetime

    from frontdesk.components.showing import show_numbers
    from frontdesk.feature_repo.materialising import materialise
    from frontdesk.feature_repo.repository import open_repository
    from frontdesk.steps import step

    with step("materialise"):
        made = materialise(open_repository(features or None), datetime.fromisoformat(until) if until else None)
        show_numbers(rows, {"files": made})
    return len(made)
