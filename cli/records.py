"""Commands on what the gateway keeps: the prediction log and feedback."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from frontdesk.cli.data import check_recipe
from frontdesk.cli.output import Columns, Json, console, print_json

predictions_app = typer.Typer(help="The gateway's prediction log.", no_args_is_help=True)
feedback_app = typer.Typer(help="What became of cases.", no_args_is_help=True)
_Recipe = typer.Option(..., "--recipe", help="Recipe of the cases.")
_Since = typer.Option(None, "--since", help="Only predictions from this day on (UTC).")
_Until = typer.Option(None, "--until", help="Only predictions before this day (UTC).")


@predictions_app.command("export")
def export_predictions(
    out: Path = typer.Option(..., "--out", help="A .parquet file."),
    recipe: str | None = typer.Option(None, "--recipe", help="Only this recipe's."),
    since: datetime | None = _Since,
    until: datetime | None = _Until,
    as_json: bool = Json,
) -> None:
    """Write the log, each prediction with what became of its case."""
    from frontdesk.database import opened
    from frontdesk.database.exports import export_log

    with opened() as database:
        rows = export_log(database, out, recipe=recipe, since=_utc(since), until=_utc(until))
    if as_json:
        print_json({"rows": rows, "file": str(out)})
    else:
        console().print(f"{rows:,} predictions in {out}")


@feedback_app.command("export")
def export_feedback(
    recipe: str = _Recipe,
    out: Path = typer.Option(..., "--out", help="A .parquet file."),
    columns: str | None = Columns,
    since: datetime | None = _Since,
    until: datetime | None = _Until,
    as_json: bool = Json,
) -> None:
    """Write the cases that have labels, in the columns of a training table."""
    from frontdesk.database import opened
    from frontdesk.database.exports import export_labelled
    from frontdesk.records import load_columns

    check_recipe(recipe)
    mapping = load_columns(columns, recipe)
    with opened() as database:
        counts = export_labelled(database, out, recipe, mapping, since=_utc(since), until=_utc(until))
    if as_json:
        print_json({**counts, "file": str(out)})
    else:
        console().print(f"{counts['rows']:,} labelled cases in {out}, {counts['without_text']:,} of them without text")


@feedback_app.command("import")
def import_feedback(
    file: str = typer.Argument(..., metavar="FILE", help="Table of closed cases with their labels."),
    recipe: str = _Recipe,
    columns: str | None = Columns,
    source: str = typer.Option("history", "--source", help="Name of where the cases come from."),
    at: datetime = typer.Option(datetime(1970, 1, 1), "--at", help="Time (UTC) of rows without one."),
    as_json: bool = Json,
) -> None:
    """Take over the history of a desk: each row closes its case. Importing a file again changes nothing."""
    from frontdesk.database import opened
    from frontdesk.database.feedback import apply_all
    from frontdesk.feedback import history_events
    from frontdesk.records import load_columns

    check_recipe(recipe)
    events = history_events(file, recipe, load_columns(columns, recipe), source=source, at=_utc(at) or at)
    with opened() as database:
        count, new = apply_all(database, events)
    if as_json:
        print_json({"events": count, "applied": new, "duplicates": count - new})
    else:
        console().print(f"{new:,} closed cases taken over, {count - new:,} were there before")


def _utc(given: datetime | None) -> datetime | None:
    """Return a day of the command line as a time in UTC."""
    return None if given is None else given.replace(tzinfo=UTC)
