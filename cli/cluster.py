"""Commands for a Kubeflow Pipelines server: start a lifecycle there, and keep schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from frontdesk.cli.data import check_recipe
from frontdesk.cli.output import ClusterFile, Columns, Json, console, print_json
from frontdesk.errors import UsageError
from frontdesk.recipes import jobs, names

if TYPE_CHECKING:
    from frontdesk.pipelines.schedules import Change, Schedule

_Sets = typer.Option([], "--set", help="A parameter, KEY=VALUE. Repeatable.", metavar="KEY=VALUE")
_Approval = typer.Option("none", "--approval", help="required: a person approves the model before it is deployed.")


def submit(
    recipe: str = typer.Argument(..., help=f"One of {', '.join(names())}."),
    data: str = typer.Option(..., "--data", help="Table to learn from, as the cluster reaches it."),
    test: str | None = typer.Option(None, "--test", help="Separate test table. Without it the data is split."),
    columns: str | None = Columns,
    sets: list[str] = _Sets,
    approval: str = _Approval,
    cluster: str | None = ClusterFile,
    reason: str = typer.Option("manual", "--reason", help="Kept with the run and the model."),
    as_json: bool = Json,
) -> None:
    """Start the lifecycle on the pipeline server (FRONTDESK_KFP), as this release compiles it."""
    from frontdesk.monitoring.retraining import REASONS
    from frontdesk.pipelines.applying import pipeline_server
    from frontdesk.pipelines.applying import submit as start
    from frontdesk.pipelines.cluster import cluster_of
    from frontdesk.pipelines.schedules import cluster_addresses, lifecycle_arguments

    check_recipe(recipe)
    _one_of(approval, ("none", "required"), "--approval")
    _one_of(reason, REASONS, "--reason")
    store, registry = cluster_addresses(None, None, "frontdesk submit")
    arguments = lifecycle_arguments(
        recipe,
        data=data,
        test=test,
        columns=columns,
        parameters=jobs(recipe).parameters_type.parse(sets),
        store=store,
        registry=registry,
        approval=approval,
        reason=reason,
    )
    chosen = cluster_of(cluster)
    version, run = start(pipeline_server(chosen), recipe, f"{recipe}-{reason}", arguments, chosen)
    if as_json:
        print_json({"run": run, "version": version.name, "new_version": version.fresh})
    else:
        console().print(f"run      {run}", f"version  {version.name}{' (new)' if version.fresh else ''}", sep="\n")


def schedule(
    recipe: str | None = typer.Argument(None, help=f"One of {', '.join(names())}; or --file."),
    cron: str | None = typer.Option(None, "--cron", help="Minute, hour, day, month, weekday (UTC)."),
    data: str | None = typer.Option(None, "--data", help="Table to learn from, read anew each time."),
    columns: str | None = Columns,
    sets: list[str] = _Sets,
    approval: str = _Approval,
    name: str | None = typer.Option(None, "--name", help="Of the schedule. Without it: RECIPE-lifecycle."),
    file: str | None = typer.Option(
        None, "--file", help="Declare all schedules (YAML); ours that it lacks are deleted."
    ),
    cluster: str | None = ClusterFile,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done."),
    as_json: bool = Json,
) -> None:
    """Bring the pipeline server's recurring runs to what is declared. Doing it again changes nothing."""
    from frontdesk.pipelines.applying import apply_schedules, pipeline_server
    from frontdesk.pipelines.cluster import cluster_of
    from frontdesk.pipelines.schedules import load_schedules
    from frontdesk.settings import settings

    store = registry = None
    if file is not None:
        if recipe is not None or cron is not None or data is not None:
            raise UsageError("a file declares everything", where="--file", remedy="Leave RECIPE, --cron and --data out")
        declared = load_schedules(file)
        schedules, store, registry = declared.schedules, declared.store, declared.registry
    else:
        schedules = (_one(recipe, cron, data, columns, sets, approval, name),)
    chosen = cluster_of(cluster)
    server = None if dry_run and settings().kfp is None else pipeline_server(chosen)
    changes = apply_schedules(
        server, schedules, store, registry, whole=file is not None, dry_run=dry_run, cluster=chosen
    )
    if as_json:
        print_json({"dry_run": dry_run, "changes": [_plain(change) for change in changes]})
        return
    for change in changes:
        times = "" if change.desired is None else change.desired.cron
        console().print(f"{change.action:<7} {change.name:<30} {times}".rstrip(), markup=False)


def _one(
    recipe: str | None,
    cron: str | None,
    data: str | None,
    columns: str | None,
    sets: list[str],
    approval: str,
    name: str | None,
) -> Schedule:
    from frontdesk.pipelines.schedules import parse_schedules

    if recipe is None or cron is None or data is None:
        raise UsageError("name a recipe with --cron and --data, or a --file", where="schedule")
    check_recipe(recipe)
    parameters = jobs(recipe).parameters_type.parse(sets)
    content = {
        "name": name or f"{recipe}-lifecycle",
        "recipe": recipe,
        "cron": cron,
        "data": data,
        "columns": columns,
        "approval": approval,
        "set": parameters.model_dump(mode="json", exclude_unset=True, by_alias=True),
    }
    return parse_schedules({"format": 1, "schedules": [content]}, where="schedule").schedules[0]


def _plain(change: Change) -> dict[str, Any]:
    wish = change.desired
    about = {} if wish is None else {"pipeline": wish.pipeline, "cron": wish.cron, "version": wish.version}
    return {"name": change.name, "action": change.action, **about}


def _one_of(value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise UsageError(f"{value!r} is none of {', '.join(known)}", where=where)
