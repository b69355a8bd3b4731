"""Candidates on real model servers: broken ones are rolled back, and no customer loses an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from frontdesk.database import Database
from frontdesk.database.releases import decide_release, keep_release, release, set_state
from frontdesk.database.rollouts import Stored, add_counts, change, latest_rollout, read_counts
from frontdesk.deployment import current, offered
from frontdesk.errors import GateRefused, UsageError
from frontdesk.golden_questions import count_wrong
from frontdesk.releases import begin_rollout, settle
from frontdesk.rollout import Plan, promote
from frontdesk.serving.gateway.controller import Controller
from tests.bundles import EmailRun
from tests.gateway.desk import GatewayProcess
from tests.gateway.releasing import Place, ask, released, traffic
from tests.intent_bundles import IntentRun
from tests.serving.process import ServerProcess

QUICK = {"bake_seconds": 0.0, "least": 20, "alpha": 0.3, "rise": 0.3, "slower": 2.0, "slack_seconds": 0.02}
WAIT_SECONDS = 90
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def registered(ticket_bundle: Path, empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A store with a deployed model and its twin: the tests of this module change only databases."""
    folder = tmp_path_factory.mktemp("released")
    return released(folder, empty_registry, ticket_bundle)


def plan(*steps: float, **changes: Any) -> Plan:
    return Plan(steps=steps or (50, 100), **{**QUICK, **changes})


def begin(place: Place, database: Database, chosen: Plan, recipe: str = "ticket") -> Stored:
    given = {"recipe": recipe, "number": place.candidate.number, "plan": chosen, "by": "Ada"}
    return begin_rollout(database, place.store, place.registry, **given, now=datetime.now(UTC))


@contextmanager
def fault(place: Place, name: str, folder: Path) -> Iterator[ServerProcess]:
    """Serve the champion, and a candidate that has a fault."""
    command = ["-m", "tests.gateway.candidate_server", place.champion.bundle, place.candidate.bundle, "--fault", name]
    with ServerProcess(command, folder / "models.log") as server:
        yield server


def drive(
    place: Place,
    database: Database,
    url: str,
    condition: Callable[[Stored], bool],
    seconds: float = WAIT_SECONDS,
    recipe: str = "ticket",
) -> Stored:
    """Run a controller until a rollout is as it should be."""

    async def look() -> Stored:
        urls = {recipe: url, f"{recipe}-candidate": url}
        controller = Controller(database, place.store, place.registry, urls, [recipe])
        end = time.monotonic() + seconds
        try:
            while not condition(found := latest_rollout(database, recipe)):
                assert time.monotonic() < end, found.as_json()
                await controller.look()
                await asyncio.sleep(0.1)
        finally:
            await controller.close()
        return found

    return asyncio.run(look())


def ended(stored: Stored) -> bool:
    return not stored.active


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fails", "calls failed"),
        pytest.param("slow", "slower than tolerated", marks=pytest.mark.slow),
        ("wrong", "golden questions"),
    ],
)
def test_a_broken_candidate_is_rolled_back(registered: Place, tmp_path: Path, name: str, words: str) -> None:
    patient = {"FRONTDESK_GATEWAY_SUGGEST_SECONDS": "10"}
    with (
        fault(registered, name, tmp_path) as server,
        GatewayProcess(tmp_path, {"ticket": server.url}, patient) as gateway,
    ):
        assert isinstance(gateway, GatewayProcess)
        begin(registered, gateway.database, plan())
        with traffic(gateway.client, callers=4) as desk:
            found = drive(registered, gateway.database, server.url, ended)
            seen = len(desk.models)
            while len(desk.models) < seen + 20:
                time.sleep(0.05)
        assert found.progress.status == "rolled back"
        assert words in found.progress.words[0]
        assert set(desk.statuses) == {200}
        assert not any(answer["degraded"] for answer in desk.answers), "the champion answers in the candidate's place"
        assert release(gateway.database, "ticket", 2).state == "rolled back"
        assert current(registered.store, "ticket")["model_id"] == registered.champion.model_id
        assert offered(registered.store, "ticket")["model_id"] == registered.champion.model_id
        assert registered.registry.champion("ticket").number == 1
        if name == "wrong":
            assert set(desk.models) == {registered.champion.model_id}, "no case has seen it"
        if name == "fails":
            assert any(answer.get("fallback") for answer in desk.answers)
            with gateway.database.reading() as connection:
                arms = dict(connection.execute(sa.text("SELECT arm, count(*) FROM predictions GROUP BY arm")).all())
            assert arms["fallback"] == sum(bool(answer.get("fallback")) for answer in desk.answers)
            assert arms["control"] > 0


