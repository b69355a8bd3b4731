"""The command of a process that trains together with others."""

from __future__ import annotations

from pathlib import Path

import orjson
import typer

from frontdesk.cli.output import Json, console, print_json
from frontdesk.errors import UsageError
from frontdesk.settings import TrainNodes, read_settings


def train_worker(
    tensors: str = typer.Option(..., "--tensors", help="Id of the tensors to train on."),
    store: str = typer.Option(..., "--store", help="Store of the tensors and of the result."),
    parameters: str = typer.Option("{}", "--parameters", help="The recipe's parameters as JSON."),
    work: Path = typer.Option(..., "--work", help="Folder on this node."),
    as_json: bool = Json,
) -> None:
    """Take part in the training of a ticket network on several nodes (torchrun starts one per process)."""
    from frontdesk.storage import Store
    from frontdesk.ticket.recipe import TicketParameters
    from frontdesk.train_worker import train_share

    try:
        values = orjson.loads(parameters)
    except orjson.JSONDecodeError as error:
        raise UsageError("is not JSON", where="--parameters") from error
    wanted = read_settings(TrainNodes)
    done = train_share(Store(store), tensors, TicketParameters.of(values), work, wanted.backend)
    if as_json:
        print_json(done)
    else:
        console().print(f"network  {done['network']}  (process {done['rank'] + 1} of {done['size']})")
