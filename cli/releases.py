"""Commands on releases: approve a version, and roll it out."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from frontdesk.cli.data import check_recipe
from frontdesk.cli.output import Json, Recipe, console, print_json
from frontdesk.errors import UsageError
from frontdesk.recipes import names
from frontdesk.settings import settings

if TYPE_CHECKING:
    from frontdesk.database import Database
    from frontdesk.registry import Registry
    from frontdesk.rollout import Progress
    from frontdesk.storage import Store

app = typer.Typer(help="Move a recipe's traffic to another version, step by step.", no_args_is_help=True)
_Store = typer.Option(None, "--store", help="Store of the bundles. Without it: FRONTDESK_STORE.")
_Version = typer.Argument(..., metavar="VERSION", help="Number in the registry.")
_By = typer.Option(None, "--by", help="Who says so. Without it: the user of this machine.")


@contextmanager
def _places(store: str | None) -> Iterator[tuple[Database, Store, Registry]]:
    """Open database, store and registry of the settings."""
    from frontdesk.database import opened
    from frontdesk.registry import Registry, registry_address
    from frontdesk.storage import Store

    root = store or settings().store
    if root is None:
        raise UsageError("no store is set", where="--store", remedy="Name it, or set FRONTDESK_STORE")
    with opened() as database:
        yield database, Store(root), Registry(registry_address(root))


def approve(
    recipe: str = Recipe,
    version: int = _Version,
    by: str | None = _By,
    reject: bool = typer.Option(False, "--reject", help="Reject the version instead."),
    store: str | None = _Store,
    as_json: bool = Json,
) -> None:
    """Approve a registered version, which lets the deploy step that waits for it go on; or reject it."""
    from frontdesk.releases import decide

    check_recipe(recipe)
    with _places(store) as (database, where, registry):
        decision: Any = "rejected" if reject else "approved"
        given = {"recipe": recipe, "number": version, "decision": decision, "by": _who(by)}
        found = decide(database, where, registry, **given, now=datetime.now(UTC))
    if as_json:
        print_json(found.as_json())
    else:
        console().print(f"{recipe} version {version} ({found.model_id}) is {decision} by {found.decided_by}")


@app.command("start")
def start(
    recipe: str = Recipe,
    version: int | None = typer.Option(None, "--version", help="Number in the registry. Without it: the newest."),
    steps: str | None = typer.Option(None, "--steps", help="Rising shares in percent: 5,25,100; 5,100 is blue/green."),
    bake: float | None = typer.Option(None, "--bake", help="Shortest seconds of a step."),
    least: int | None = typer.Option(None, "--least", help="Calls on each side that a step needs."),
    patience: float | None = typer.Option(None, "--patience", help="Seconds without a verdict until it pauses."),
    ready: float | None = typer.Option(None, "--ready", help="Seconds without an answer until it is rolled back."),
    rise: float | None = typer.Option(None, "--rise", help="Tolerated rise of the share of failed calls: 0.02."),
    slower: float | None = typer.Option(None, "--slower", help="Tolerated ratio of p95 latencies: 1.5."),
    slack: float | None = typer.Option(None, "--slack", help="Seconds of latency tolerated beside it: 0.01."),
    alpha: float | None = typer.Option(None, "--alpha", help="Chance of a wrong verdict in all of it: 0.05."),
    by: str | None = _By,
    store: str | None = _Store,
    as_json: bool = Json,
) -> None:
    """Begin a rollout. A controller (`frontdesk rollout watch`, or `frontdesk up --store`) drives it."""
    from frontdesk.releases import begin_rollout
    from frontdesk.rollout import read_plan

    check_recipe(recipe)
    plan = read_plan(
        steps or settings().rollout,
        bake_seconds=bake,
        least=least,
        patience_seconds=patience,
        ready_seconds=ready,
        rise=rise,
        slower=slower,
        slack_seconds=slack,
        alpha=alpha,
    )
    with _places(store) as (database, where, registry):
        given = {"recipe": recipe, "number": version, "plan": plan, "by": _who(by)}
        begun = begin_rollout(database, where, registry, **given, now=datetime.now(UTC))  # type: ignore[arg-type]
    _tell(begun.as_json(), as_json)


@app.command("status")
def status(recipe: str = Recipe, as_json: bool = Json) -> None:
    """Show where the newest rollout stands, and why."""
    from frontdesk.database import opened
    from frontdesk.database.rollouts import latest_rollout, read_counts

    check_recipe(recipe)
    with opened() as database:
        found = latest_rollout(database, recipe)
        counts = read_counts(database, found.id)
    calls = [
        {"step": step, "arm": arm, "calls": one.calls, "errors": one.errors}
        for (step, arm), one in sorted(counts.items())
    ]
    _tell(found.as_json() | {"counts": calls}, as_json)


@app.command("pause")
def pause(recipe: str = Recipe, by: str | None = _By, as_json: bool = Json) -> None:
    """Keep the share as it is. Bad evidence still rolls back."""
    from frontdesk.rollout import pause as paused

    _move(recipe, lambda stored, now: paused(stored.progress, _who(by), now), as_json)


@app.command("resume")
def resume(recipe: str = Recipe, by: str | None = _By, as_json: bool = Json) -> None:
    """Go on from a pause; the time of the step begins again."""
    from frontdesk.rollout import resume as resumed

    _move(recipe, lambda stored, now: resumed(stored.progress, _who(by), now), as_json)


@app.command("promote")
def promote(
    recipe: str = Recipe,
    full: bool = typer.Option(False, "--full", help="Skip the steps between: everything, now."),
    by: str | None = _By,
    as_json: bool = Json,
) -> None:
    """Go to the next step by a person's word, whatever the evidence."""
    from frontdesk.rollout import promote as promoted

    _move(recipe, lambda stored, now: promoted(stored.plan, stored.progress, _who(by), now, full=full), as_json)


