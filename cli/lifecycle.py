"""Commands that run or compile the lifecycle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.panel import Panel

from frontdesk.cli.data import check_recipe
from frontdesk.cli.output import Columns, Json, console, metrics_table, print_json
from frontdesk.errors import GateRefused
from frontdesk.recipes import names

if TYPE_CHECKING:
    from frontdesk.pipelines.local import RunResult

DEMO_ROWS = 3_000
_DEMO_PARAMETERS = ("max_tokens=128",)


def run(
    recipe: str = typer.Argument(..., help="ticket"),
    data: str = typer.Option(..., "--data", help="Table to learn from: .csv, .parquet or .jsonl; a path or s3://."),
    out: Path = typer.Option(..., "--out", help="Folder of the results."),
    test: str | None = typer.Option(None, "--test", help="Separate test table. Without it the data is split."),
    columns: str | None = Columns,
    sets: list[str] = typer.Option([], "--set", help="A parameter, KEY=VALUE. Repeatable.", metavar="KEY=VALUE"),
    as_json: bool = Json,
) -> None:
    """Run the whole lifecycle on this machine: OUT/bundle, OUT/metrics.json, OUT/report.html."""
    from frontdesk.pipelines.local import run_lifecycle
    from frontdesk.records import load_columns
    from frontdesk.ticket.recipe import parse_parameters

    check_recipe(recipe)
    began = time.monotonic()
    result = run_lifecycle(
        recipe, data=data, test=test, columns=load_columns(columns, recipe), parameters=parse_parameters(sets), out=out
    )
    _tell(result, out, time.monotonic() - began, as_json)
    if result.decision != "promote":
        raise GateRefused("; ".join(result.reasons), remedy="The champion stays; the candidate is in the bundle folder")


def _tell(result: RunResult, out: Path, seconds: float, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "decision": result.decision,
                "reasons": list(result.reasons),
                "model_id": result.model_id,
                "snapshot": result.snapshot,
                "bundle": str(result.bundle),
                "report": str(result.report),
                "metrics": result.metrics,
            }
        )
        return
    screen = console()
    screen.print(metrics_table(result.metrics))
    screen.print(f"model_id  {result.model_id}  ({result.decision})")
    screen.print(f"bundle    {result.bundle}")
    screen.print(f"report    {result.report}")
    screen.print(f"metrics   {out / 'metrics.json'}")
    screen.print(f"time      {seconds:,.0f} s")


def demo(
    out: Path = typer.Option(Path("out/demo"), "--out", help="Folder of the results."),
    as_json: bool = Json,
) -> None:
    """Simulate tickets, run the lifecycle on them, and ask the model server one question."""
    from frontdesk.cli.question import ask_once
    from frontdesk.pipelines.local import run_lifecycle
    from frontdesk.records import DEFAULT_TICKET_COLUMNS
    from frontdesk.simulation import tickets
    from frontdesk.ticket.recipe import parse_parameters

    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    table = out / "tickets.parquet"
    tickets.write(tickets.simulate(DEMO_ROWS, seed=0), table)
    parameters = parse_parameters(_DEMO_PARAMETERS)
    result = run_lifecycle("ticket", data=str(table), columns=DEFAULT_TICKET_COLUMNS, parameters=parameters, out=out)
    ticket = {
        "subject": "Charged twice",
        "body": "<p>Hello, I was charged <b>twice</b> for my last order, please send the money back.</p>",
        "channel": "email",
        "language": "en",
        "account_age_days": 412,
        "order_total": 79.9,
    }
    answer = ask_once(result.bundle, "ticket", ticket, out / "server.log")
    _tell(result, out, time.monotonic() - began, as_json)
    if as_json:
        print_json({"request": ticket, "answer": answer})
        return
    lines = [f"[dim]{ticket['subject']} / {ticket['body']}[/]"]
    for head, said in answer["labels"].items():
        lines.append(f"{head}: [bold]{said['label']}[/] ({100 * said['confidence']:.0f} %, {said['decision']})")
    console().print(Panel("\n".join(lines), title="one live answer from the KServe server", title_align="left"))


def compile_pipelines(
    recipes: list[str] = typer.Argument(None, help="Recipes; all without any."),
    out: Path = typer.Option(..., "--out", help="Folder of the compiled pipelines."),
    as_json: bool = Json,
) -> None:
    """Compile lifecycles for a Kubeflow Pipelines cluster."""
    from frontdesk.pipelines.compiling import compile_pipeline

    chosen = recipes or names()
    for recipe in chosen:
        check_recipe(recipe)
    files = []
    for recipe in chosen:
        path = out / f"{recipe}-lifecycle.yaml"
        compile_pipeline(recipe, path)
        files.append(str(path))
    if as_json:
        print_json({"files": files})
    else:
        console().print("\n".join(files))
