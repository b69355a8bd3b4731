"""Latency of a request by stage, on ``/metrics`` beside the SDK's own histograms.

The SDK's lowest bucket is 5 ms, which says nothing about a service that must answer within 10 ms.

Stages: ``decode`` (JSON or tensors to instances), ``queue`` (waiting for a compute thread), ``predict`` (checking the
fields, cleaning, model, decisions), ``features`` (its part that reads the feature store), ``encode`` (answer to bytes),
``predictor`` (a transformer's waiting for its predictor), ``total`` (a whole request that was answered).

Where several workers serve, each writes its values to a file of its own in the folder that ``PROMETHEUS_MULTIPROC_DIR``
names (the client library's own way), and whichever is asked answers for all: counters and histograms are summed, those
of dead workers too; gauges are summed over the living. The library's figures of one process are not there then.
"""

from __future__ import annotations

import functools
import os
import time

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, exposition
from prometheus_client.multiprocess import MultiProcessCollector

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
_SERVED = Gauge(
    "frontdesk_served",
    "Workers in which a version answers now",
    ["model", "model_id"],
    multiprocess_mode="livesum",
)
_WORKERS = Gauge("frontdesk_workers", "Workers that are ready", multiprocess_mode="livesum")
_RESTARTS = Counter("frontdesk_worker_restarts", "Workers that took the place of one that had died")
_SEVERAL = "PROMETHEUS_MULTIPROC_DIR" in os.environ


@functools.lru_cache(maxsize=256)
def _stage(model: str, stage: str) -> Histogram:
    return _STAGES.labels(model, stage)


@functools.lru_cache(maxsize=64)
def _response(status: int) -> Counter:
    return _RESPONSES.labels(str(status))


@functools.lru_cache(maxsize=64)
def _instances(model: str) -> Counter:
    return _INSTANCES.labels(model)


def observe(model: str, stage: str, seconds: float) -> None:
    """Count one duration. ``model`` is a served one, never a name that a caller made up."""
    _stage(model, stage).observe(seconds)


class timed:
    """Count the duration of a block, also when it fails."""

    __slots__ = ("_model", "_stage", "_start")

    def __init__(self, model: str, stage: str) -> None:
        self._model, self._stage = model, stage

    def __enter__(self) -> None:
        """Begin."""
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        """Count."""
        observe(self._model, self._stage, time.perf_counter() - self._start)


def observe_batch(model: str, requests: int) -> None:
    """Count a call of the model, and how many requests it answered."""
    _BATCHES.labels(model).observe(requests)


def count_response(status: int) -> None:
    """Count an answer."""
    _response(status).inc()


def count_instances(model: str, instances: int) -> None:
    """Count predicted instances."""
    _instances(model).inc(instances)


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
    for outcome in ("switched", "failed"):
        _SWITCHES.labels(model, outcome)  # from zero on: Prometheus sees no increase where a counter begins at one
    if before is not None and before != model_id:
        if _SEVERAL:  # what is in the file stays there
            _SERVED.labels(model, before).set(0)
        else:
            _SERVED.remove(model, before)
    _SERVED.labels(model, model_id).set(1)


def show_worker(*, again: bool) -> None:
    """Say that this process is ready, and whether it took another one's place."""
    _WORKERS.set(1)
    if again:
        _RESTARTS.inc()


def exposed(accept: str | None) -> tuple[bytes, str]:
    """Return everything that is counted, in the form that a scraper accepts, and its content type. Reads files."""
    registry = REGISTRY
    if _SEVERAL:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encoder, content_type = exposition.choose_encoder(accept or "")
    return encoder(registry), content_type
