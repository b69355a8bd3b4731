"""One feature service per version of a model: the contract between its training set and what it is served with.

A service is never changed once a model was trained with it; another set of features is another version. A service that
has a feature of an on-demand view also has one of each view that it is computed from: by their time stamps
`online.OnlineFeatures` sees that an input was stale.
"""

from __future__ import annotations

from collections.abc import Mapping

from frontdesk.feature_repo.sdk import FeatureService, FeatureView, OnDemandFeatureView


def feature_services(
    views: Mapping[str, FeatureView], on_demand: Mapping[str, OnDemandFeatureView]
) -> dict[str, FeatureService]:
    """Return the services by name."""
    history, rhythm = views["customer_history"], on_demand["contact_rhythm"]
    services = (
        FeatureService(
            name="ticket_v1",
            features=[
                history[["last_contact_type", "tickets_7d", "tickets_30d", "mean_handle_minutes"]],
                rhythm[["days_since_contact", "week_share"]],
            ],
            description="Tickets by their customer's history.",
        ),
        FeatureService(
            name="ticket_v2",
            features=[
                history[["last_contact_type", "tickets_7d", "tickets_30d", "mean_handle_minutes"]],
                rhythm[["days_since_contact", "week_share"]],
                on_demand["clock"],
                views["ticket_progress"],
            ],
            description="Tickets by their customer's history, the time of day and their own progress.",
        ),
        FeatureService(
            name="intent_v1",
            features=[
                views["line_state"],
                views["operator_profile"],
            ],
            description="Sessions by their operator's profile and their line's state.",
        ),
    )
    return {service.name: service for service in services}
