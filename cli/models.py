"""Commands on a bundle: evaluate it, predict with it, serve it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from frontdesk.cli.output import Columns, Json, console, metrics_table, print_json
from frontdesk.errors import BadColumns

if TYPE_CHECKING:
    import pyarrow as pa

    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.records import Columns

_BundleArgument = typer.Argument(..., metavar="BUNDLE", help="Folder or s3:// address of a bundle.")


def _columns_of(bundle: LabelBundle, path: str | None) -> Columns:
    """Return the mapping to read a table by: the given one, or the one that the bundle was trained through."""
    from frontdesk.records import load_columns, parse_columns

    columns: Columns
    if path is not None:
        columns = load_columns(path, bundle.spec.recipe)
    else:
        columns = parse_columns(bundle.spec.columns, where="spec.json", recipe=bundle.spec.recipe)
    missing = [name for name in bundle.spec.fields if name not in columns.roles]
    if missing:
        raise BadColumns(
            f"the bundle reads {', '.join(missing)}, which the mapping does not name",
            where=path or "spec.json",
            remedy="Use the mapping that the bundle was trained with",
        )
    return columns


def evaluate(
    bundle: str = _BundleArgument,
    data: str = typer.Option(..., "--data", help="Table with labels."),
    out: Path = typer.Option(..., "--out", help="Folder of metrics.json and report.html."),
    columns: str | None = Columns,
    as_json: bool = Json,
) -> None:
    """Evaluate a bundle on a table."""
    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.evaluation.evaluate import TestRows, evaluate_rows
    from frontdesk.tables import read_batches

    model = LabelBundle.load(bundle)
    mapping = _columns_of(model, columns)
    if not mapping.heads:
        raise BadColumns("the mapping names no label column", where=columns or "spec.json")

    def read() -> Iterator[pa.RecordBatch]:
        return (batch.rows for batch in read_batches(data, mapping))

    rows, refused = 0, 0
    for batch in read_batches(data, mapping):
        rows += batch.rows.num_rows
        refused += len(batch.refused)
    counts = {"train": model.spec.documents, "test": rows, "refused": refused}
    metrics = evaluate_rows(model, TestRows(read=read, rows=counts), out)
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
    as_json: bool = Json,
) -> None:
    """Predict every row of a table. Rows that cannot be read go to OUT's name + .refused.parquet."""
    from frontdesk.bundle.labels import LabelBundle
    from frontdesk.scoring import score_table

    model = LabelBundle.load(bundle)
    summary = score_table(model, source, _columns_of(model, columns), out)
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
    bundles: list[str] = typer.Argument(..., metavar="BUNDLE...", help="Folders or s3:// addresses of bundles."),
    port: int = typer.Option(8080, "--port", min=0, max=65535, help="HTTP port; 0 takes a free one."),
    host: str = typer.Option("127.0.0.1", "--host", help="Device to listen on."),
    grpc_port: int | None = typer.Option(None, "--grpc-port", help="Serve gRPC too."),
    engine: str = typer.Option("auto", "--engine", help="Inference engine."),
    as_json: bool = Json,
) -> None:
    """Serve bundles over KServe's protocols until a signal. Logs are JSON lines on standard error."""
    from frontdesk.serving.server import serve as start

    del as_json  # the logs are JSON already
    start(bundles, host=host, port=port, grpc_port=grpc_port, engine=engine)
