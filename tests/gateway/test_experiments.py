"""Experiments that run: registered once, assigned by every gateway alike, analysed from what was logged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.database import Database, open_database
from frontdesk.database.experiments import (
    kept_report,
    kept_results,
    list_experiments,
    start_experiment,
    stop_experiment,
)
from frontdesk.database.feedback import apply_events
from frontdesk.database.keys import SCOPES, create_key
from frontdesk.database.predictions import insert_predictions
from frontdesk.errors import FrontdeskError, NotFound, UsageError
from frontdesk.experiments.analysis import analyse
from frontdesk.experiments.assignment import arm_of
from frontdesk.experiments.definition import Definition
from frontdesk.experiments.logged import logged_rows
from frontdesk.experiments.refreshing import refresh
from frontdesk.feedback import Event
from frontdesk.serving.gateway.app import create_app
from frontdesk.serving.gateway.assignment import RunningExperiments
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.settings import settings
from tests.bundles import TicketBundles
from tests.gateway.desk import FEEDBACK, TICKETS, Stack
from tests.gateway.test_feedback import prediction
from tests.unit.test_experiment_definition import CONTENT, declared

NOW = datetime(2026, 12, 9, 10, tzinfo=UTC)


def start(database: Database, definition: Definition) -> bool:
    content = definition.content()
    return start_experiment(database, definition.name, definition.recipe, definition.digest, content, now=NOW)


def test_an_experiment_is_registered_once_and_never_changed(database: Database) -> None:
    assert start(database, declared())
    assert not start(database, declared())
    with pytest.raises(UsageError, match="cannot be changed"):
        start(database, declared(alpha=0.01))
    with pytest.raises(UsageError, match="another experiment runs for ticket"):
        start(database, declared(name="second"))
    assert start(database, declared(name="mails", recipe="email"))
    found = stop_experiment(database, "ticket-v2", "enough", now=NOW)
    assert (found.state, found.reason) == ("stopped", "enough")
    later = stop_experiment(database, "ticket-v2", "again", now=NOW + timedelta(days=1))
    assert (later.stopped_at, later.reason) == (NOW, "enough")
    with pytest.raises(UsageError, match="was stopped"):
        start(database, declared())
    assert start(database, declared(name="second"))
    assert [one.name for one in list_experiments(database, running=True)] == ["mails", "second"]
    kept = {one.name: one.definition for one in list_experiments(database)}
    assert kept["mails"] == declared(name="mails", recipe="email").content()
    with pytest.raises(NotFound):
        stop_experiment(database, "nobody", None, now=NOW)


def test_gateways_follow_the_table(database: Database) -> None:
    moment = [NOW]
    first, second = (RunningExperiments(database, lambda: moment[0]) for _ in range(2))
    units = {"case": "c1", "customer": None}
    assert first.assign("ticket", units) is None
    definition = declared()
    start(database, definition)
    assert first.assign("ticket", units) is None  # until it looks again
    for each in (first, second):
        each.refresh()
    cases = [f"c{number}" for number in range(200)]
    arms = [first.assign("ticket", {"case": case}) for case in cases]
    assert arms == [second.assign("ticket", {"case": case}) for case in cases]
    assert all(arm and arm.model == (None if arm.name == "v2" else "ticket-1a2b3c4d") for arm in arms)
    assert {arm.unit for arm in arms if arm} == set(cases)
    assert first.assign("email", units) is None
    assert first.assign("ticket", {"case": None}) is None
    moment[0] = datetime(2026, 12, 2, tzinfo=UTC)
    assert {arm.model for case in cases if (arm := first.assign("ticket", {"case": case}))} == {"ticket-1a2b3c4d"}
    moment[0] = datetime(2027, 1, 7, tzinfo=UTC)
    assert first.assign("ticket", units) is None
    moment[0] = NOW
    stop_experiment(database, definition.name, None, now=NOW)
    first.refresh()
    assert first.assign("ticket", units) is None


def test_a_definition_of_another_release_stops_no_gateway(database: Database) -> None:
    start_experiment(database, "new", "ticket", "d", {"name": "new", "kind": "unheard of"}, now=NOW)
    start(database, declared(name="mails", recipe="email"))
    known = RunningExperiments(database, lambda: NOW)
    known.refresh()
    assert known.assign("ticket", {"case": "c"}) is None
    assert known.assign("email", {"case": "c"}) is not None


def test_a_database_that_fails_leaves_what_was_known(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'desk.db'}")
    database.upgrade()
    start(database, declared())
    known = RunningExperiments(database, lambda: NOW)
    known.refresh()
    with database.writing() as connection:
        connection.execute(sa.text("DROP TABLE experiments"))
    known.refresh()
    assert known.assign("ticket", {"case": "c"}) is not None
    database.close()


def fill(database: Database, definition: Definition) -> None:
    """Log 400 cases of the first two A/B days, whose treatment takes half of the time and is right more often."""
    rows, events = [], []
    for number in range(400):
        case, arm = f"c{number}", arm_of(definition, f"c{number}").name
        at = NOW - timedelta(days=number % 2)
        said = {"contact_type": {"label": "a", "confidence": 0.9, "decision": "suggest", "reason": "x"}}
        told = {"recipe": "ticket", "case_id": case, "at": at, "labels": said, "experiment": definition.name}
        rows.append(prediction(f"{number:03}", case, arm=arm, unit=case, holdout=number % 40 == 0, **told))
        true = "a" if arm == "v2" or number % 2 else "b"
        minutes = (6.0 if arm == "v2" else 12.0) + number % 5
        verdict = "accepted" if true == "a" else "changed"
        events += [
            Event("crm", f"v{number}", "ticket", case, verdict, at, {"contact_type": true}),
            Event("crm", f"e{number}", "ticket", case, "closed", at, {"contact_type": true},
                  measures={"handle_time": minutes, "satisfaction": 4.0 + number % 2}),
        ]  # fmt: skip
    with database.writing() as connection:
        insert_predictions(connection, rows)
    apply_events(database, events)


def test_the_log_and_feedback_are_the_rows(database: Database) -> None:
    definition = declared()
    fill(database, definition)
    rows = logged_rows(database, definition)
    assert rows.units == 390  # cases without suggestions are no part of it
    found = analyse(definition, rows)
    assert found["ab"]["accuracy"]["treatment"] == found["ab"]["suggestion_share"]["treatment"] == 1.0
    assert 0.4 < found["ab"]["accuracy"]["control"] < 0.6
    assert found["ab"]["handle_time"]["control"] == pytest.approx(14, abs=0.3)
    assert found["ab"]["handle_time"]["treatment"] == pytest.approx(8, abs=0.3)
    assert "searches_avoided" not in found["ab"]


def test_results_are_kept_until_nothing_more_can_come(database: Database) -> None:
    definition = declared()
    later = NOW + timedelta(days=1)
    start(database, definition)
    start(database, declared(name="mails", recipe="email"))
    assert [one["verdict"] for one in refresh(database, later)] == [None, None]
    assert kept_results(database) == {}
    fill(database, definition)
    (found,) = refresh(database, later, "ticket")
    kept = kept_results(database)["ticket-v2"]
    assert (found["verdict"], found["words"]) == ("go on", kept.content["decision"]["headline"])
    assert (kept.made_at, kept.content["until"]) == (later, "2026-12-10"), "the day that goes on is no part of it"
    assert kept.content["digest"] == definition.digest
    assert found["words"] in str(kept_report(database, "ticket-v2"))
    stop_experiment(database, definition.name, None, now=later + timedelta(hours=1))
    assert len(refresh(database, later + timedelta(hours=2), "ticket")) == 1, "once more after it was stopped"
    assert refresh(database, later + timedelta(hours=3), "ticket") == []
    assert kept_results(database)["ticket-v2"].made_at == later + timedelta(hours=2)


def test_lists_of_intents_are_judged_by_what_was_opened(database: Database) -> None:
    definition = declared(
        recipe="intent", unit="operator", primary={"metric": "suggestion_share", "minimum_effect": 0.1}, guardrails=[]
    )
    shown = [{"id": "card", "score": 0.5}, {"id": "loan", "score": 0.2}]
    rows, events = [], []
    for number, opened in enumerate(["card", "loan", "other", None]):
        told = {"recipe": "intent", "labels": {}, "intents": shown, "at": NOW, "experiment": definition.name}
        rows.append(prediction(f"{number}", f"s{number}", arm="v1", unit=f"o{number % 2}", **told))
        if opened is not None:
            kind: Any = "changed" if opened == "other" else "accepted"
            events.append(Event("ui", f"e{number}", "intent", f"s{number}", kind, NOW, {"intent": opened}))
    with database.writing() as connection:
        insert_predictions(connection, rows)
    apply_events(database, events)
    found = logged_rows(database, definition)
    assert found.units == 2
    assert found.values["accuracy"][:3].tolist() == [1.0, 1.0, 0.0]
    assert found.values["searches_avoided"][:3].tolist() == [1.0, 1.0, 0.0]


def running_now(**changes: Any) -> Definition:
    """Return a definition whose A/B phase is today, wherever midnight is."""
    today = datetime.now(UTC).date()
    phases = {"ab": {"from": (today - timedelta(days=1)).isoformat(), "until": (today + timedelta(days=9)).isoformat()}}
    return declared(phases=phases, **changes)


@pytest.fixture(scope="module")
def two_models(ticket_bundles: TicketBundles, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The network and the classical system behind one model server: ``ticket`` and ``ticket-<model id>``."""
    with Stack(tmp_path_factory.mktemp("two"), [ticket_bundles.network, ticket_bundles.classical]) as running:
        yield running


