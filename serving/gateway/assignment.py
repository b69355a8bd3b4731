"""Which arm of an experiment a case belongs to: declared in the database, decided by a hash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from frontdesk.database import Database
from frontdesk.database.experiments import list_experiments
from frontdesk.errors import FrontdeskError
from frontdesk.experiments.assignment import model_of
from frontdesk.experiments.definition import Definition, from_content
from frontdesk.logs import event

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arm:
    """One side of an experiment.

    Attributes:
        model: name that the arm's model is served under; None for the recipe's own.
        unit: what was assigned; None for the case.
    """

    experiment: str
    name: str
    model: str | None = None
    unit: str | None = None


class Assignment(Protocol):
    """Assigns cases to arms; the same unit always to the same one."""

    def assign(self, recipe: str, units: Mapping[str, str | None]) -> Arm | None:
        """Return the arm of a case, by what the request names of it: ``case``, ``customer``, ``operator``."""

    def refresh(self) -> None:
        """Look for experiments that were started or stopped. Blocks; a failure leaves what was known."""


class RunningExperiments:
    """The experiments that the database says are running. Several gateways agree, because nothing is drawn.

    Until `refresh` was called nothing is assigned.

    Args:
        now: the clock, in UTC.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now
        self._definitions: dict[str, Definition] = {}

    def assign(self, recipe: str, units: Mapping[str, str | None]) -> Arm | None:
        """Return the arm of a case; None where no experiment of its recipe is in a phase, or its unit is not named."""
        definition = self._definitions.get(recipe)
        unit = None if definition is None else units.get(definition.unit)
        if definition is None or unit is None:
            return None
        found = model_of(definition, unit, self._now().date())
        return None if found is None else Arm(definition.name, *found, unit)

    def refresh(self) -> None:
        """Read the table of experiments. A definition of a newer release is left out, and told."""
        try:
            running = list_experiments(self._database, running=True)
        except FrontdeskError as error:
            event(_log, "experiments_not_read", level=logging.WARNING, code=error.code)
            return
        found: dict[str, Definition] = {}
        for one in running:
            try:
                found[one.recipe] = from_content(one.definition, one.name)
            except FrontdeskError:
                event(_log, "experiment_not_understood", level=logging.ERROR, experiment=one.name)
        self._definitions = found
