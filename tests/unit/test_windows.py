"""Windows of the log: where they lie, what they hold, when they are judged, and what persists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from frontdesk.database import Database, open_database
from frontdesk.database.verdicts import newest_verdicts, verdict_history
from frontdesk.errors import UsageError
from frontdesk.monitoring.figures import shares, variety
from frontdesk.monitoring.log_columns import case_tables, log_tables, opened_tables
from frontdesk.monitoring.log_windows import Span, latest_windows
from frontdesk.monitoring.persistence import alarms_of, persistent
from frontdesk.monitoring.plan import WatchPlan, plan_of
from frontdesk.monitoring.verdict import Cause, Verdict
from frontdesk.monitoring.watching import watch
from tests.prediction_log import MONDAY, WEEK, fill_tickets

PLAN = WatchPlan(least=50, reference_windows=3)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Database]:
    """An empty database of one desk."""
    database = open_database(f"sqlite:///{tmp_path / 'desk.db'}")
    database.upgrade()
    yield database
    database.close()


def at_week(week: float) -> datetime:
    return MONDAY + week * WEEK


class TestPlaces:
    def test_windows_lie_on_one_grid_whenever_one_looks(self, log: Database) -> None:
        fill_tickets(log, 6, rows=10)
        early, late = (latest_windows(log, "ticket", PLAN, at_week(week)) for week in (5.0, 5.99))
        assert early == late
        assert [window.current for window in early] == [Span(at_week(3), at_week(4)), Span(at_week(4), at_week(5))]
        reference = early[1].reference
        assert reference is not None
        assert at_week(0) <= reference.start < at_week(0.1)
        assert reference.end == at_week(3)

    def test_a_new_model_begins_a_reference_of_its_own(self, log: Database) -> None:
        fill_tickets(log, 4, rows=10)
        fill_tickets(log, 3, rows=10, since=at_week(4.5), model_id="model-2")
        assert [window.model_id for window in latest_windows(log, "ticket", PLAN, at_week(5))] == ["model-2"]
        first, second = latest_windows(log, "ticket", PLAN, at_week(7))
        assert first.reference is not None
        assert second.reference is not None
        assert at_week(4.5) <= first.reference.start < at_week(4.7)
        assert (first.reference.end, second.reference.end) == (at_week(5), at_week(6))

    def test_windows_by_count_keep_their_places(self, log: Database) -> None:
        fill_tickets(log, 2, rows=100)
        plan = PLAN.model_copy(update={"rows": 40})
        (before, last) = latest_windows(log, "ticket", plan, at_week(2))
        assert latest_windows(log, "ticket", plan, last.current.end)[1] == last
        assert before.current.end <= last.current.start
        tables = log_tables([], list(_rows(log, last.current)))
        assert tables[1].num_rows == 40

    def test_no_window_before_the_first_has_ended(self, log: Database) -> None:
        assert latest_windows(log, "ticket", PLAN, at_week(3)) == ()
        fill_tickets(log, 1, rows=10)
        assert latest_windows(log, "ticket", PLAN, at_week(0.9)) == []
        (only,) = latest_windows(log, "ticket", PLAN, at_week(1))
        assert only.reference is None

    def test_no_case_is_in_both_windows_of_labels(self, log: Database) -> None:
        fill_tickets(log, 4, rows=10)
        old = latest_windows(log, "ticket", PLAN, at_week(4))[1].settled(timedelta(days=3))
        assert old.reference is not None
        assert old.reference.end <= old.current.start
        assert old.current == Span(at_week(3) - timedelta(days=3), at_week(4) - timedelta(days=3))


class TestVerdicts:
    def test_drift_needs_two_windows_in_a_row_however_often_one_looks(self, log: Database) -> None:
        fill_tickets(log, 5, rows=120, drift_from=3)
        assert watch(log, "ticket", PLAN, at_week(3))[0].level == "stable"
        for _ in range(2):
            assert watch(log, "ticket", PLAN, at_week(4.2))[0].level == "watch"
        (look,) = watch(log, "ticket", PLAN, at_week(5.2))
        assert look.level == "drift"
        assert look.verdict is not None
        assert look.verdict.causes[0].column == "feature.channel"
        assert "app" in look.verdict.causes[0].words
        assert "2 windows in a row" in look.verdict.causes[0].words
        stored = verdict_history(log, "ticket")
        assert [row.verdict for row in stored][:2] == ["drift", "watch"]
        assert [row.window_end for row in newest_verdicts(log)] == [at_week(5)]
        assert Verdict.from_json(stored[0].content) == look.verdict

    def test_what_comes_out_does_not_depend_on_earlier_looks(self, log: Database) -> None:
        fill_tickets(log, 5, rows=120, drift_from=3)
        assert watch(log, "ticket", PLAN, at_week(5))[0].level == "drift"
        assert [row.verdict for row in verdict_history(log, "ticket")] == ["drift", "watch"]

    def test_too_few_rows_are_said_and_change_no_verdict(self, log: Database) -> None:
        fill_tickets(log, 3, rows=60)
        fill_tickets(log, 1, rows=20, since=at_week(3))
        assert watch(log, "ticket", PLAN, at_week(3))[0].level == "stable"
        (look,) = watch(log, "ticket", PLAN, at_week(4))
        assert look.level == "none"
        assert look.words == "not enough yet: the window has 20 of 50 rows"
        assert look.verdict is None
        assert [row.verdict for row in newest_verdicts(log)] == ["stable"]

    def test_labels_are_judged_once_their_cases_had_time(self, log: Database) -> None:
        fill_tickets(log, 5, rows=120, wrong_from=3)
        kinds = {"answer.contact_type"}
        (early,) = watch(log, "ticket", PLAN, at_week(4))
        (late,) = watch(log, "ticket", PLAN, at_week(5))
        assert late.verdict is not None
        assert kinds <= {cause.column for cause in late.verdict.causes}
        assert early.figures["accuracy.contact_type"][1] > late.figures["accuracy.contact_type"][1]  # type: ignore[operator]

    def test_parts_are_judged_by_themselves(self, log: Database) -> None:
        fill_tickets(log, 3, rows=240)
        plan = PLAN.model_copy(update={"slices": ("channel",)})
        looks = watch(log, "ticket", plan, at_week(3))
        assert [look.part for look in looks] == ["", "channel=mail", "channel=phone"]
        assert {row.part for row in newest_verdicts(log)} == {"", "channel=mail", "channel=phone"}
        assert looks[1].verdict is not None
        assert looks[0].verdict is not None
        assert looks[1].verdict.rows["current"] < looks[0].verdict.rows["current"]


class TestColumns:
    def test_kinds_and_types_follow_from_the_values(self) -> None:
        row = _row(features={"channel": "mail", "open": 2, "vip": True}, inputs={"body": "text", "open": 2})
        reference, current, watched = log_tables([row], [row])
        kinds = {(one.name, one.kind, one.type) for one in watched}
        assert {
            ("feature.channel", "input", "categorical"),
            ("feature.open", "input", "numeric"),
            ("feature.vip", "input", "categorical"),
            ("text.body", "text", "text"),
            ("characters", "input", "numeric"),
            ("prediction.contact_type", "prediction", "categorical"),
            ("confidence.contact_type", "prediction", "numeric"),
            ("decision.contact_type", "prediction", "categorical"),
            ("degraded", "quality", "categorical"),
        } <= kinds
        assert reference.equals(current)
        assert "text.open" not in reference.column_names

    def test_a_feature_that_is_gone_is_null_not_missing(self) -> None:
        reference, current, _ = log_tables([_row(features={"x": 1.0})], [_row(features={})])
        assert reference["feature.x"].to_pylist() == [1.0]
        assert current["feature.x"].to_pylist() == [None]

    def test_slow_cases_are_missing_from_both_windows(self) -> None:
        quick, slow = _closed(1, "cards", "cards"), _closed(5, "cards", "loans")
        reference, _, watched = case_tables([quick, slow], [quick], timedelta(days=3), {"contact_type": ["loans"]})
        assert reference["answer.contact_type"].to_pylist() == ["right"]
        assert reference["orphan.contact_type"].to_pylist() == ["yes"]
        assert {one.kind for one in watched} == {"label", "quality"}

    def test_of_a_case_that_was_asked_twice_the_last_answer_counts(self) -> None:
        first, second = _closed(2, "cards", "loans"), _closed(1, "loans", "loans")
        tables = case_tables([{**first, "case_id": "one"}, {**second, "case_id": "one"}], [], timedelta(days=3))
        assert tables[0]["answer.contact_type"].to_pylist() == ["right"]

    def test_intents_opened_from_the_list_that_was_on_the_screen(self) -> None:
        lists = [
            _row(id="p1", case_id="s", intents=["a", "b"]),
            _row(id="p2", case_id="s", intents=["b", "c"], hours=1),
        ]
        events = [
            SimpleNamespace(at=MONDAY + timedelta(hours=hours), labels={"intent": intent}, case_id="s", prediction_id=p)
            for hours, intent, p in ((0.5, "a", None), (2, "a", None), (2, "a", "p1"), (3, "c", "p2"))
        ]
        opened, _, _ = opened_tables((lists, events), ([], []))
        assert opened["opened_from"].to_pylist() == ["suggested", "elsewhere", "suggested", "suggested"]
        tables = log_tables(lists, lists)
        assert tables[0]["suggested.churn"].to_pylist() == [None, 0.5]
        assert shares(tables[0], tables[1])["churn"] == [0.5, 0.5]

    def test_coverage_and_diversity(self) -> None:
        figures = variety([["a", "b"], ["c", "d"]], [["a", "b"], ["a", "b"]])
        assert figures["coverage"] == [1.0, 0.5]
        assert figures["diversity"] == pytest.approx([1.0, 0.5])
        assert variety([["a"]], [[]])["coverage"] == [1.0, None]


class TestPersistence:
    VERDICT = Verdict("drift", (Cause("x", "input", "psi", 2.0, 1.0, "x changed"),), (), {}, 0.01)

    @pytest.mark.parametrize(
        ("before", "windows", "level"),
        [([], 1, "drift"), ([], 2, "watch"), ([{("input", "x")}], 2, "drift"), ([{("input", "y")}], 2, "watch")],
    )
    def test_levels(self, before: list[Any], windows: int, level: str) -> None:
        made = persistent(self.VERDICT, before, windows)
        assert (made.verdict, made.causes[0].level) == (level, level)
        assert alarms_of(self.VERDICT) == [("input", "x")]

    def test_what_persists_stands_before_what_is_new(self) -> None:
        causes = (replace(self.VERDICT.causes[0], column="new"), self.VERDICT.causes[0])
        made = persistent(replace(self.VERDICT, causes=causes), [{("input", "x")}, set()], 2)
        assert [cause.column for cause in made.causes] == ["x", "new"]


class TestPlan:
    def test_a_file_says_what_is_watched(self, tmp_path: Path) -> None:
        (tmp_path / "watch.yaml").write_text("format: 1\nrecipes: {ticket: {days: 1, retraining: {budget: 2}}}\n")
        plan = plan_of(str(tmp_path / "watch.yaml"), "ticket")
        assert (plan.days, plan.retraining.limits.budget) == (1, 2)
        assert plan_of(str(tmp_path / "watch.yaml"), "email") == WatchPlan() == plan_of(None, "ticket")

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("format: 1\nrecipes: {ticket: {days: -1}}", "watch.yaml.recipes.ticket.days"),
            ("format: 1\nrecipes: {ticket: {weeks: 1}}", "watch.yaml.recipes.ticket.weeks"),
            ("format: 1\nrecipes: {tickets: {}}", "watch.yaml.recipes"),
            ("format: 2\nrecipes: {}", "watch.yaml.format"),
            ("7", "watch.yaml"),
        ],
    )
    def test_a_wrong_entry_is_named(self, tmp_path: Path, text: str, where: str) -> None:
        (tmp_path / "watch.yaml").write_text(text)
        with pytest.raises(UsageError) as caught:
            plan_of(str(tmp_path / "watch.yaml"), "ticket")
        assert caught.value.where == where


def _rows(database: Database, span: Span) -> Iterator[Any]:
    from frontdesk.database.windows import spread_rows

    yield from spread_rows(database, "ticket", span.start, span.end, 1_000)


def _row(**given: Any) -> dict[str, Any]:
    hours = given.pop("hours", 0)
    intents = given.pop("intents", None)
    labels = {} if intents else {"contact_type": {"label": "cards", "confidence": 0.9, "decision": "auto"}}
    return {
        "id": "p",
        "at": MONDAY + timedelta(hours=hours),
        "case_id": "c",
        "client": "desk",
        "model_id": "m",
        "line": None,
        "labels": labels,
        "intents": None if intents is None else [{"id": one, "score": 0.5} for one in intents],
        "source": None if intents is None else "evgen",
        "degraded": False,
        "features": {},
        "inputs": None,
        "characters": 10,
        "outcome": None,
        "verdicts": None,
        "closed_at": None,
    } | given


def _closed(days: float, said: str, truth: str) -> dict[str, Any]:
    moment = MONDAY + timedelta(days=days)
    outcome = {"contact_type": {"label": truth, "origin": "closed", "at": moment.astimezone(UTC).isoformat()}}
    labels = {"contact_type": {"label": said, "confidence": 0.9, "decision": "auto"}}
    return _row(case_id=f"c{days}", labels=labels, outcome=outcome, verdicts={}, closed_at=moment)
