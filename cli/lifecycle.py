"""Commands that run or compile the lifecycle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from frontdesk.cli.data import check_recipe
from frontdesk.cli.output import ClusterFile, Columns, Json, Recipe, answer_panel, console, metrics_table, print_json
from frontdesk.errors import GateRefused
from frontdesk.recipes import jobs, names, simulation

if TYPE_CHECKING:
    from frontdesk.pipelines.local import RunResult


def run(
    recipe: str = Recipe,
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

    began = time.monotonic()
    parameters = jobs(recipe).parameters_type.parse(sets)
    result = run_lifecycle(
        recipe, data=data, test=test, columns=load_columns(columns, recipe), parameters=parameters, out=out
    )
    _tell(result, out, time.monotonic() - began, as_json)
    if result.decision != "promote":
        reasons = " ".join(result.reasons).removesuffix(".")
        raise GateRefused(reasons, remedy="The champion stays; the candidate is in the bundle folder")


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
    """Run the lifecycle of every recipe on simulated records, and ask the model server one question of each."""
    from frontdesk.cli.question import ask_once

    answers = {}
    for recipe in names():
        began = time.monotonic()
        folder = out / recipe
        result = _demo_run(recipe, folder)
        question = simulation(recipe).DEMO_QUESTION
        answers[recipe] = {
            "request": question,
            "answer": ask_once(result.bundle, recipe, question, folder / "server.log"),
        }
        _tell(result, folder, time.monotonic() - began, as_json)
        if not as_json:
            console().print(answer_panel(**answers[recipe]))
    if as_json:
        print_json(answers)
    else:
        bundles = " ".join(f"--bundle {out / recipe / 'bundle'}" for recipe in names())
        console().print(f"Open all of it in a browser: frontdesk up {bundles}", soft_wrap=True)


def _demo_run(recipe: str, out: Path) -> RunResult:
    from frontdesk.pipelines.local import run_lifecycle
    from frontdesk.records import load_columns

    simulator = simulation(recipe)
    out.mkdir(parents=True, exist_ok=True)
    table = out / f"{recipe}s.parquet"
    simulator.write(simulator.simulate(simulator.DEMO_ROWS, seed=0), table)
    parameters = jobs(recipe).parameters_type.parse(simulator.DEMO_PARAMETERS)
    return run_lifecycle(recipe, data=str(table), columns=load_columns(None, recipe), parameters=parameters, out=out)


def materialise(
    out: Path = typer.Option(..., "--out", help="Folder of the run's log."),
    features: str | None = typer.Option(None, "--features", help="Folder of the feature tables."),
    until: str | None = typer.Option(None, "--until", help="Leave events after this moment (ISO 8601) for later."),
    as_json: bool = Json,
) -> None:
    """Copy the newest features to the online store that requests are answered from."""
    from frontdesk.pipelines.local import run_features

    views = run_features(features=features, until=until, out=out)
    if as_json:
        print_json({"views": views})
    else:
        console().print(f"{views} feature views are up to date")


def compile_pipelines(
    recipes: list[str] = typer.Argument(None, help="Recipes; all without any."),
    out: Path = typer.Option(..., "--out", help="Folder of the compiled pipelines."),
    cluster: str | None = ClusterFile,
    as_json: bool = Json,
) -> None:
    """Compile lifecycles and monitoring, with all recipes the feature pipeline too, for Kubeflow Pipelines."""
    from frontdesk.pipelines.cluster import cluster_of
    from frontdesk.pipelines.compiling import compile_features, compile_monitoring, compile_pipeline

    chosen = recipes or names()
    for recipe in chosen:
        check_recipe(recipe)
    files, place = [], cluster_of(cluster)
    for recipe in chosen:
        for name, compiled in (("lifecycle", compile_pipeline), ("monitoring", compile_monitoring)):
            path = out / f"{recipe}-{name}.yaml"
            compiled(recipe, path, place)
            files.append(str(path))
    if not recipes:
        path = out / "features-materialise.yaml"
        compile_features(path, place)
        files.append(str(path))
    if as_json:
        print_json({"files": files})
    else:
        console().print("\n".join(files))