def test_an_experiment_over_real_models(two_models: Any, ticket_bundles: TicketBundles, tmp_path: Path) -> None:
    """Started while the gateway runs: arms get their models, rows say so, feedback measures, stopping ends it."""
    ids = {
        name: str(orjson.loads((folder / "manifest.json").read_bytes())["model_id"])
        for name, folder in (("v2", ticket_bundles.network), ("v1", ticket_bundles.classical))
    }
    definition = running_now(control={"name": "v1", "model": f"ticket-{ids['v1'][:8]}"})
    database = open_database(f"sqlite:///{tmp_path / 'desk.db'}")
    database.upgrade()
    chosen = GatewaySettings(suggest_seconds=30.0, experiment_seconds=0.05)
    with TestClient(create_app(chosen, database, {"ticket": two_models.told["models"]["ticket"]})) as client:
        client.headers["authorization"] = f"Bearer {create_key(database, 'crm', SCOPES).text}"
        cases = [f"case {number}" for number in range(40)]
        body = {"instances": [{"id": case, "subject": "refund", "body": "twice"} for case in cases]}
        before = client.post(TICKETS, json=body).json()["predictions"]
        assert {answer["model_id"] for answer in before} == {ids["v2"]}
        start(database, definition)
        answers = before
        while not all("arm" in answer for answer in answers):
            answers = client.post(TICKETS, json=body).json()["predictions"]
        expected = [arm_of(definition, case).name for case in cases]
        assert [answer["arm"] for answer in answers] == expected
        assert set(expected) == {"v1", "v2"}
        assert [answer["model_id"] for answer in answers] == [ids[name] for name in expected]
        with database.reading() as connection:
            query = "SELECT unit, arm, model_id FROM predictions WHERE experiment = 'ticket-v2' ORDER BY id"
            logged = [tuple(row) for row in connection.execute(sa.text(query))][-len(cases) :]
        assert sorted(logged) == sorted(zip(cases, expected, [ids[name] for name in expected], strict=True))
        events = [
            {"id": f"e{place}", "kind": "closed", "at": datetime.now(UTC).isoformat(), "measures": measures(name)}
            | {"prediction_id": answer["prediction_id"]}
            for place, (answer, name) in enumerate(zip(answers, expected, strict=True))
        ]
        assert client.post(FEEDBACK, json={"events": events}).json() == {"applied": 40, "duplicates": 0}
        assert client.post(FEEDBACK, json={"events": events}).json() == {"applied": 0, "duplicates": 40}
        found = analyse(definition, logged_rows(database, definition))
        assert found["ab"]["handle_time"]["relative"] == pytest.approx(-0.5)
        stop_experiment(database, definition.name, None, now=datetime.now(UTC))
        while any("arm" in answer for answer in answers):
            answers = client.post(TICKETS, json=body).json()["predictions"]
        assert {answer["model_id"] for answer in answers} == {ids["v2"]}
    database.close()


