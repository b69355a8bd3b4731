"""Commands of the gateway: serve it, and start the whole stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from frontdesk.cli.output import Json, console, print_json
from frontdesk.errors import UsageError


def gateway(
    port: int = typer.Option(8000, "--port", min=0, max=65535, help="HTTP port; 0 takes a free one."),
    host: str = typer.Option("127.0.0.1", "--host", help="Device to listen on."),
    as_json: bool = Json,
) -> None:
    """Serve the public API in front of the model servers until a signal. Logs are JSON lines on standard error."""
    from frontdesk.serving.gateway.process import serve_gateway

    del as_json  # the logs are JSON already
    serve_gateway(host=host, port=port)


def up(
    bundle: list[str] = typer.Option(None, "--bundle", help="Folder or s3:// of a bundle; again for more."),
    more: list[str] = typer.Argument(None, metavar="[BUNDLE]...", help="More bundles."),
    out: Path = typer.Option(Path("out/up"), "--out", help="Folder of up.json, the logs and the database."),
    store: str | None = typer.Option(None, "--store", help="Serve what is deployed in this store, with its rollouts."),
    port: int = typer.Option(0, "--port", min=0, max=65535, help="The gateway's port; 0 takes a free one."),
    host: str = typer.Option("127.0.0.1", "--host", help="The gateway's device."),
    as_json: bool = Json,
) -> None:
    """Start model server, gateway and console; stop them with Ctrl-C. Without --bundle: what `make demo` made."""
    from frontdesk.serving.gateway.stack import up as start

    def told(content: dict[str, Any]) -> None:
        if as_json:
            print_json(content)
            return
        screen = console()
        screen.print(f"gateway  {content['gateway']}", f"console  {content['console']}", sep="\n")
        screen.print(f"key      {content['key']}", f"details  {out / 'up.json'}", "Ctrl-C stops everything.", sep="\n")

    bundles = [*(bundle or ()), *(more or ())]
    if store is not None and bundles:
        raise UsageError("a store says itself what is served", where="--store", remedy="Leave the bundles out")
    if store is None and not bundles:
        bundles = _demo_bundles()
    start(bundles, out, host=host, port=port, store=store, told=told)


def _demo_bundles() -> list[str]:
    found = sorted(str(path.parent) for path in Path("out/demo").glob("*/bundle/manifest.json"))
    if not found:
        raise UsageError("there is no bundle yet", remedy="Run `make demo` first, or name one with --bundle")
    return found