OTHERS: dict[str, dict[str, Any]] = {
    "email": {"route": "/v1/emails:classify", "case_field": "id", "subject": "card", "body": "My card is lost."},
    "intent": {"route": "/v1/intents:suggest", "case_field": "session", "line": "cards", "events": []},
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", list(OTHERS))
def test_mails_and_intents_roll_out_alike(
    recipe: str, email_run: EmailRun, intent_run: IntentRun, empty_registry: Path, tmp_path: Path
) -> None:
    """A candidate that answers the golden questions wrongly meets no case; its good twin takes its share."""
    place = released(tmp_path, empty_registry, email_run.bundle if recipe == "email" else intent_run.bundle)
    patient = {f"FRONTDESK_GATEWAY_{name}_SECONDS": "10" for name in ("SUGGEST", "BATCH")}
    for name, status in (("wrong", "rolled back"), ("none", "running")):
        folder = tmp_path / name
        folder.mkdir()
        with fault(place, name, folder) as server, GatewayProcess(folder, {recipe: server.url}, patient) as gateway:
            assert isinstance(gateway, GatewayProcess)
            begin(place, gateway.database, plan(50, 100, bake_seconds=3600.0), recipe)
            with traffic(gateway.client, callers=2, **OTHERS[recipe]) as desk:
                found = drive(
                    place, gateway.database, server.url, lambda one: one.progress.status != "waiting", recipe=recipe
                )
                assert found.progress.status == status, found.as_json()
                if status == "running":
                    gateway.wait_for(lambda: place.candidate.model_id in desk.models)
            assert set(desk.statuses) == {200}
            if status == "rolled back":
                assert "golden questions" in found.progress.words[0]
                assert set(desk.models) == {place.champion.model_id}


def test_servers_that_answer_by_a_label_file_are_asked_by_it(
    registered: Place, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.settings import settings

    tree = LabelBundle.load(registered.candidate.bundle).taxonomy.heads["reply"]
    renamed = {label: f"renamed {place}" for place, label in enumerate(tree.labels)}
    changes = [
        {"date": "2026-01-01", "head": "reply", "rename": {"label": old, "name": new}} for old, new in renamed.items()
    ]
    heads = {"reply": {"labels": list(tree.labels)}}
    file = tmp_path / "labels.yaml"
    file.write_bytes(orjson.dumps({"format": 1, "start": "2020-01-01", "heads": heads, "changes": changes}))
    monkeypatch.setenv("FRONTDESK_TAXONOMY", str(file))
    settings.cache_clear()
    try:
        stored = begin(registered, database, plan())
        command = ["-m", "frontdesk.serving", registered.candidate.bundle]
        with ServerProcess(command, tmp_path / "models.log") as server:
            body = {"instances": [question["instance"] for question in stored.questions]}
            answers = server.client.post("/v1/models/ticket:predict", json=body).json()["predictions"]
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    expected = [one["expected"]["reply"] for one in stored.questions if "reply" in one["expected"]]
    assert expected
    assert set(expected) <= set(renamed.values())
    assert count_wrong(stored.questions, answers) == 0


@pytest.mark.slow
def test_a_candidate_that_is_never_ready_is_rolled_back(registered: Place, ticket_bundle: Path, tmp_path: Path) -> None:
    with (
        ServerProcess.of_bundles(tmp_path / "models.log", ticket_bundle) as server,
        GatewayProcess(tmp_path, {"ticket": server.url}) as gateway,
    ):
        assert isinstance(gateway, GatewayProcess)
        begin(registered, gateway.database, plan(ready_seconds=1.0))
        found = drive(registered, gateway.database, server.url, ended)
        assert found.progress.status == "rolled back"
        assert "did not answer as the candidate" in found.progress.words[0]
        assert [entry["share"] for entry in found.history] == [0.0, 0.0]


@pytest.mark.slow
def test_a_killed_gateway_comes_back_to_the_same_split(registered: Place, tmp_path: Path) -> None:
    """And a rollout without traffic pauses; a person promotes it, and the gateways follow."""
    cases = [f"case {number}" for number in range(40)]
    with fault(registered, "none", tmp_path) as server:
        with GatewayProcess(tmp_path, {"ticket": server.url}) as gateway:
            assert isinstance(gateway, GatewayProcess)
            begin(registered, gateway.database, plan(25, 50, 100, patience_seconds=0.5, least=10_000))
            found = drive(registered, gateway.database, server.url, lambda one: one.progress.status == "paused")
            assert (found.share, found.progress.words[0]) == (0.25, "A person must decide.")
            gateway.wait_for(
                lambda: 'frontdesk_rollout_share{recipe="ticket"} 0.25' in gateway.client.get("/metrics").text
            )
            before = {case: ask(gateway.client, case)["model_id"] for case in cases}
            assert set(before.values()) == {registered.champion.model_id, registered.candidate.model_id}
            gateway.process.kill()
            gateway.process.wait()
        with GatewayProcess(tmp_path, {"ticket": server.url}) as gateway:
            assert isinstance(gateway, GatewayProcess)
            after = {case: ask(gateway.client, case)["model_id"] for case in cases}
            assert after == before
            database = gateway.database
            moved = change(database, "ticket", lambda one: promote(one.plan, one.progress, "Ada", datetime.now(UTC)))
            assert moved.share == 0.5
            gateway.wait_for(
                lambda: 'frontdesk_rollout_share{recipe="ticket"} 0.5' in gateway.client.get("/metrics").text
            )
            grown = {case: ask(gateway.client, case)["model_id"] for case in cases}
            stayed = [case for case in cases if before[case] == registered.candidate.model_id]
            assert all(grown[case] == registered.candidate.model_id for case in stayed)
            assert len([one for one in grown.values() if one == registered.candidate.model_id]) > len(stayed)
            gateway.wait_for(lambda: (1, "candidate") in read_counts(database, moved.id))
            counts = read_counts(database, moved.id)
            assert counts[1, "candidate"].calls + counts[1, "control"].calls <= 40


def test_one_at_a_time_and_only_what_may(registered: Place, database: Database) -> None:
    begin(registered, database, plan())
    with pytest.raises(UsageError, match="goes on already"):
        begin(registered, database, plan())
    given = {"recipe": "ticket", "number": 1, "plan": plan(), "by": "Ada", "now": datetime.now(UTC)}
    with pytest.raises(UsageError, match="deployed already"):
        begin_rollout(database, registered.store, registered.registry, **given)
    with pytest.raises(UsageError, match="no version 9"):
        begin_rollout(database, registered.store, registered.registry, **given | {"number": 9})
    with pytest.raises(UsageError, match="no version"):
        begin_rollout(database, registered.store, registered.registry, **given | {"recipe": "intent", "number": None})
    stored = latest_rollout(database, "ticket")
    assert [len(one["expected"]) > 0 for one in stored.questions].count(True) > 8


def test_approval_stands_before_a_rollout_where_it_is_required(
    registered: Place, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frontdesk.settings import settings

    monkeypatch.setenv("FRONTDESK_APPROVAL", "required")
    settings.cache_clear()
    try:
        with pytest.raises(GateRefused, match="not approved"):
            begin(registered, database, plan())
    finally:
        monkeypatch.undo()
        settings.cache_clear()


def test_gateways_add_up_and_only_one_moves(registered: Place, database: Database) -> None:
    from concurrent.futures import ThreadPoolExecutor

    stored = begin(registered, database, plan())
    more = {(stored.id, 0, "candidate", "calls", ""): 3, (stored.id, 0, "candidate", "labels", "queue=a"): 1}
    with ThreadPoolExecutor(4) as several:
        list(several.map(lambda _: add_counts(database, more), range(12)))
        assert read_counts(database, stored.id)[0, "candidate"].calls == 36

        def up(number: int) -> object:
            from frontdesk.database.rollouts import move
            from frontdesk.rollout import abort

            return move(database, stored, abort(stored.progress, f"gateway {number}", datetime.now(UTC)))

        moved = [one for one in several.map(up, range(4)) if one is not None]
    assert len(moved) == 1
    assert not latest_rollout(database, "ticket").active
    settle(database, registered.store, "ticket")
    assert release(database, "ticket", 2).state == "rolled back"
    assert begin(registered, database, plan()).active, "the next one may begin"


def test_the_first_decision_stays(database: Database) -> None:
    papers: dict[str, Any] = {"metrics": {}, "gate": {}, "card": "", "snapshot": "s", "bundle": "b", "now": NOW}
    for version in (1, 2):
        assert keep_release(database, recipe="ticket", version=version, model_id=f"m{version}", **papers)
        assert not keep_release(database, recipe="ticket", version=version, model_id="other", **papers)
    set_state(database, "ticket", 1, "deployed")
    with pytest.raises(UsageError, match="is deployed"):
        decide_release(database, "ticket", 1, "rejected", "Ada", NOW, told=False)
    assert decide_release(database, "ticket", 1, "approved", "Ada", NOW, told=False).state == "deployed"
    assert decide_release(database, "ticket", 2, "rejected", "Ada", NOW, told=False).state == "rejected"
    again = decide_release(database, "ticket", 2, "rejected", "Grace", NOW, told=True)
    assert (again.decided_by, again.decided_at, again.told) == ("Ada", NOW, True)
    with pytest.raises(UsageError, match="rejected by Ada"):
        decide_release(database, "ticket", 2, "approved", "Grace", NOW, told=False)
