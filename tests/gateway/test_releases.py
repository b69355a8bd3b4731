"""Every way to approve causes the deployment, and what was decided is kept with the release."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from frontdesk.bundle.folder import update_bundle
from frontdesk.cli.main import app
from frontdesk.database import Database, open_database
from frontdesk.database.releases import DEPLOYED, ask_for, decide_release, release, releases, set_state
from frontdesk.deployment import current, deploy
from frontdesk.errors import FrontdeskError, GateRefused, UsageError
from frontdesk.registry import Registry
from frontdesk.releases import synchronise
from frontdesk.settings import settings
from frontdesk.storage import canonical_json
from tests.bundles import fused
from tests.gateway.releasing import Place, released, twin

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
METRICS = {"test": {"reply": {"accuracy": 0.5, "macro_f1": 0.4, "top3": 0.8, "n": 100}}}


@pytest.fixture(scope="module")
def registered(ticket_bundle: Path, empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A store with a deployed version, and one that waits."""
    folder = tmp_path_factory.mktemp("approved")
    return released(folder, empty_registry, ticket_bundle)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database on a laptop."""
    opened = open_database(f"sqlite:///{tmp_path / 'desk.db'}")
    opened.upgrade()
    yield opened
    opened.close()


_numbers = iter(range(100))


@pytest.fixture
def version(registered: Place, ticket_bundle: Path, tmp_path: Path) -> tuple[str, int]:
    """A new candidate of job 5 with metrics, a card and a gate's verdict: its folder, and the number it will get."""
    number = next(_numbers)
    bundle = twin(ticket_bundle, tmp_path / "bundle", f"snapshot {number}")
    update_bundle(bundle, metrics=METRICS, card="# Card\nMade for tests.")
    name = fused(registered.store, f"made {number}", bundle)
    model_id = orjson.loads((bundle / "manifest.json").read_bytes())["model_id"]
    verdict = {"decision": "promote", "reasons": ["reply: accuracy +1.0 points."]}
    registered.store.put(canonical_json(verdict), "gates", "ticket", f"{model_id}.json")
    return name, len(registered.registry.versions("ticket")) + 1


class Deploying:
    """A deploy step that waits for approval, in a thread."""

    def __init__(self, place: Place, name: str) -> None:
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(place, name))
        self._thread.start()

    def _run(self, place: Place, name: str) -> None:
        registry = Registry(place.registry.address)
        try:
            deploy(place.store, registry, recipe="ticket", fused=name, approval="required", wait_seconds=60)
        except FrontdeskError as error:
            self.error = error

    def end(self) -> None:
        self._thread.join(90)
        assert not self._thread.is_alive()


def wait_for(place: Place, number: int) -> None:
    while all(one.number != number for one in place.registry.versions("ticket")):
        threading.Event().wait(0.05)


def command(place: Place, database: Database, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FRONTDESK_STORE", place.store.root)
    monkeypatch.setenv("FRONTDESK_DATABASE", str(database._engine.url))
    settings.cache_clear()
    try:
        result = CliRunner().invoke(app, [*arguments, "--json"])
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    if isinstance(result.exception, FrontdeskError):
        raise result.exception
    return orjson.loads(result.stdout)


def test_the_command_line(
    registered: Place, version: tuple[str, int], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, number = version
    step = Deploying(registered, name)
    wait_for(registered, number)
    told = command(registered, database, "approve", "ticket", str(number), "--by", "Ada", monkeypatch=monkeypatch)
    step.end()
    assert step.error is None
    assert (told["decision"], told["decided_by"], told["metrics"]) == ("approved", "Ada", METRICS["test"])
    assert current(registered.store, "ticket")["version"] == number
    kept = orjson.loads(registered.store.read_bytes("models", "ticket", f"{told['model_id']}.release.json"))
    assert kept == told
    assert "Made for tests" in kept["card"]
    assert kept["gate"] == {"decision": "promote", "reasons": ["reply: accuracy +1.0 points."]}
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    assert release(database, "ticket", number).state == "deployed"


def test_rejection_ends_the_wait(
    registered: Place, version: tuple[str, int], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, number = version
    before = current(registered.store, "ticket")
    step = Deploying(registered, name)
    wait_for(registered, number)
    arguments = ("approve", "ticket", str(number), "--by", "Ada")
    command(registered, database, *arguments, "--reject", monkeypatch=monkeypatch)
    step.end()
    assert isinstance(step.error, GateRefused)
    assert "Ada rejected" in str(step.error)
    assert current(registered.store, "ticket") == before
    with pytest.raises(UsageError, match="was rejected by Ada"):
        command(registered, database, *arguments, monkeypatch=monkeypatch)


def test_the_console_through_a_controller(registered: Place, version: tuple[str, int], database: Database) -> None:
    name, number = version
    step = Deploying(registered, name)
    wait_for(registered, number)
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    decide_release(database, "ticket", number, "approved", "Grace", NOW, told=False)
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    step.end()
    assert step.error is None
    assert registered.registry.version("ticket", number).decided_by == "Grace"
    assert release(database, "ticket", number).told
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    states = {one.version: one.state for one in releases(database, "ticket")}
    assert states[number] == "deployed"
    assert list(states.values()).count("deployed") == 1


@pytest.mark.parametrize("how", ["tag", "alias"])
def test_the_pages_of_mlflow(registered: Place, version: tuple[str, int], database: Database, how: str) -> None:
    name, number = version
    step = Deploying(registered, name)
    wait_for(registered, number)
    client = registered.registry._client
    if how == "tag":
        client.set_model_version_tag("frontdesk-ticket", str(number), "approved", " True")
    else:
        client.set_registered_model_alias("frontdesk-ticket", "approved", str(number))
    step.end()
    assert step.error is None
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    assert (release(database, "ticket", number).decided_by, current(registered.store, "ticket")["version"]) == (
        "MLflow",
        number,
    )


def test_what_is_deployed_may_be_approved_and_not_rejected(
    registered: Place, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    number = next(one.version for one in releases(database, "ticket") if one.state == "deployed")
    if release(database, "ticket", number).decision is None:
        with pytest.raises(UsageError, match="is deployed"):
            decide_release(database, "ticket", number, "rejected", "Ada", NOW, told=False)
    told = command(registered, database, "approve", "ticket", str(number), monkeypatch=monkeypatch)
    assert (told["decision"], told["state"]) == ("approved", "deployed")


def test_back_to_a_version_that_was_deployed(registered: Place, database: Database) -> None:
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    with pytest.raises(UsageError, match="not deployed before"):
        ask_for(database, "ticket", 2, "restore")
    deployed = registered.registry.version("ticket", current(registered.store, "ticket")["version"])
    other = 1 if deployed.number != 1 else 2
    for number in (other, deployed.number):
        set_state(database, "ticket", number, DEPLOYED)
    ask_for(database, "ticket", other, "restore")
    synchronise(database, registered.store, registered.registry, "ticket", NOW)
    assert current(registered.store, "ticket")["version"] == registered.registry.champion("ticket").number == other
    assert release(database, "ticket", other).state == "deployed"
    assert release(database, "ticket", deployed.number).state == "replaced"


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRONTDESK_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    for arguments, words in (
        (["approve", "ticket", "1"], "no store is set"),
        (["approve", "nobody", "1"], "no recipe"),
        (["approve", "ticket", "1", "--store", "s3://x/y"], "no model registry is set"),
        (["rollout", "status", "ticket"], "has had no rollout"),
        (["rollout", "start", "ticket", "--steps", "100", "--store", "s"], "nothing is rolled out"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, UsageError), arguments
        assert words in str(result.exception)
