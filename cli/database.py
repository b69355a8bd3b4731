"""Commands on the database of keys, predictions and feedback."""

from __future__ import annotations

import time

import typer

from frontdesk.cli.output import Json, console, print_json
from frontdesk.errors import StorageError

app = typer.Typer(help="The database of keys, predictions and feedback.", no_args_is_help=True)
_PAUSE_SECONDS = 1.0


@app.callback()
def _group() -> None:
    """Keep `migrate` a command of its own name although it is the only one."""


@app.command("migrate")
def migrate(
    wait: float = typer.Option(0.0, "--wait", min=0.0, help="Seconds to wait for a database that does not answer yet."),
    as_json: bool = Json,
) -> None:
    """Bring the schema of FRONTDESK_DATABASE to this release. Several may try at once; again changes nothing."""
    from frontdesk.database import opened

    until = time.monotonic() + wait
    while True:
        try:
            with opened():
                break
        except StorageError:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_SECONDS)
    if as_json:
        print_json({"current": True})
    else:
        console().print("the schema is this release's")
