"""Commands on experiments: plan, assign, start and stop, analyse, replay."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from frontdesk.cli.output import Json, console, print_json
from frontdesk.errors import UsageError

if TYPE_CHECKING:
    from frontdesk.experiments.power import Plan

app = typer.Typer(help="Experiments between two models: A/A, then A/B.", no_args_is_help=True)
_Definition = typer.Option(..., "--definition", help="The experiment's definition (YAML).")
_Alpha = typer.Option(0.05, "--alpha", help="Error rate, two-sided, over all looks together.")


@app.command("power")
def power(
    effect: float | None = typer.Option(None, "--effect", help="Relative change: -0.066 for 6.6 % less."),
    units: int | None = typer.Option(None, "--units", help="Units of both arms together."),
    wanted: float | None = typer.Option(None, "--power", help="Probability to find the effect; 0.8 if not asked for."),
    cv: float | None = typer.Option(None, "--cv", help="Spread of the metric as a share of its mean."),
    mean: float | None = typer.Option(None, "--mean", help="Mean of the metric."),
    sd: float | None = typer.Option(None, "--sd", help="Its standard deviation over units."),
    share: float | None = typer.Option(None, "--share", help="Instead: share of units that say yes."),
    alpha: float = _Alpha,
    split: float = typer.Option(0.5, "--split", help="Share of the units that get the treatment."),
    looks: int = typer.Option(1, "--looks", min=1, max=400, help="How often somebody may look and stop."),
    correlation: float = typer.Option(0.0, "--correlation", help="Of a unit's value with its value before."),
    per_day: float | None = typer.Option(None, "--per-day", help="Units a day, to say how many days it takes."),
    as_json: bool = Json,
) -> None:
    """Say how many units find an effect, how surely so many find it, or which effect they find: leave one out."""
    from frontdesk.experiments.power import detectable_effect, power_of, units_needed

    plan = _plan(cv, mean, sd, share, alpha, split, looks, correlation)
    if per_day is not None and not per_day > 0:
        raise UsageError("must be above 0", where="--per-day")
    found: dict[str, Any]
    if effect is not None and units is not None:
        if wanted is not None:
            raise UsageError("leave one of --effect, --units and --power out: it is what is computed")
        found = {"effect": effect, "total": units, "power": power_of(plan, effect, units)}
    elif effect is not None:
        found = units_needed(plan, effect, 0.8 if wanted is None else wanted)
    elif units is not None:
        sure = 0.8 if wanted is None else wanted
        found = {"effect": detectable_effect(plan, units, sure), "total": units, "power": sure}
    else:
        raise UsageError("say the effect, or how many units there are", where="--effect, --units")
    found |= {"alpha": alpha, "looks": looks, "split": split}
    if per_day is not None:
        found["days"] = math.ceil(found["total"] / per_day)
    if as_json:
        print_json(found)
        return
    days = f" ({found['days']} days)" if "days" in found else ""
    arms = f": {found['control']:,} control, {found['treatment']:,} treatment" if "control" in found else ""
    console().print(f"{found['total']:,} units{days}{arms}")
    console().print(
        f"find a change of {100 * found['effect']:.2f} % with a probability of {100 * found['power']:.1f} %"
    )
    console().print(f"(alpha {alpha}, {looks} {'look' if looks == 1 else 'looks'})")


def _plan(
    cv: float | None,
    mean: float | None,
    sd: float | None,
    share: float | None,
    alpha: float,
    split: float,
    looks: int,
    correlation: float,
) -> Plan:
    from frontdesk.experiments.power import Plan

    more = {"alpha": alpha, "share": split, "looks": looks, "correlation": correlation}
    if share is not None and cv is None and mean is None and sd is None:
        if not 0 < share < 1:
            raise UsageError("must lie between 0 and 1", where="--share")
        return Plan(share, math.sqrt(share * (1 - share)), is_share=True, **more)  # type: ignore[arg-type]
    if cv is not None and mean is None and sd is None and share is None:
        return Plan(1.0, cv, **more)  # type: ignore[arg-type]
    if mean is not None and sd is not None and cv is None and share is None:
        return Plan(mean, sd, **more)  # type: ignore[arg-type]
    raise UsageError("say what the metric is like: --cv, or --mean and --sd, or --share")


@app.command("assign")
def assign(
    definition: Path = _Definition,
    units: list[str] = typer.Argument(None, metavar="[UNIT]...", help="Names of units."),
    source: Path | None = typer.Option(None, "--in", help="Text file with a unit on each line."),
    as_json: bool = Json,
) -> None:
    """Say which arm units belong to, as every gateway does."""
    from frontdesk.experiments.assignment import arm_of
    from frontdesk.experiments.definition import load_definition

    declared = load_definition(definition)
    arms = [{"unit": unit, "arm": arm_of(declared, unit).name} for unit in [*(units or ()), *_lines(source)]]
    if not arms:
        raise UsageError("there is no unit to assign", remedy="Name units, or a file of them with --in")
    if as_json:
        print_json({"experiment": declared.name, "units": arms})
    else:
        console().print("\n".join(f"{one['unit']}\t{one['arm']}" for one in arms), markup=False)


def _lines(source: Path | None) -> list[str]:
    if source is None:
        return []
    try:
        return [line for line in source.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError):
        from frontdesk.errors import UnreadableFile

        raise UnreadableFile("the file of units cannot be read", where=source.name) from None


@app.command("start")
def start(definition: Path = _Definition, as_json: bool = Json) -> None:
    """Register an experiment: gateways assign from its first day on. Its definition cannot be changed any more."""
    from frontdesk.database import opened
    from frontdesk.database.experiments import start_experiment
    from frontdesk.experiments.definition import load_definition

    declared = load_definition(definition)
    content, now = declared.content(), datetime.now(UTC)
    if now.date() >= declared.phases.ab.until:
        raise UsageError("the experiment's last day is over", where=declared.name)
    with opened() as database:
        new = start_experiment(database, declared.name, declared.recipe, declared.digest, content, now=now)
    if as_json:
        print_json({"experiment": declared.name, "digest": declared.digest, "started": new})
    else:
        words = f"runs from {declared.begin} until {declared.phases.ab.until}" if new else "was running already"
        console().print(f"{declared.name} {words}  (digest {declared.digest[:12]})")


@app.command("stop")
def stop(
    name: str = typer.Argument(..., metavar="NAME"),
    reason: str | None = typer.Option(None, "--reason", help="Why, for those who ask later."),
    as_json: bool = Json,
) -> None:
    """End an experiment: every case gets the recipe's own model again. What was logged stays."""
    from frontdesk.database import opened
    from frontdesk.database.experiments import stop_experiment

    if reason is not None and not (len(reason) <= 200 and reason.isprintable()):
        raise UsageError("must be at most 200 printable characters", where="--reason")
    with opened() as database:
        found = stop_experiment(database, name, reason, now=datetime.now(UTC))
    if as_json:
        print_json(found.as_json())
    else:
        console().print(f"{found.name} is stopped")


