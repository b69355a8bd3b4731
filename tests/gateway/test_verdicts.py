"""Verdicts of windows in both databases, and what Prometheus sees of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from frontdesk.database import Database
from frontdesk.database.retrainings import begin
from frontdesk.database.verdicts import (
    has_verdict,
    keep_verdict,
    newest_verdicts,
    note_decision,
    verdict_history,
    verdicts_before,
)
from frontdesk.monitoring.retraining import Decision, Request
from frontdesk.monitoring.verdict import Cause, Check, Verdict
from frontdesk.serving.gateway import watching
from frontdesk.serving.gateway.watching import WatchMetrics

WEEK = timedelta(days=7)
END = datetime(2024, 5, 6, tzinfo=UTC)


def row(
    weeks: int = 0, level: str = "drift", part: str = "", recipe: str = "ticket", score: float = 0.3
) -> dict[str, Any]:
    cause = Cause("feature.channel", "input", "psi", score, 0.1, "the channel changed")
    check = Check("feature.channel", "input", "psi", score, 0.05, 0.1)
    content = Verdict("drift", (cause,), (check,), {"reference": 9, "current": 9}, 0.01).as_json()
    return {
        "recipe": recipe,
        "part": part,
        "window_start": END + (weeks - 1) * WEEK,
        "window_end": END + weeks * WEEK,
        "reference_start": None,
        "reference_end": None,
        "model_id": "m",
        "verdict": level,
        "alarms": [["input", "feature.channel"]],
        "content": {"words": "not enough yet"} if level == "none" else content,
        "figures": {"accuracy.contact_type": [0.9, 0.8], "churn": [None, None]},
        "made_at": END,
    }


def test_a_window_has_one_verdict_and_keeps_its_decision(database: Database) -> None:
    keep_verdict(database, row(level="watch"))
    note_decision(database, "ticket", END, {"start": True, "answer": "start"})
    keep_verdict(database, row(level="drift"))
    note_decision(database, "ticket", END, {"start": False, "answer": "done_before"})
    (only,) = verdict_history(database, "ticket")
    assert (only.verdict, only.retraining["answer"]) == ("drift", "start")
    assert has_verdict(database, "ticket", END)
    assert not has_verdict(database, "email", END)


def test_windows_with_too_few_rows_are_told_but_not_counted(database: Database) -> None:
    for weeks, level in ((0, "stable"), (1, "drift"), (2, "none")):
        keep_verdict(database, row(weeks, level))
    keep_verdict(database, row(1, "watch", part="channel=mail"))
    assert [one.verdict for one in verdict_history(database)] == ["none", "drift", "stable"]
    assert [one.verdict for one in verdicts_before(database, "ticket", "", END + 3 * WEEK, 5)] == ["drift", "stable"]
    assert [one.verdict for one in verdicts_before(database, "ticket", "", END + WEEK, 5)] == ["stable"]
    assert [(one.part, one.verdict) for one in newest_verdicts(database)] == [("", "drift"), ("channel=mail", "watch")]


def test_prometheus_sees_the_newest_verdict_with_its_method(database: Database) -> None:
    keep_verdict(database, row(0, "stable", score=0.01))
    keep_verdict(database, row(1, "drift"))
    request = Request("ticket", "drift", "data", "", END, "the channel changed")
    begin(database, request, lambda request, past: Decision(True, "start", "", request.key))
    text = WatchMetrics(database).text().decode()
    found = {
        (sample.name.removeprefix("frontdesk_"), *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    of = (("part", ""), ("recipe", "ticket"))
    column = (("column", "feature.channel"), ("method", "psi"))
    assert found["verdict", *of, ("verdict", "drift")] == 1
    assert found["verdict", *of, ("verdict", "stable")] == 0
    assert found["verdict_window_end_seconds", *of] == (END + WEEK).timestamp()
    assert found["drift_score", *column, *of] == 0.3
    assert found["drift_threshold", *column, *of] == 0.1
    assert found["window_figure", ("figure", "accuracy.contact_type"), *of] == 0.8
    assert found["retrainings", ("reason", "drift"), ("recipe", "ticket"), ("state", "running")] == 1
    assert "churn" not in text


def test_the_database_is_asked_at_most_twice_a_minute(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(watching, "time", clock)
    metrics = WatchMetrics(database)
    assert b'recipe="ticket"' not in metrics.text()
    keep_verdict(database, row())
    assert b'recipe="ticket"' not in metrics.text()
    clock.now += 31
    assert b'recipe="ticket"' in metrics.text()
    database.downgrade("0002")  # a database that answers no more: what was read stays
    clock.now += 31
    assert b'recipe="ticket"' in metrics.text()
