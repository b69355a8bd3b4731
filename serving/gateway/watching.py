"""Verdicts and retrainings on ``/metrics``, read from the database at most twice a minute.

Scores of different methods mean different things (an effect size is not a p-value), so the method is a label.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from frontdesk.database import Database
from frontdesk.database.retrainings import retraining_counts
from frontdesk.database.verdicts import newest_verdicts
from frontdesk.errors import StorageError
from frontdesk.logs import event

_LEVELS = ("stable", "watch", "drift")
_KEEP_SECONDS = 30.0
_log = logging.getLogger(__name__)


class WatchMetrics:
    """The newest verdict of every recipe and part, in Prometheus' text format."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._until = 0.0
        self._text = b""

    def text(self) -> bytes:
        """Return the metrics; what was read last where the database does not answer."""
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + _KEEP_SECONDS
            try:
                registry = CollectorRegistry()
                show_verdicts(registry, newest_verdicts(self._database), retraining_counts(self._database))
                self._text = generate_latest(registry)
            except StorageError:
                event(_log, "verdicts_not_read", level=logging.WARNING)
        return self._text


def show_verdicts(
    registry: CollectorRegistry, verdicts: Iterable[Any], retrainings: dict[tuple[str, str, str], int]
) -> None:
    """Put gauges into an empty registry.

    Args:
        verdicts: the newest of every recipe and part.
        retrainings: ``{(recipe, reason, state): how many}``.
    """

    def gauge(name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"frontdesk_{name}", words, labels, registry=registry)

    part = ("recipe", "part")
    verdict = gauge("verdict", "1 for the verdict of the newest window", *part, "verdict")
    ended = gauge("verdict_window_end_seconds", "When the newest judged window ended, Unix time", *part)
    score = gauge("drift_score", "Statistic of a column; its method says what it means", *part, "column", "method")
    threshold = gauge("drift_threshold", "What the statistic must reach to be drift", *part, "column", "method")
    figure = gauge("window_figure", "Share or figure of the newest window", *part, "figure")
    count = gauge("retrainings", "Retrainings by reason and state", "recipe", "reason", "state")
    for row in verdicts:
        for level in _LEVELS:
            verdict.labels(row.recipe, row.part, level).set(row.verdict == level)
        ended.labels(row.recipe, row.part).set(row.window_end.timestamp())
        for check in row.content["checks"]:
            if check["score"] is not None:
                score.labels(row.recipe, row.part, check["column"], check["method"]).set(check["score"])
                threshold.labels(row.recipe, row.part, check["column"], check["method"]).set(check["drift"])
        for name, (_, value) in row.figures.items():
            if value is not None:
                figure.labels(row.recipe, row.part, name).set(value)
    for (recipe, reason, state), number in retrainings.items():
        count.labels(recipe, reason, state).set(number)
