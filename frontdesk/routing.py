"""Who should take a case: agents by the contact types that they know, in a versioned YAML file.

version: "2026-11-22"
agents:
  anna: {nodes: [Billing, "Hardware > Router"], capacity: 12}
  ben: {nodes: [Hardware], capacity: 6}
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frontdesk.errors import UsageError
from frontdesk.yaml_file import read_yaml

EQUAL = 0.02
"""Agents whose skills differ by less share the cases by their capacities."""


class Agent(BaseModel):
    """What one agent knows.

    Attributes:
        nodes: of the label tree; an agent knows everything below them.
        capacity: cases that the agent takes, in proportion to the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: tuple[str, ...] = Field(min_length=1)
    capacity: float = Field(1.0, gt=0, le=1e6)


class Roster(BaseModel):
    """Every agent.

    Attributes:
        separator: of the levels of a node.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(min_length=1, max_length=80)
    separator: str = Field(" > ", min_length=1)
    agents: dict[str, Agent] = Field(min_length=1)


@dataclass(frozen=True)
class Routed:
    """An agent for a case.

    Attributes:
        agent: the name.
        skill: probability that the case is of a type that the agent knows.
        node: the agent's node that the most likely of these types lies under.
    """

    agent: str
    skill: float
    node: str


def load_roster(path: str | Path) -> Roster:
    """Read a roster. Raises `UnreadableFile`, or `UsageError` that names the key."""
    content = read_yaml(path, "the roster")
    try:
        return Roster.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=Path(path).name) from None


def route(
    candidates: Sequence[tuple[str, float]],
    roster: Roster,
    *,
    case: str,
    open_cases: Mapping[str, int] | None = None,
    count: int = 3,
) -> list[Routed]:
    """Return the agents for a case, best first; none where nobody knows any of its types.

    Args:
        candidates: the labels of an answer with their probabilities.
        case: its identifier: the same case always goes to the same of several equal agents, and over many cases each
            gets a share by its capacity (weighted rendezvous hashing, Schindelhauer and Schomaker 2005).
        open_cases: of each agent; one who has as many as the capacity is left out.
        count: of agents.
    """
    held = open_cases or {}
    found: list[tuple[float, float, Routed]] = []
    for name, agent in roster.agents.items():
        if held.get(name, 0) >= agent.capacity and name in held:
            continue
        known = [
            (share, node) for label, share in candidates if (node := _covers(agent.nodes, label, roster.separator))
        ]
        if known:
            skill = math.fsum(share for share, _ in known)
            found.append((skill, _lot(case, name, agent.capacity), Routed(name, skill, max(known)[1])))
    best = max((skill for skill, _, _ in found), default=0.0)
    found.sort(key=lambda entry: (entry[0] < best - EQUAL, -entry[1] if entry[0] >= best - EQUAL else -entry[0]))
    return [entry[2] for entry in found[:count]]


def _covers(nodes: Sequence[str], label: str, separator: str) -> str:
    """Return the deepest node that a label is, or lies under."""
    above = [node for node in nodes if label == node or label.startswith(node + separator)]
    return max(above, key=len, default="")


def _lot(case: str, agent: str, capacity: float) -> float:
    """Draw for an agent, by the case: the largest of several draws is an agent's in proportion to the capacity."""
    drawn = int.from_bytes(hashlib.sha256(f"{case}\0{agent}".encode()).digest()[:8], "big")
    return -capacity / math.log((drawn + 1) / (2**64 + 2))
