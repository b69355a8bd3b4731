"""What commands print: JSON with ``--json``, else tables for people; errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from frontdesk.errors import FrontdeskError
from frontdesk.recipes import names
from frontdesk.storage import canonical_json

Json = typer.Option(False, "--json", help="Print the result as JSON.")
Recipe = typer.Argument(..., help=f"One of {', '.join(names())}.")
Columns = typer.Option(None, "--columns", help="Column mapping (YAML). Without it: the simulator's columns.")
ClusterFile = typer.Option(None, "--cluster", help="File of what steps get on the cluster (YAML).", metavar="FILE")

Taxonomy = typer.Option(None, "--taxonomy", help="Label file (YAML), a path or s3://: its labels are used.")
TaxonomyVersion = typer.Option(None, "--taxonomy-version", help="The labels of this day (ISO). Without it: the newest.")


def console() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False)


def print_json(content: Any) -> None:
    """Print a value as JSON on standard output."""
    sys.stdout.write(canonical_json(content).decode())


def failed(error: FrontdeskError, as_json: bool) -> int:
    """Tell an error and return its exit code."""
    if as_json:
        print_json({"error": {"code": error.code, "message": str(error), "exit_code": error.exit_code}})
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error[/] ({error.code}) ", end="")
        sys.stderr.write(f"{error}\n")
    return error.exit_code


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """Return a table of the model and its baselines: per head accuracy, macro-F1 and top-3; of lists, their figures."""
    if "hr@6" in metrics["test"]:
        return _lists_table(metrics)
    table = Table(title=_title(metrics), title_justify="left", title_style="bold")
    table.add_column("head")
    table.add_column("model")
    for name in ("accuracy", "macro-F1", "top 3"):
        table.add_column(name, justify="right")
    rows = {"this model": metrics["test"], **metrics["baselines"]}
    for head in metrics["test"]:
        for place, (name, figures) in enumerate(rows.items()):
            of = figures.get(head, {})
            cells = [_share(of.get(key)) for key in ("accuracy", "macro_f1", "top3")]
            table.add_row("" if place else head, name, *cells, style="" if place else "bold")
        table.add_section()
    return table


def _lists_table(metrics: Mapping[str, Any]) -> Table:
    table = Table(title=_title(metrics), title_justify="left", title_style="bold")
    table.add_column("model")
    measures = ("HR@1", "HR@6", "MRR@10", "coverage@10", "ILD@10", "churn@6")
    for name in measures:
        table.add_column(name, justify="right")
    for place, (name, figures) in enumerate({"this model": metrics["test"], **metrics["baselines"]}.items()):
        values = [figures.get(measure.lower()) for measure in measures]
        cells = ["–" if value is None else f"{value:.3f}" for value in values]
        table.add_row(name, *cells, style="" if place else "bold")
    return table


def _title(metrics: Mapping[str, Any]) -> str:
    counts = metrics["rows"]
    return f"{metrics['recipe']}: {counts['train']:,} training rows, {counts['test']:,} test rows"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def answer_panel(request: Mapping[str, Any], answer: Mapping[str, Any]) -> Panel:
    """Return a panel of one question and its live answer."""
    asked = " / ".join(str(request[name]) for name in ("subject", "body") if name in request)
    lines = [f"[dim]{escape(asked)}[/]"] if asked else []
    for head, said in answer.get("labels", {}).items():
        lines.append(f"{head}: [bold]{escape(said['label'])}[/] ({100 * said['confidence']:.0f} %, {said['decision']})")
    if "intents" in answer:
        lines += [f"{one['id']} ({one['score']:.2f})" for one in answer["intents"]]
        lines.append(f"[dim]from {answer['source']}[/]")
    return Panel("\n".join(lines), title="one live answer from the KServe server", title_align="left")