def measures(arm: str) -> dict[str, float]:
    return {"handle_time": 5 if arm == "v2" else 10}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "shown", "measures": {"handle_time": 1}}, "only closed takes measures"),
        ({"measures": {"handle_time": "1"}}, "valid number"),
        ({"measures": {"handle time": 1}}, "handle time"),
        ({"measures": {}}, "closed needs labels or measures"),
        ({"measures": {"x": 1e300}}, "less than"),
    ],
)
def test_wrong_measures_are_refused(tmp_path: Path, changes: Mapping[str, Any], words: str) -> None:
    event = {"id": "e", "kind": "closed", "at": NOW.isoformat(), "recipe": "ticket", "case_id": "c"} | dict(changes)
    database = open_database(f"sqlite:///{tmp_path / 'desk.db'}")
    with TestClient(create_app(GatewaySettings(), database, {})) as client:
        client.headers["authorization"] = f"Bearer {create_key(database, 'crm', SCOPES).text}"
        response = client.post(FEEDBACK, json={"events": [event]})
    database.close()
    assert response.status_code == 400
    assert words in response.text


@pytest.fixture
def command_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FRONTDESK_DATABASE", f"sqlite:///{tmp_path / 'desk.db'}")
    settings.cache_clear()
    yield f"sqlite:///{tmp_path / 'desk.db'}"
    settings.cache_clear()


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["experiment", *arguments, "--json"], catch_exceptions=True)
    if isinstance(result.exception, FrontdeskError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


def test_the_life_of_an_experiment_by_commands(command_database: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    today = datetime.now(UTC).date()
    phases = {"ab": {"from": today.isoformat(), "until": (today + timedelta(days=9)).isoformat()}}
    path.write_text(yaml.safe_dump(CONTENT | {"phases": phases}))
    begun = run("start", "--definition", str(path))
    assert begun["started"] is True
    assert run("start", "--definition", str(path)) == begun | {"started": False}
    assert [one["state"] for one in run("list")["experiments"]] == ["running"]
    database = open_database(command_database)
    fill(database, declared(phases=phases))
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE predictions SET at = :at"), {"at": f"{today} 00:00:00.000000"})
    database.close()
    found = run("analyse", "--definition", str(path), "--out", str(tmp_path / "out"))
    assert found["ab"]["handle_time"]["relative"] < -0.3
    assert (tmp_path / "out" / "report.html").is_file()
    assert run("stop", "ticket-v2", "--reason", "seen enough")["state"] == "stopped"
    with pytest.raises(UsageError, match="was stopped"):
        run("start", "--definition", str(path))
    path.write_text(yaml.safe_dump(CONTENT | {"phases": {"ab": {"from": "2020-01-01", "until": "2020-02-01"}}}))
    with pytest.raises(UsageError, match="last day is over"):
        run("start", "--definition", str(path))


def test_a_replay_by_commands(tmp_path: Path) -> None:
    table, definition = tmp_path / "e.parquet", tmp_path / "e.yaml"
    made = run("simulate", "--out", str(table), "--days", "7", "--per-day", "900", "--effect", "-0.3", "--seed", "4")
    assert made["definition"] == str(definition)
    found = run("analyse", "--definition", str(definition), "--data", str(table), "--out", str(tmp_path / "out"))
    assert found["decision"]["verdict"] == "ship"
    assert orjson.loads((tmp_path / "out" / "result.json").read_bytes()) == found
    (tmp_path / "units.txt").write_text("ticket-v2-4-0000000\nticket-v2-4-0000001\n")
    assigned = run("assign", "--definition", str(definition), "--in", str(tmp_path / "units.txt"))["units"]
    assert [one["unit"] for one in assigned] == ["ticket-v2-4-0000000", "ticket-v2-4-0000001"]
    with pytest.raises(FrontdeskError) as caught:
        run("analyse", "--definition", str(definition), "--data", str(tmp_path / "units.txt"), "--out", str(tmp_path))
    assert caught.value.exit_code == 3
    assert not (tmp_path / "result.json").exists()


def test_the_calculator_by_command() -> None:
    plan = run("power", "--cv", "1", "--effect", "-0.066", "--looks", "30", "--per-day", "250")
    assert 7_210 < plan["total"] < 7_800
    assert plan["days"] == 31
    assert run("power", "--cv", "1", "--effect", "-0.066", "--units", "7210")["power"] == pytest.approx(0.8, abs=0.001)
    smallest = run("power", "--mean", "12", "--sd", "12", "--units", "7210")["effect"]
    assert smallest == pytest.approx(0.066, abs=1e-4)
    assert run("power", "--share", "0.62", "--effect", "0.05")["total"] == pytest.approx(7_566, abs=4)
    for wrong in (["--cv", "1"], ["--effect", "0.1"], ["--cv", "1", "--share", "0.5", "--effect", "0.1"]):
        with pytest.raises(UsageError):
            run("power", *wrong)
