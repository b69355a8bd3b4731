"""The command that rehearses a quarter of a desk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from frontdesk.cli.output import Json, console, print_json
from frontdesk.errors import FrontdeskError, UsageError


def rehearse(
    out: Path = typer.Option(..., "--out", help="Empty folder of the rehearsal: rehearsal.json, rehearsal.html."),
    seed: int = typer.Option(0, "--seed", min=0, help="Seed of the simulated desk."),
    as_json: bool = Json,
) -> None:
    """Let a simulated desk live through three months: drifts, a retraining, a canary, candidates that break."""
    from frontdesk.cli.rehearsal.page import write_story
    from frontdesk.cli.rehearsal.rehearsing import rehearse as run

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the folder is not empty", where="--out", remedy="Name a new one")
    screen = console()

    def told(event: dict[str, Any]) -> None:
        if not as_json:
            screen.print(f"day {event['day']:>2}  {event['kind']:<12} {event['words']}", markup=False, soft_wrap=True)

    content = run(out, seed=seed, told=told)
    page = write_story(content, out)
    if as_json:
        print_json(content)
    else:
        screen.print()
        for words in content["summary"]:
            screen.print(words, markup=False, soft_wrap=True)
        screen.print(f"page      {page}")
    if content["problems"]:
        raise FrontdeskError(" ".join(content["problems"]), where=str(out), remedy="The page shows the days")
