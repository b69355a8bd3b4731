"""The public door: keys, answers of the three recipes, and rows in its database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.calling import Caller
from tests.cluster.kubectl import until
from tests.cluster.questions import questions
from tests.cluster.release import Release

pytestmark = pytest.mark.cluster
ROUTES = {"email": "/v1/emails:classify", "ticket": "/v1/tickets:suggest", "intent": "/v1/intents:suggest"}
GATEWAY = "deployment/frontdesk-gateway"


def run(desk: Release, *arguments: str) -> Any:
    """Return what a command of ours printed inside the gateway's pod."""
    return json.loads(desk.kubectl.run("exec", GATEWAY, "-c", "gateway", "--", "frontdesk", *arguments, "--json"))


@pytest.fixture(scope="module")
def key(desk: Release) -> str:
    """A key of an application."""
    desk.kubectl.rolled_out("frontdesk-gateway")
    return str(run(desk, "keys", "create", "--client", "cluster-test", "--scopes", "all")["key"])


def rows(desk: Release) -> int:
    """Return how many predictions the database has; asked of the database itself."""
    ask = 'psql "postgresql://frontdesk:$POSTGRES_PASSWORD@127.0.0.1/frontdesk" -tAc "select count(*) from predictions"'
    return int(desk.kubectl.run("exec", "statefulset/frontdesk-postgres", "--", "sh", "-c", ask))


@pytest.mark.parametrize("recipe", ROUTES)
def test_an_application_gets_answers_that_are_written_down(
    recipe: str, desk: Release, caller: Caller, key: str, stored: dict[str, str]
) -> None:
    url, before = desk.url("frontdesk-gateway", ROUTES[recipe]), rows(desk)
    body = {"instances": [{"id": f"{recipe}-{place}", **one} for place, one in enumerate(questions(recipe, 3))]}
    if recipe == "intent":
        body = {"instances": questions(recipe, 3)}
    found = caller.ask(url, body, {"authorization": f"Bearer {key}"})
    answers = found["predictions"]
    assert len(answers) == len(body["instances"])
    assert [one["degraded"] for one in answers] == [False] * len(answers), answers
    assert {one["model_id"] for one in answers} == {stored[recipe].rpartition("/")[2]}
    assert rows(desk) == before + len(answers)


def test_without_a_key_nothing_is_answered(desk: Release, caller: Caller) -> None:
    body = {"instances": questions("ticket", 1)}
    for headers in ({}, {"authorization": "Bearer fd_wrong"}):
        found = caller.call(desk.url("frontdesk-gateway", ROUTES["ticket"]), body, headers)
        assert set(found.statuses) == {"401"}


def test_a_restarted_gateway_keeps_its_keys_and_loses_no_request(desk: Release, caller: Caller, key: str) -> None:
    url, body = desk.url("frontdesk-gateway", ROUTES["ticket"]), {"instances": questions("ticket", 1)}
    before = rows(desk)
    with caller.calling(url, body, headers={"authorization": f"Bearer {key}"}) as found:
        desk.kubectl.run("rollout", "restart", GATEWAY)
        desk.kubectl.rolled_out("frontdesk-gateway")
    print(f"\ngateway restarted: {found}")
    assert not found.failed, str(found)
    until("the last rows", lambda: rows(desk) >= before + found.calls)
