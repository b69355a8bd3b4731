"""The ``frontdesk`` command.

Exit codes: 0 done, 2 wrong usage, 3 bad data (the row and field are named), 4 the gate refused, 1 anything else.
"""

from __future__ import annotations

import sys

import typer

from frontdesk import logs
from frontdesk.cli import (
    cluster,
    coverage,
    data,
    database,
    doctor,
    drift,
    experiment,
    gateway,
    keys,
    lifecycle,
    models,
    monitoring,
    records,
    rehearse,
    releases,
    training,
    trust,
)
from frontdesk.cli.output import failed
from frontdesk.errors import FrontdeskError
from frontdesk.settings import settings
from frontdesk.version import VERSION

app = typer.Typer(
    name="frontdesk",
    help="The machine-learning side of a support desk.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"frontdesk {VERSION}\n")
        raise typer.Exit


@app.callback()
def _start(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    logs.configure(settings().log_level)


app.command("demo")(lifecycle.demo)
app.command("simulate")(data.simulate)
app.command("readiness")(data.readiness)
app.command("run")(lifecycle.run)
app.command("evaluate")(models.evaluate)
app.command("predict")(models.predict)
app.command("coverage")(coverage.coverage)
app.command("drift")(drift.drift)
app.command("serve")(models.serve)
app.command("publish")(models.publish)
app.command("sign")(trust.sign)
app.command("verify")(trust.verify)
app.command("sbom")(trust.sbom)
app.command("gateway")(gateway.gateway)
app.command("up")(gateway.up)
app.add_typer(experiment.app, name="experiment")
app.add_typer(database.app, name="database")
app.add_typer(keys.app, name="keys")
app.add_typer(records.predictions_app, name="predictions")
app.add_typer(records.feedback_app, name="feedback")
app.command("approve")(releases.approve)
app.add_typer(releases.app, name="rollout")
app.command("materialise")(lifecycle.materialise)
app.command("monitor")(monitoring.monitor)
app.command("retrain")(monitoring.retrain)
app.command("rehearse")(rehearse.rehearse)
app.command("compile")(lifecycle.compile_pipelines)
app.command("submit")(cluster.submit)
app.command("schedule")(cluster.schedule)
app.command("train-worker")(training.train_worker)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command and exit with its code; an error is one line on standard error, or JSON with ``--json``."""
    as_json = "--json" in sys.argv
    try:
        sys.exit(app(standalone_mode=True))
    except FrontdeskError as error:
        sys.exit(failed(error, as_json))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