@app.command("list")
def list_all(as_json: bool = Json) -> None:
    """List the experiments that were started."""
    from frontdesk.database import opened
    from frontdesk.database.experiments import list_experiments

    with opened() as database:
        found = list_experiments(database)
    if as_json:
        print_json({"experiments": [one.as_json() for one in found]})
        return
    table = Table("experiment", "recipe", "state", "started", "stopped", "reason")
    for one in found:
        ended = f"{one.stopped_at:%Y-%m-%d %H:%M}" if one.stopped_at else "–"
        table.add_row(one.name, one.recipe, one.state, f"{one.started_at:%Y-%m-%d %H:%M}", ended, one.reason or "")
    console().print(table)


@app.command("analyse")
def analyse(
    definition: Path = _Definition,
    data: str | None = typer.Option(None, "--data", help="Table of units; without it: the gateway's database."),
    out: Path = typer.Option(..., "--out", help="Folder of result.json and report.html."),
    today: datetime | None = typer.Option(
        None, "--today", formats=["%Y-%m-%d"], help="First day that is not complete yet; else the one after the data."
    ),
    as_json: bool = Json,
) -> None:
    """Compare the arms and say what to do."""
    from frontdesk.database import opened
    from frontdesk.experiments.analysis import analyse as analyse_rows
    from frontdesk.experiments.definition import load_definition
    from frontdesk.experiments.logged import logged_rows
    from frontdesk.experiments.report import write_result
    from frontdesk.experiments.rows import read_rows

    declared = load_definition(definition)
    if data is not None:
        rows = read_rows(data, declared)
    else:
        with opened() as database:
            rows = logged_rows(database, declared)
    result = analyse_rows(declared, rows, today=None if today is None else today.date())
    report = write_result(result, out)
    if as_json:
        print_json(result)
        return
    decision = result["decision"]
    console().print(f"[bold]{decision['headline']}[/]", *(f"- {reason}" for reason in decision["reasons"]), sep="\n")
    console().print(f"{decision['advice']}.", f"report  {report}", sep="\n")


@app.command("refresh")
def refresh(
    recipe: str | None = typer.Argument(None, metavar="[RECIPE]", help="Whose experiments; without it, all."),
    as_json: bool = Json,
) -> None:
    """Analyse what runs, as of last night, and keep the results for the console's page of experiments."""
    from frontdesk.cli.data import check_recipe
    from frontdesk.database import opened
    from frontdesk.experiments.refreshing import refresh as refresh_results

    if recipe is not None:
        check_recipe(recipe)
    with opened() as database:
        found = refresh_results(database, datetime.now(UTC), recipe)
    if as_json:
        print_json({"experiments": found})
        return
    for one in found:
        console().print(f"{one['experiment']}  {one['words']}", markup=False)
    if not found:
        console().print("no experiment runs, and every result is kept")


@app.command("simulate")
def simulate(
    out: Path = typer.Option(..., "--out", help="A .csv, .parquet or .jsonl file."),
    definition: Path | None = typer.Option(None, "--definition", help="Without it, one is written beside the table."),
    effect: float = typer.Option(-0.066, "--effect", help="Relative change of the handle time by the treatment."),
    days: int = typer.Option(30, "--days", min=1, max=300, help="Days of the A/B phase, where no definition is given."),
    per_day: int = typer.Option(400, "--per-day", min=1, help="Cases on an average day."),
    seed: int = typer.Option(0, "--seed", min=0),
    as_json: bool = Json,
) -> None:
    """Replay a whole experiment, v1 against v2: A/A for a week, then A/B, with a known effect."""
    import yaml

    from frontdesk.experiments.definition import load_definition
    from frontdesk.simulation import experiments
    from frontdesk.storage import write_atomically

    if not -1 < effect < 10:
        raise UsageError("must lie between -1 and 10", where="--effect")
    declared = experiments.experiment(ab_days=days) if definition is None else load_definition(definition)
    rows = experiments.simulate(declared, per_day=per_day, effect=effect, seed=seed)
    experiments.write(rows, out)
    if definition is None:
        definition = out.with_suffix(".yaml")
        write_atomically(definition, yaml.safe_dump(declared.content(), sort_keys=False).encode())
    found = {"rows": len(rows), "effect": effect, "seed": seed, "file": str(out), "definition": str(definition)}
    if as_json:
        print_json(found)
    else:
        console().print(f"{len(rows):,} cases in {out}, the definition in {definition}")
