"""Schedules: what a file may say, and what brings a server from what is there to what is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.components.server import Recurring
from frontdesk.errors import UsageError
from frontdesk.monitoring.plan import plan_of
from frontdesk.pipelines.schedules import (
    MARK,
    Change,
    Desired,
    load_schedules,
    parse_schedules,
    reconcile,
    six_fields,
)
from frontdesk.recipes import names

EXAMPLES = Path(__file__).parents[2] / "examples"
ENTRY = {"name": "ticket-weekly", "recipe": "ticket", "cron": "0 3 * * 0", "data": "s3://desk/tickets.csv"}


def wish(name: str, cron: str = "0 0 3 * * 0", **arguments: Any) -> Desired:
    return Desired(name, "ticket-lifecycle", "v1", cron, arguments, True)


def there(one: Desired, number: int = 0, *, enabled: bool = True) -> Recurring:
    return Recurring(f"{one.name}-{number}", one.name, one.description, enabled)


def told(changes: list[Change]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(change.action, change.name, change.existing) for change in changes]


class TestReconciling:
    def test_what_is_missing_is_created(self) -> None:
        assert told(reconcile([wish("a")], [], whole=True)) == [("create", "a", ())]

    def test_what_is_there_is_kept(self) -> None:
        assert told(reconcile([wish("a")], [there(wish("a"))], whole=True)) == [("keep", "a", ())]

    @pytest.mark.parametrize("old", [wish("a", "0 1 3 * * 0"), wish("a", data="other")])
    def test_what_changed_is_made_anew_and_the_old_goes(self, old: Desired) -> None:
        assert told(reconcile([wish("a")], [there(old)], whole=True)) == [("update", "a", ("a-0",))]

    def test_a_new_version_of_the_pipeline_is_a_change(self) -> None:
        new = Desired("a", "ticket-lifecycle", "v2", "0 0 3 * * 0", {}, True)
        assert told(reconcile([new], [there(wish("a"))], whole=True)) == [("update", "a", ("a-0",))]

    def test_what_somebody_paused_by_hand_runs_again(self) -> None:
        assert told(reconcile([wish("a")], [there(wish("a"), enabled=False)], whole=True))[0][0] == "update"

    def test_doubles_go(self) -> None:
        both = [there(wish("a"), 0), there(wish("a"), 1)]
        assert told(reconcile([wish("a")], both, whole=True)) == [("update", "a", ("a-1",))]

    def test_what_is_declared_no_more_is_deleted_by_a_file_only(self) -> None:
        assert told(reconcile([wish("a")], [there(wish("b"))], whole=True))[1:] == [("delete", "b", ("b-0",))]
        assert told(reconcile([wish("a")], [there(wish("b"))], whole=False)) == [("create", "a", ())]

    def test_recurring_runs_of_others_are_nobodys_concern(self) -> None:
        others = [Recurring("1", "a", "", True), Recurring("2", "b", "every night", True)]
        assert told(reconcile([wish("a")], others, whole=True)) == [("create", "a", ())]

    @given(
        st.lists(st.sampled_from("abcde"), unique=True), st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()))
    )
    def test_applied_twice_nothing_is_left_to_do(self, wanted: list[str], found: list[tuple[str, bool]]) -> None:
        desired = [wish(name) for name in wanted]
        server = {
            f"{name}-{place}": Recurring(f"{name}-{place}", name, MARK if stale else wish(name).description, True)
            for place, (name, stale) in enumerate(found)
        }
        for change in reconcile(desired, list(server.values()), whole=True):
            if change.action == "create" or (change.action == "update" and change.desired is not None):
                same = [one for one in server.values() if one.name == change.name and one.id not in change.existing]
                if not same and change.desired is not None:
                    server[f"new-{change.name}"] = there(change.desired, 99)
            for gone in change.existing:
                del server[gone]
        assert sorted(one.name for one in server.values()) == sorted(wanted)
        assert {change.action for change in reconcile(desired, list(server.values()), whole=True)} <= {"keep"}


class TestFiles:
    def test_the_examples_are_good(self) -> None:
        file = load_schedules(str(EXAMPLES / "schedules.yaml"))
        assert {one.recipe for one in file.schedules if one.pipeline == "lifecycle"} == set(names())
        for one in file.schedules:
            arguments = one.arguments(file.store, file.registry)
            assert six_fields(one.cron).startswith("0 ")
            assert one.pipeline != "lifecycle" or arguments["reason"] == "schedule"
        for recipe in names():
            assert plan_of(str(EXAMPLES / "monitoring.yaml"), recipe).retraining.limits.budget > 0

    @pytest.mark.parametrize(
        ("entry", "where"),
        [
            ({"cron": "0 3 * *"}, "schedules.0.cron"),
            ({"cron": "61 3 * * *"}, "schedules.0.cron"),
            ({"cron": "0 3 * * mon"}, "schedules.0.cron"),
            ({"cron": "0 3-1 * * *"}, "schedules.0.cron"),
            ({"cron": "*/0 3 * * *"}, "schedules.0.cron"),
            ({"name": "Weekly tickets"}, "schedules.0.name"),
            ({"recipe": "tickets"}, "schedules.0"),
            ({"data": None}, "schedules.0"),
            ({"when": "now"}, "schedules.0.when"),
        ],
    )
    def test_a_wrong_entry_is_named(self, entry: dict[str, Any], where: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_schedules({"format": 1, "schedules": [ENTRY | entry]}, where="file.yaml")
        assert caught.value.where == f"file.yaml.{where}"

    def test_a_name_stands_once(self) -> None:
        with pytest.raises(UsageError, match="twice"):
            parse_schedules({"format": 1, "schedules": [ENTRY, ENTRY]}, where="file.yaml")

    def test_a_wrong_parameter_is_found_before_the_night(self) -> None:
        file = parse_schedules({"format": 1, "schedules": [ENTRY | {"set": {"epocs": 3}}]}, where="file.yaml")
        with pytest.raises(UsageError, match="epocs"):
            file.schedules[0].arguments("s3://store", "http://mlflow")

    @pytest.mark.parametrize(
        ("five", "six"),
        [
            ("0 3 * * 7", "0 0 3 * * 0"),
            ("*/15 8-18 1,15 * 1-5", "0 */15 8-18 1,15 * 1-5"),
            ("7 7 7 7 *", "0 7 7 7 7 *"),
        ],
    )
    def test_a_server_counts_seconds_too(self, five: str, six: str) -> None:
        assert six_fields(five) == six


@pytest.mark.slow
def test_a_dry_run_needs_no_server() -> None:
    answer = CliRunner().invoke(
        app, ["schedule", "--file", str(EXAMPLES / "schedules.yaml"), "--dry-run", "--json"], catch_exceptions=False
    )
    assert answer.exit_code == 0
    content = orjson.loads(answer.stdout)
    assert {change["action"] for change in content["changes"]} == {"create"}
    assert len(content["changes"]) == 8


def test_without_a_server_nothing_is_applied() -> None:
    with pytest.raises(UsageError, match="no pipeline server"):
        CliRunner().invoke(
            app, ["schedule", "--file", str(EXAMPLES / "schedules.yaml")], catch_exceptions=False, standalone_mode=False
        )
