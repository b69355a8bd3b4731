"""Latency of a request by stage, on ``/metrics`` beside the SDK's own histograms.

The SDK's lowest bucket is 5 ms, which says nothing about a service that must answer within 10 ms.

Stages: ``decode`` (JSON or tensors to instances), ``queue`` (waiting for a compute thread), ``predict`` (checking the
fields, cleaning, model, decisions), ``features`` (its part that reads the feature store), ``encode`` (answer to bytes),
``predictor`` (a transformer's waiting for its predictor), ``total`` (a whole request that was answered).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (
    0.0001,
    0.0002,
    0.0005,
    0.001,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.02,
    0.03,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
)

_STAGES = Histogram("frontdesk_stage_seconds", "Seconds per stage of a request", ["model", "stage"], buckets=BUCKETS)
_RESPONSES = Counter("frontdesk_responses", "Answers by HTTP status", ["status"])
_MISSING = Counter(
    "frontdesk_missing_features", "Features that took their training default", ["model", "feature", "reason"]
)
_INSTANCES = Counter("frontdesk_instances", "Instances predicted", ["model"])


_BATCHES = Histogram(
    "frontdesk_batch_requests", "Requests computed in one call", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64)
)
_EXPLANATIONS = Counter("frontdesk_explanations", "Answers that were explained", ["model"])
_PREDICTOR_FAILURES = Counter("frontdesk_predictor_failures", "Requests that the predictor did not answer", ["model"])
_SWITCHES = Counter("frontdesk_switches", "New versions by what became of them", ["model", "outcome"])
_SERVED = Gauge("frontdesk_served", "1 for the version that answers now", ["model", "model_id"])


@functools.lru_cache(maxsize=256)
def _stage(model: str, stage: str) -> Histogram:
    return _STAGES.labels(model, stage)


def observe(model: str, stage: str, seconds: float) -> None:
    """Count one duration. ``model`` is a served one, never a name that a caller made up."""
    _stage(model, stage).observe(seconds)


@contextmanager
def timed(model: str, stage: str) -> Iterator[None]:
    """Count the duration of a block, also when it fails."""
    start = time.perf_counter()
    try:
        yield
    finally:
        observe(model, stage, time.perf_counter() - start)


def observe_batch(model: str, requests: int) -> None:
    """Count a call of the model, and how many requests it answered."""
    _BATCHES.labels(model).observe(requests)


def count_response(status: int) -> None:
    """Count an answer."""
    _RESPONSES.labels(str(status)).inc()


def count_instances(model: str, instances: int) -> None:
    """Count predicted instances."""
    _INSTANCES.labels(model).inc(instances)


def count_missing_feature(model: str, feature: str, reason: str) -> None:
    """Count a feature that was not there: ``unknown``, ``stale`` or ``unavailable``."""
    _MISSING.labels(model, feature, reason).inc()


def count_explanation(model: str) -> None:
    """Count an answer that was asked for with its explanation."""
    _EXPLANATIONS.labels(model).inc()


def count_predictor_failure(model: str) -> None:
    """Count a request that the predictor did not answer."""
    _PREDICTOR_FAILURES.labels(model).inc()


def count_switch(model: str, outcome: str) -> None:
    """Count a new version that took over (``switched``) or could not (``failed``)."""
    _SWITCHES.labels(model, outcome).inc()


def show_served(model: str, model_id: str, before: str | None) -> None:
    """Say which version answers now."""
    if before is not None and before != model_id:
        _SERVED.remove(model, before)
    _SERVED.labels(model, model_id).set(1)
