"""Commands on a bundle: evaluate it, predict with it, serve it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from frontdesk.cli.output import Columns, Json, Taxonomy, TaxonomyVersion, console, metrics_table, print_json

if TYPE_CHECKING:
    from frontdesk.jobs import Jobs

_BundleArgument = typer.Argument(..., metavar="BUNDLE", help="Folder or s3:// address of a bundle.")


def _jobs_of(bundle: str) -> Jobs:
    """Return the jobs of a bundle's recipe, reading only its manifest."""
    from frontdesk.bundle import manifest_at
    from frontdesk.feature_repo import open_join
    from frontdesk.recipes import jobs

    return jobs(manifest_at(bundle)["recipe"], open_join)


def evaluate(
    bundle: str = _BundleArgument,
    data: str = typer.Option(..., "--data", help="Table with labels."),
    out: Path = typer.Option(..., "--out", help="Folder of metrics.json and report.html."),
    columns: str | None = Columns,
    taxonomy: str | None = Taxonomy,
    taxonomy_version: str | None = TaxonomyVersion,
    as_json: bool = Json,
) -> None:
    """Evaluate a bundle on a table."""
    metrics = _jobs_of(bundle).evaluate(
        bundle, data, columns, out, taxonomy=taxonomy, taxonomy_version=taxonomy_version
    )
    if as_json:
        print_json(metrics)
        return
    console().print(metrics_table(metrics))
    console().print(f"report    {out / 'report.html'}")


def predict(
    bundle: str = _BundleArgument,
    source: str = typer.Option(..., "--in", help="Table of records; labels are not needed."),
    out: Path = typer.Option(..., "--out", help="A .csv, .parquet or .jsonl file."),
    columns: str | None = Columns,
    taxonomy: str | None = Taxonomy,
    taxonomy_version: str | None = TaxonomyVersion,
    as_json: bool = Json,
) -> None:
    """Predict every row of a table. Rows that cannot be read go to OUT's name + .refused.parquet."""
    summary = _jobs_of(bundle).score(bundle, source, columns, out, taxonomy=taxonomy, taxonomy_version=taxonomy_version)
    if as_json:
        print_json(summary)
    else:
        console().print(_told(summary))


def _told(summary: dict[str, Any]) -> str:
    text = f"{summary['rows']:,} rows predicted by {summary['model_id']} in {summary['out']}"
    if summary["refused"]:
        text += f"; {summary['refused']:,} rows refused, reasons in {summary['refusals']}"
    return text


def serve(
    bundles: list[str] = typer.Argument(
        ..., metavar="BUNDLE...", help="Folders, s3:// addresses; with --store recipes."
    ),
    port: int = typer.Option(8080, "--port", "--http_port", min=0, max=65535, help="HTTP port; 0 takes a free one."),
    host: str = typer.Option("127.0.0.1", "--host", help="Device to listen on."),
    grpc_port: int | None = typer.Option(None, "--grpc-port", help="Serve gRPC too."),
    engine: str = typer.Option("auto", "--engine", help="Inference engine."),
    taxonomy: str | None = Taxonomy,
    taxonomy_version: str | None = TaxonomyVersion,
    store: str | None = typer.Option(None, "--store", help="Serve what is deployed in this store, and follow it."),
    role: str = typer.Option("whole", "--role", help="whole, or predictor: encoded tensors in, model outputs out."),
    predictor_host: str | None = typer.Option(
        None,
        "--predictor-host",
        "--predictor_host",
        metavar="HOST:PORT",
        help="Be the transformer of this predictor.",
    ),
    predictor_protocol: str = typer.Option("v2", "--predictor-protocol", help="v2 or grpc-v2."),
    policy: str | None = typer.Option(None, "--policy", help="Policy file (YAML) that overrides the decisions."),
    workers: int = typer.Option(1, "--workers", min=1, help="Processes that answer; one computes on one core."),
    model_name: str | None = typer.Option(
        None, "--model-name", "--model_name", metavar="NAME", help="Serve the one bundle under this name."
    ),
    as_json: bool = Json,
) -> None:
    """Serve bundles over KServe's protocols until a signal. Logs are JSON lines on standard error.

    KServe's controller starts transformers with --model_name, --predictor_host and --http_port.
    """
    from frontdesk.serving.workers import serve as start

    del as_json  # the logs are JSON already
    start(
        bundles,
        workers=workers,
        host=host,
        port=port,
        grpc_port=grpc_port,
        engine=engine,
        taxonomy=taxonomy,
        taxonomy_version=taxonomy_version,
        store=store,
        role=role,
        predictor_host=predictor_host,
        predictor_protocol=predictor_protocol,
        policy=policy,
        model_name=model_name,
    )


def publish(
    bundles: list[str] = typer.Argument(
        ..., metavar="BUNDLE...", help="Folders, s3:// addresses; with --store recipes."
    ),
    store: str | None = typer.Option(None, "--store", help="Publish what is deployed in this store."),
    as_json: bool = Json,
) -> None:
    """Write to Redis what the servers of bundles share there: fills an empty one. Twice changes nothing."""
    from frontdesk.bundle import Bundle
    from frontdesk.errors import UsageError
    from frontdesk.serving.publishing import publish as write
    from frontdesk.serving.watching import Deployed
    from frontdesk.settings import settings
    from frontdesk.storage import Store

    if settings().redis is None:
        raise UsageError("no Redis is set", where="FRONTDESK_REDIS")
    locations = bundles
    if store is not None:
        locations = [Deployed(Store(store), name, Bundle.load).pointer()["uri"] for name in bundles]
    write(locations)
    if as_json:
        print_json({"published": locations})
    else:
        console().print(f"published: {', '.join(locations)}")
