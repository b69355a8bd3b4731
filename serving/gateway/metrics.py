"""Counters of the gateway, on ``/metrics``. No label holds what a caller made up."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

_REQUESTS = Counter("frontdesk_gateway_requests", "Requests by route and HTTP status", ["route", "status"])
_SECONDS = Histogram("frontdesk_gateway_seconds", "Seconds per request", ["route"], buckets=_BUCKETS)
_STAGES = Histogram("frontdesk_gateway_stage_seconds", "Seconds in a stage", ["stage"], buckets=_BUCKETS)
_PREDICTIONS = Counter("frontdesk_gateway_predictions", "Answered instances", ["recipe", "outcome"])
_DECISIONS = Counter("frontdesk_gateway_decisions", "Decisions by head", ["recipe", "head", "decision", "reason"])
_FEEDBACK = Counter("frontdesk_gateway_feedback", "Feedback events", ["recipe", "kind", "effect"])
_DELIVERIES = Counter("frontdesk_gateway_deliveries", "Webhooks by desk and what became of them", ["desk", "effect"])
_MODEL_FAILURES = Counter("frontdesk_gateway_model_failures", "Model servers that did not answer", ["recipe", "cause"])
_ROLLOUT_CALLS = Counter("frontdesk_rollout_calls", "Calls of a rollout by side", ["recipe", "side", "outcome"])
_ROLLOUT_SECONDS = Histogram(
    "frontdesk_rollout_seconds", "Seconds of good calls of a rollout", ["recipe", "side"], buckets=_BUCKETS
)
_ROLLOUT_SHARE = Gauge("frontdesk_rollout_share", "Share of the cases that the candidate answers", ["recipe"])
_ROLLOUT_STATUS = Gauge("frontdesk_rollout_status", "1 for where the newest rollout stands", ["recipe", "status"])
_ROLLOUT_VERDICT = Gauge("frontdesk_rollout_verdict", "1 for the last verdict", ["recipe", "verdict"])
_STATUSES = ("waiting", "running", "paused", "finishing", "promoted", "rolled back", "aborted")
_VERDICTS = ("promote", "roll back", "inconclusive")

_PRUNED = Counter("frontdesk_gateway_pruned_predictions", "Predictions that were older than the log keeps them")

_UNSHARED = Counter("frontdesk_gateway_unshared_limits", "Requests limited without Redis, which did not answer")


def count_request(route: str, status: int, seconds: float) -> None:
    """Count a request."""
    _REQUESTS.labels(route, str(status)).inc()
    _SECONDS.labels(route).observe(seconds)


def observe_stage(stage: str, seconds: float) -> None:
    """Count the duration of a stage: ``model`` or ``log``."""
    _STAGES.labels(stage).observe(seconds)


def count_prediction(recipe: str, outcome: str) -> None:
    """Count an instance: ``answered``, ``degraded``, ``holdout`` or ``refused``."""
    _PREDICTIONS.labels(recipe, outcome).inc()


def count_decision(recipe: str, head: str, decision: str, reason: str) -> None:
    """Count what one head decided."""
    _DECISIONS.labels(recipe, head, decision, reason).inc()


def count_feedback(recipe: str, kind: str, effect: str) -> None:
    """Count an event: ``applied`` or ``duplicate``."""
    _FEEDBACK.labels(recipe, kind, effect).inc()


def count_delivery(desk: str, effect: str) -> None:
    """Count a webhook: ``accepted``, ``duplicate``, ``ignored``; then ``done``, ``postponed`` or ``failed``."""
    _DELIVERIES.labels(desk, effect).inc()
    _DELIVERIES.labels(desk, "failed")  # from zero on: Prometheus sees no increase where a counter begins at one


def count_unshared_limit() -> None:
    """Count a request that was limited by this process alone, though a Redis is set."""
    _UNSHARED.inc()


def count_pruned(predictions: int) -> None:
    """Count predictions that were removed from the log."""
    _PRUNED.inc(predictions)


def count_model_failure(recipe: str, cause: str) -> None:
    """Count a model server that did not answer: ``connect``, ``timeout``, ``status``, ``content``, or
    ``open`` (the breaker)."""
    _MODEL_FAILURES.labels(recipe, cause).inc()


def count_rollout_call(recipe: str, side: str, *, failed: bool, seconds: float) -> None:
    """Count a call of a rollout: ``candidate`` or ``control``."""
    _ROLLOUT_CALLS.labels(recipe, side, "error" if failed else "good").inc()
    if not failed:
        _ROLLOUT_SECONDS.labels(recipe, side).observe(seconds)


def show_rollout(recipe: str, share: float, status: str, verdict: str) -> None:
    """Show where a recipe's newest rollout stands."""
    _ROLLOUT_SHARE.labels(recipe).set(share)
    for one in _STATUSES:
        _ROLLOUT_STATUS.labels(recipe, one).set(one == status)
    for one in _VERDICTS:
        _ROLLOUT_VERDICT.labels(recipe, one).set(one == verdict)
