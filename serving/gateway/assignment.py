"""Which arm of an experiment a case belongs to: a hook; without an experiment nothing is assigned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Arm:
    """One side of an experiment.

    Attributes:
        model: name that the arm's model is served under; None for the recipe's own.
    """

    experiment: str
    name: str
    model: str | None = None


class Assignment(Protocol):
    """Assigns cases to arms; the same case always to the same one."""

    def assign(self, recipe: str, unit: str) -> Arm | None:
        """Return the arm of a unit: a case of mails and tickets, an operator of suggested intents."""


class NoExperiment:
    """Assigns nothing."""

    def assign(self, recipe: str, unit: str) -> Arm | None:
        """Return no arm."""
        return None
