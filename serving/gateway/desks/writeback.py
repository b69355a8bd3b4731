"""From an answer of a model to what is written to a desk, and the writing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from frontdesk.decisions import LEVELS
from frontdesk.serving.gateway.desks.configuration import WriteBack
from frontdesk.serving.gateway.desks.desk import Change, Desk
from frontdesk.serving.gateway.desks.outgoing import Outgoing

_OF_DECISION = {"auto": "automatic", "suggest": "suggest"}
_SHOWN = 3


def level_of(said: Mapping[str, Any]) -> str:
    """Return the automation level of one head's answer; an answer without one has that of its decision."""
    level = str(said.get("level"))
    return level if level in LEVELS else _OF_DECISION.get(str(said.get("decision")), "none")


def plan_change(desk: Desk, case: str, answer: Mapping[str, Any]) -> Change:
    """Say what an answer writes to a case.

    A label whose level reaches that of the configuration is set in its field; every other that is at least suggested
    stands in the note with its alternatives. Tags: the marker, and the marker with the least level of any head.

    Args:
        answer: ``{"labels": {head: {"label", "confidence", "alternatives", "decision", "level"}}}``.
    """
    configuration = desk.configuration
    smallest = configuration.write_back.level if configuration.write_back else "automatic"
    fields: dict[str, str] = {}
    lines: list[str] = []
    reached: list[str] = []
    for head, said in answer.get("labels", {}).items():
        level = level_of(said)
        reached.append(level)
        place = configuration.labels.get(head)
        if place is not None and LEVELS.index(level) >= LEVELS.index(smallest):
            fields[place.field] = place.value(said["label"])
        elif level != "none":
            lines.append(f"{head}: {_named(said)}")
    weakest = min(reached, key=LEVELS.index, default="none")
    note = "\n".join(["Frontdesk suggests", *lines]) if lines else None
    return Change(case, fields, (configuration.marker, f"{configuration.marker}-{weakest}"), note)


def _named(said: Mapping[str, Any]) -> str:
    options = [said, *said.get("alternatives", [])][:_SHOWN]
    return ", ".join(f"{one['label']} ({100 * one['confidence']:.0f} %)" for one in options)


async def write_back(desk: Desk, change: Change, allowed_hosts: Collection[str]) -> bool:
    """Write a change; return whether the desk takes any. Raises `WriteBackFailed`."""
    target: WriteBack | None = desk.configuration.write_back
    if target is None:
        return False
    async with Outgoing(target.address, allowed_hosts, desk.credentials(), target.seconds) as outgoing:
        await desk.write(change, outgoing)
    return True
