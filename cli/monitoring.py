"""Commands on models in use: watch one, and train it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
import typer

from frontdesk.cli.data import check_recipe
from frontdesk.cli.output import Json, Recipe, console, print_json
from frontdesk.errors import UsageError
from frontdesk.settings import settings

if TYPE_CHECKING:
    from frontdesk.database import Database
    from frontdesk.monitoring.looking import Seen
    from frontdesk.monitoring.retraining import Decision
    from frontdesk.monitoring.starting import Launch, Run, Started

_Plan = typer.Option(
    None, "--plan", help="File of what is watched (YAML). Without it: FRONTDESK_MONITORING, or defaults."
)
_Now = typer.Option(None, "--now", help="Moment to look from (ISO 8601, UTC). Without it: now.")
_Out = typer.Option(Path("out/retraining"), "--out", help="Folder of what a retraining on this machine leaves.")


def monitor(
    recipe: str = Recipe,
    now: str | None = _Now,
    plan: str | None = _Plan,
    verdict: Path | None = typer.Option(None, "--verdict", help="Folder of verdict.json and, on drift, report.html."),
    html: bool = typer.Option(False, "--html", help="Write report.html whatever the verdict."),
    retrain: bool = typer.Option(False, "--retrain", help="Start the retraining that is asked for and allowed."),
    out: Path = _Out,
    as_json: bool = Json,
) -> None:
    """Judge the newest window of the prediction log that has ended, and say whether to train again."""
    from frontdesk.database import opened
    from frontdesk.monitoring import looking
    from frontdesk.monitoring.plan import plan_of
    from frontdesk.monitoring.starting import retrain as start

    check_recipe(recipe)
    if html and verdict is None:
        raise UsageError("--html needs a folder", where="--verdict", remedy="Name one")
    chosen, moment = plan_of(plan, recipe), looking.moment(now)
    with opened() as database:
        seen = looking.look_at(database, recipe, chosen, _root(out), moment)
        content = seen.as_json()
        if verdict is not None:
            looking.write_answer(seen, content, verdict, page=html)
        decision = seen.decision
        if retrain and seen.request is not None:
            launch = _launch(database, recipe, out)
            decision, _ = start(database, _store(out), chosen.retraining, seen.request, launch)
            looking.note(database, seen, decision)
            content = seen.as_json(decision)
            if verdict is not None:
                looking.write_answer(seen, content, verdict, page=html)
    if as_json:
        print_json(content)
    else:
        _tell(seen, decision, verdict)


def retrain(
    recipe: str = Recipe,
    reason: str = typer.Option("manual", "--reason", help="manual, schedule, drift or taxonomy."),
    words: str = typer.Option("asked for by hand", "--words", help="Why, for whoever reads the record."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done."),
    now: str | None = _Now,
    plan: str | None = _Plan,
    out: Path = _Out,
    as_json: bool = Json,
) -> None:
    """Train a recipe again, on the pipeline server where one is set, else on this machine; once for equal reasons."""
    from frontdesk.database import opened
    from frontdesk.monitoring.asking import Deployed, request_of
    from frontdesk.monitoring.looking import moment
    from frontdesk.monitoring.plan import plan_of
    from frontdesk.monitoring.retraining import REASONS
    from frontdesk.monitoring.starting import retrain as start

    check_recipe(recipe)
    if reason not in REASONS:
        raise UsageError(f"there is no reason {reason!r}", where="--reason", remedy=f"Reasons: {', '.join(REASONS)}")
    chosen, at = plan_of(plan, recipe).retraining, moment(now)
    with opened() as database:
        deployed = Deployed.of(_root(out), recipe)
        request = request_of(database, recipe, reason, chosen, deployed, at, words)
        launch = _launch(database, recipe, out, settle=not dry_run)
        decision, started = start(database, _store(out), chosen, request, launch, dry_run=dry_run)
    if as_json:
        print_json(decision.as_json() | {"started": None if started is None else vars(started)})
        return
    console().print(f"{decision.answer}  {decision.words}")
    if started is not None:
        console().print(f"{started.state}  {started.run or started.model_id}")


def _launch(database: Database, recipe: str, out: Path, *, settle: bool = True) -> Launch:
    """Return what runs a lifecycle here: the pipeline server of the settings, or this machine."""
    if settings().kfp is None:
        return _embedded(out)
    from frontdesk.components.server import Server
    from frontdesk.monitoring.starting import settle as write_ends
    from frontdesk.pipelines.applying import submit_run
    from frontdesk.pipelines.schedules import cluster_addresses

    server, (store, registry) = Server.of_settings(), cluster_addresses(None, None, "frontdesk retrain")
    if settle:
        write_ends(database, recipe, server.state)
    return lambda run: submit_run(server, run, store, registry)


def _embedded(out: Path) -> Callable[[Run], Started]:
    def launch(run: Run) -> Started:
        from frontdesk.monitoring.starting import Started
        from frontdesk.pipelines.local import run_lifecycle
        from frontdesk.recipes import jobs
        from frontdesk.records import parse_columns

        result = run_lifecycle(
            run.recipe,
            data=run.data,
            columns=parse_columns(orjson.loads(run.columns), recipe=run.recipe),
            parameters=jobs(run.recipe).parameters_type.of(orjson.loads(run.parameters)),
            out=out,
            approval=run.approval,
            reason=run.reason,
        )
        state: Literal["promoted", "held"] = "promoted" if result.decision == "promote" else "held"
        return Started(state=state, model_id=result.model_id)

    return launch


def _root(out: Path) -> str:
    """Return the store that lifecycles here deploy to."""
    return settings().store or str(out.absolute() / "work" / "store")


def _store(out: Path) -> Any:
    from frontdesk.storage import Store

    return Store(_root(out))


def _tell(seen: Seen, decision: Decision, folder: Path | None) -> None:
    screen, whole = console(), seen.whole
    if whole.window is not None:
        screen.print(
            f"window    {whole.window.current.start:%Y-%m-%d %H:%M} to {whole.window.current.end:%Y-%m-%d %H:%M}"
        )
    screen.print(f"verdict   {whole.level}  {whole.words}".rstrip(), markup=False)
    for look in seen.looks:
        for cause in () if look.verdict is None else look.verdict.causes:
            screen.print(f"  {cause.level:<6} {f'{look.part}: ' if look.part else ''}{cause.words}", markup=False)
    for note in () if whole.verdict is None else whole.verdict.notes:
        screen.print(f"  {note}", markup=False, style="dim")
    screen.print(f"retrain   {decision.answer}  {decision.words}", markup=False)
    if folder is not None:
        screen.print(f"files     {folder}")
