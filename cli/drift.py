"""The command that compares two tables of one recipe."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table

from frontdesk.cli.data import check_recipe
from frontdesk.cli.output import Columns, Json, Recipe, Taxonomy, TaxonomyVersion, console, print_json
from frontdesk.monitoring.verdict import Verdict

_COLOURS = {"stable": "green", "watch": "yellow", "drift": "red"}


def drift(
    recipe: str = Recipe,
    reference: str = typer.Option(..., "--reference", help="Table of what is normal."),
    current: str = typer.Option(..., "--current", help="Table of what came in."),
    columns: str | None = Columns,
    bundle: str | None = typer.Option(None, "--bundle", help="A bundle: its answers to both tables are compared too."),
    taxonomy: str | None = Taxonomy,
    taxonomy_version: str | None = TaxonomyVersion,
    by: list[str] = typer.Option(
        [], "--by", metavar="COLUMN", help="Compare its values by themselves too; repeatable."
    ),
    out: Path = typer.Option(..., "--out", help="Folder of verdict.json and report.html."),
    false_alarm_rate: float = typer.Option(
        0.01, "--false-alarm-rate", min=1e-6, max=0.5, help="Of the whole comparison, where nothing changed."
    ),
    seed: int = typer.Option(0, "--seed", min=0),
    html: bool = typer.Option(False, "--html", help="Write Evidently's report too; on drift it is written anyway."),
    as_json: bool = Json,
) -> None:
    """Compare two tables: did anything change by more than chance, and by enough to matter?"""
    from frontdesk.monitoring.files import compare_files

    check_recipe(recipe)
    verdict = compare_files(
        recipe,
        reference,
        current,
        out,
        columns=columns,
        bundle=bundle,
        taxonomy=taxonomy,
        taxonomy_version=taxonomy_version,
        by=by,
        false_alarm_rate=false_alarm_rate,
        seed=seed,
        with_evidently=html,
    )
    if as_json:
        print_json(verdict.as_json())
        return
    console().print(f"[bold {_COLOURS[verdict.verdict]}]{verdict.verdict}[/]  {escape(_rows(verdict))}")
    if verdict.causes:
        console().print(_causes(verdict))
    if verdict.slices:
        console().print(_slices(verdict))
    for note in verdict.notes:
        console().print(f"[dim]{escape(note)}[/]")
    console().print(f"report    {out / 'report.html'}")


def _rows(verdict: Verdict) -> str:
    return " against ".join(f"{verdict.rows[window]:,} {window} rows" for window in ("current", "reference"))


def _slices(verdict: Verdict) -> Table:
    table = Table("part", "verdict", "first cause")
    for one in verdict.slices:
        words = one.causes[0].words if one.causes else ""
        table.add_row(escape(one.part), f"[{_COLOURS[one.verdict]}]{one.verdict}[/]", escape(words))
    return table


def _causes(verdict: Verdict) -> Table:
    table = Table()
    for name in ("column", "kind", "what changed"):
        table.add_column(name)
    for name in ("score", "threshold"):
        table.add_column(name, justify="right")
    for cause in verdict.causes:
        colour = _COLOURS[cause.level]
        figures = (f"{cause.score:.3f}", f"{cause.threshold:.3f}")
        table.add_row(f"[{colour}]{escape(cause.column)}[/]", cause.kind, escape(cause.words), *figures)
    return table
