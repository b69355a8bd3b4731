"""Commands on the keys of the gateway's clients."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import typer
from rich.table import Table

from frontdesk.cli.output import Json, console, print_json

app = typer.Typer(help="Keys of the gateway's clients.", no_args_is_help=True)
_Prefix = typer.Argument(..., metavar="PREFIX", help="The part of the key that `keys list` shows.")
_USUAL = "emails,feedback,intents,lines,tickets"


@app.command("create")
def create(
    client: str = typer.Option(..., "--client", "--name", help="Whose key it is: the name of an application."),
    scopes: str = typer.Option(_USUAL, "--scopes", help="What it is good for, with commas between; or all."),
    days: float | None = typer.Option(None, "--days", min=0.0, help="Days until it ends; without it, never."),
    as_json: bool = Json,
) -> None:
    """Make a key and show it, once."""
    from frontdesk.database import opened
    from frontdesk.database.keys import SCOPES, create_key

    asked = SCOPES if scopes.strip() == "all" else [scope.strip() for scope in scopes.split(",") if scope.strip()]
    until = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with opened() as database:
        made = create_key(database, client, asked, expires_at=until)
    _tell(made.text, made.key.as_json(datetime.now(UTC)), as_json)


@app.command("list")
def list_all(as_json: bool = Json) -> None:
    """List the keys, without their secrets."""
    from frontdesk.database import opened
    from frontdesk.database.keys import list_keys

    now = datetime.now(UTC)
    with opened() as database:
        keys = list_keys(database)
    if as_json:
        print_json({"keys": [key.as_json(now) for key in keys]})
        return
    table = Table("prefix", "client", "scopes", "created", "ends", "good")
    for key in keys:
        end = key.revoked_at or key.expires_at
        cells = [f"{key.created_at:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}" if end else "–"]
        table.add_row(key.prefix, key.client, " ".join(key.scopes), *cells, "yes" if key.is_good(now) else "no")
    console().print(table)


@app.command("revoke")
def revoke(prefix: str = _Prefix, as_json: bool = Json) -> None:
    """End a key now."""
    from frontdesk.database import opened
    from frontdesk.database.keys import revoke_key

    with opened() as database:
        key = revoke_key(database, prefix)
    if as_json:
        print_json(key.as_json(datetime.now(UTC)))
    else:
        console().print(f"{key.prefix} of {key.client} opens nothing any more")


@app.command("rotate")
def rotate(
    prefix: str = _Prefix,
    overlap: float = typer.Option(24.0, "--overlap-hours", min=0.0, help="Hours that the old key stays good."),
    as_json: bool = Json,
) -> None:
    """Make a key that takes over from another one, and show it, once."""
    from frontdesk.database import opened
    from frontdesk.database.keys import rotate_key

    with opened() as database:
        made = rotate_key(database, prefix, overlap=timedelta(hours=overlap))
    _tell(made.text, made.key.as_json(datetime.now(UTC)) | {"replaces": prefix}, as_json)


def _tell(text: str, about: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json({"key": text, **about})
    else:
        console().print(f"{text}\nKeep it: it is shown only now. Its prefix is {about['prefix']}.")
