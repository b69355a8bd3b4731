"""Commands on data: make some, and say what it is good for."""

from __future__ import annotations

from pathlib import Path

import typer

from frontdesk.cli.output import Columns, Json, Recipe, Taxonomy, TaxonomyVersion, console, print_json
from frontdesk.errors import UsageError
from frontdesk.recipes import jobs, names, simulation


def simulate(
    recipe: str = Recipe,
    rows: int = typer.Option(..., "--rows", min=1, help="Rows to make."),
    seed: int = typer.Option(0, "--seed", min=0),
    out: Path = typer.Option(..., "--out", help="A .csv, .parquet or .jsonl file."),
    drift: str | None = typer.Option(None, "--drift", help="A change that sets in half-way; a wrong name lists them."),
    features: Path | None = typer.Option(
        None,
        "--features",
        help="Tickets: give customers a history; intents: give lines incidents. Writes the feature tables to a folder.",
    ),
    as_json: bool = Json,
) -> None:
    """Write a table of simulated records with known truth."""
    simulator = simulation(recipe)
    if features is None:
        simulator.write(simulator.simulate(rows, seed, drift), out)
    else:
        _simulate_features(recipe, rows, seed, drift, out, features)
    if as_json:
        print_json({"recipe": recipe, "rows": rows, "seed": seed, "drift": drift, "file": str(out)})
    else:
        console().print(f"{rows:,} simulated {recipe}s (seed {seed}) in {out}")


def _simulate_features(recipe: str, rows: int, seed: int, drift: str | None, out: Path, features: Path) -> None:
    from frontdesk.simulation import histories, incidents

    if recipe not in ("intent", "ticket") or drift is not None:
        raise UsageError("features are simulated for intents and tickets, without drift", where="--features")
    if recipe == "intent":
        sessions = incidents.simulate(rows, seed)
        simulation(recipe).write(sessions.table.drop_columns("true_errand"), out)
        sessions.write_features(features)
        return
    tickets = histories.simulate(rows, seed)
    simulation(recipe).write(tickets.tickets.drop_columns("is_follow_up"), out)
    tickets.write_features(features)


def readiness(
    recipe: str = Recipe,
    data: str = typer.Option(..., "--data", help="Table: .csv, .parquet or .jsonl; a path or s3:// address."),
    columns: str | None = Columns,
    taxonomy: str | None = Taxonomy,
    taxonomy_version: str | None = TaxonomyVersion,
    as_json: bool = Json,
) -> None:
    """Say, before any training, what a table is good for."""
    from frontdesk.label_jobs import LabelJobs, relabel_of
    from frontdesk.readiness import readiness as examine
    from frontdesk.records import load_columns

    check_recipe(recipe)
    mapping = load_columns(columns, recipe)
    room = jobs(recipe)
    prepare = room.prepare(room.parameters("{}"))[0] if isinstance(room, LabelJobs) else None
    report = examine(recipe, data, mapping, prepare=prepare, relabel=relabel_of(taxonomy, taxonomy_version, mapping))
    if as_json:
        print_json(report.to_json())
    else:
        console().print(report.render())


def check_recipe(recipe: str) -> None:
    """Raise `UsageError` for an unknown recipe."""
    if recipe not in names():
        raise UsageError(f"there is no recipe {recipe!r}", remedy=f"Recipes: {', '.join(names())}")
