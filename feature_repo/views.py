"""Feature views: what is known of an entity at a moment, and for how long that counts.

A view's source is the Parquet under ``<features>/<view>/``, with the entity's key, one column per feature,
``event_timestamp`` (when it became true) and ``created`` (when it was written down). Names of features are unique over
all views, because a model knows them by their plain names. A value older than the view's `ttl` is missing: in training
by Feast's join, online by `online.OnlineFeatures`, because Feast does not look at it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from frontdesk.feature_repo.entities import CUSTOMER, LINE, OPERATOR, TICKET
from frontdesk.feature_repo.sdk import (
    DataSource,
    Entity,
    FeatureView,
    Field,
    Float64,
    OnDemandFeatureView,
    PushSource,
    PythonTransformation,
    RequestSource,
    String,
)

EVENT_TIMESTAMP, CREATED = "event_timestamp", "created"
ASKED_AT = "asked_at"
"""Seconds since 1970 of the moment that features are asked for: the one input of on-demand views beside features."""
LINE_STATE_PUSH = "line_state_push"
"""Push source of queue monitors, which cannot wait for a materialisation."""

Sources = Callable[[str], DataSource]
"""The offline source of a view, by the view's name."""

_DAY_SECONDS = 86_400.0


def feature_views(sources: Sources) -> dict[str, FeatureView]:
    """Return the stored views by name."""
    pushed = PushSource(name=LINE_STATE_PUSH, batch_source=sources("line_state"))
    views = (
        _view(
            "customer_history",
            CUSTOMER,
            timedelta(days=90),
            sources("customer_history"),
            numbers=("tickets_7d", "tickets_30d", "last_contact_at", "mean_handle_minutes"),
            texts=("last_contact_type",),
        ),
        _view(
            "operator_profile",
            OPERATOR,
            timedelta(days=14),
            sources("operator_profile"),
            numbers=("tenure_days", "closed_7d", "share_accepted"),
            texts=("operator_line",),
        ),
        _view(
            "line_state",
            LINE,
            timedelta(hours=2),
            pushed,
            numbers=("queue_length", "waiting_minutes"),
            texts=("open_incident",),
        ),
        _view(
            "ticket_progress",
            TICKET,
            timedelta(days=90),
            sources("ticket_progress"),
            numbers=("messages", "reopened"),
            texts=("waits_for",),
        ),
    )
    return {view.name: view for view in views}


def on_demand_views(stored: Mapping[str, FeatureView]) -> dict[str, OnDemandFeatureView]:
    """Return the views that are computed when they are asked for, by name."""
    request = RequestSource(name="request", schema=[Field(name=ASKED_AT, dtype=Float64)])
    views = (
        OnDemandFeatureView(
            name="contact_rhythm",
            sources=[stored["customer_history"], request],
            schema=[Field(name=name, dtype=Float64) for name in ("days_since_contact", "week_share")],
            feature_transformation=_python(contact_rhythm),
            mode="python",
            description="Relations of a customer's contacts to the moment of asking.",
        ),
        OnDemandFeatureView(
            name="clock",
            sources=[request],
            schema=[Field(name=name, dtype=Float64) for name in ("hour", "weekday")],
            feature_transformation=_python(clock),
            mode="python",
            description="The moment of asking (UTC).",
        ),
    )
    return {view.name: view for view in views}


def _python(function: Callable[..., Any]) -> PythonTransformation:
    """Return a transformation that Feast finds again by name: it would run a copy of the function's source instead."""
    return PythonTransformation(function, f"from {function.__module__} import {function.__name__}")


def contact_rhythm(inputs: dict[str, list[Any]]) -> dict[str, list[float | None]]:
    """Relate the moment of asking to a customer's contacts; what lacks an input is None.

    Args:
        inputs: lists of one length: `ASKED_AT`, ``last_contact_at``, ``tickets_7d``, ``tickets_30d``.

    Returns:
        ``days_since_contact``, and ``week_share``: the last week's part of the last month's tickets.
    """
    result: dict[str, list[float | None]] = {"days_since_contact": [], "week_share": []}
    columns = (inputs[name] for name in (ASKED_AT, "last_contact_at", "tickets_7d", "tickets_30d"))
    for asked, last, week, month in zip(*columns, strict=True):
        since = None if asked is None or last is None else (asked - last) / _DAY_SECONDS
        result["days_since_contact"].append(since)
        result["week_share"].append(week / month if week is not None and month else None)
    return result


def clock(inputs: dict[str, list[Any]]) -> dict[str, list[float | None]]:
    """Return ``hour`` (with minutes as a fraction) and ``weekday`` (Monday is 0) of each moment of asking, in UTC."""
    moments = [None if asked is None else datetime.fromtimestamp(asked, UTC) for asked in inputs[ASKED_AT]]
    return {
        "hour": [None if moment is None else moment.hour + moment.minute / 60 for moment in moments],
        "weekday": [None if moment is None else float(moment.weekday()) for moment in moments],
    }


def _view(
    name: str,
    entity: Entity,
    ttl: timedelta,
    source: DataSource,
    *,
    numbers: tuple[str, ...],
    texts: tuple[str, ...],
) -> FeatureView:
    key = Field(name=entity.join_key, dtype=String)
    fields = [Field(name=name, dtype=Float64) for name in numbers] + [Field(name=name, dtype=String) for name in texts]
    return FeatureView(name=name, entities=[entity], ttl=ttl, schema=[key, *fields], source=source, online=True)