@app.command("abort")
def abort(recipe: str = Recipe, by: str | None = _By, as_json: bool = Json) -> None:
    """End the rollout: the champion answers everything again."""
    from frontdesk.rollout import abort as aborted

    _move(recipe, lambda stored, now: aborted(stored.progress, _who(by), now), as_json)


@app.command("restore")
def restore(recipe: str = Recipe, version: int = _Version, store: str | None = _Store, as_json: bool = Json) -> None:
    """Deploy a version again that was deployed before, at once."""
    from frontdesk.releases import restore as restored

    check_recipe(recipe)
    with _places(store) as (database, where, registry):
        found = restored(database, where, registry, recipe=recipe, number=version, now=datetime.now(UTC))
    if as_json:
        print_json(found.as_json())
    else:
        console().print(f"{recipe} version {version} ({found.model_id}) is deployed again")


@app.command("watch")
def watch(
    recipes: list[str] = typer.Argument(None, metavar="[RECIPE]...", help="Recipes; all without any."),
    every: float = typer.Option(2.0, "--every", min=0.1, help="Seconds between two looks."),
    store: str | None = _Store,
    as_json: bool = Json,
) -> None:
    """Drive rollouts and carry approvals until a signal. Several may run. Logs are JSON lines on standard error."""
    from frontdesk.serving.gateway.controller import Controller
    from frontdesk.serving.gateway.controller import watch as start_watching
    from frontdesk.serving.gateway.process import model_urls

    del as_json  # the logs are JSON already
    chosen = recipes or names()
    for recipe in chosen:
        check_recipe(recipe)
    with _places(store) as (database, where, registry):
        start_watching(Controller(database, where, registry, model_urls(), chosen), every)


def _move(recipe: str, how: Callable[[Any, datetime], Progress], as_json: bool) -> None:
    from frontdesk.database import opened
    from frontdesk.database.rollouts import change

    check_recipe(recipe)
    with opened() as database:
        moved = change(database, recipe, lambda stored: how(stored, datetime.now(UTC)))
    _tell(moved.as_json(), as_json)


def _who(by: str | None) -> str:
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _tell(content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    screen = console()
    share = f"{100 * content['share']:g} % of the cases"
    screen.print(f"{content['recipe']} version {content['version']}: {content['status']}, {share}")
    for words in content["reasons"] + content["verdict"].get("reasons", []):
        screen.print(f"  {words}", soft_wrap=True)
    for one in content.get("counts", []):
        screen.print(f"  step {one['step']}  {one['arm']:<9}  {one['calls']:,} calls, {one['errors']:,} errors")
