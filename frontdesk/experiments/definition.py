"""What an experiment is, written down before it runs.

    name: ticket-v2
    recipe: ticket
    unit: case                                   # or customer, operator: what is assigned, and what is analysed
    control: {name: v1, model: ticket-1a2b3c4d}  # served name; without one, the recipe's own model
    treatment: {name: v2}
    phases:
      aa: {from: 2026-12-01, until: 2026-12-08}  # both arms ask the control's model; the last day is not part of it
      ab: {from: 2026-12-08, until: 2027-01-07}
    primary: {metric: handle_time, minimum_effect: 0.066}
    guardrails:
      - {metric: satisfaction, bound: 0.02}      # may get at most 2 % worse

The digest of all of it is registered when the experiment starts; a definition that runs cannot be changed.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk.errors import UsageError
from frontdesk.storage import digest
from frontdesk.yaml_file import read_yaml

Unit = Literal["case", "customer", "operator"]
Looks = Literal["daily", "weekly", "once"]
Better = Literal["lower", "higher"]
BETTER: dict[str, Better] = {
    "accuracy": "higher",
    "handle_time": "lower",
    "satisfaction": "higher",
    "suggestion_share": "higher",
    "searches_avoided": "higher",
}
"""The metrics that every experiment follows where the rows have them, and which way each is good."""
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
_MOST_DAYS = 366


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ArmDefinition(_Frozen):
    """One side.

    Attributes:
        model: name that its model is served under; None for the recipe's own.
    """

    name: _Name
    model: _Name | None = None


class Phase(_Frozen):
    """Days (UTC) from the first up to, and without, ``until``."""

    begin: date = Field(alias="from")
    until: date

    @model_validator(mode="after")
    def _ordered(self) -> Phase:
        if not 0 < self.days <= _MOST_DAYS:
            raise ValueError(f"until must be 1 to {_MOST_DAYS} days after from")
        return self

    @property
    def days(self) -> int:
        """How many."""
        return (self.until - self.begin).days

    def contains(self, day: date) -> bool:
        """Return whether a day is part of it."""
        return self.begin <= day < self.until


class Phases(_Frozen):
    """First the same model on both sides, then the comparison."""

    aa: Phase | None = None
    ab: Phase

    @model_validator(mode="after")
    def _in_order(self) -> Phases:
        if self.aa is not None and self.aa.until > self.ab.begin:
            raise ValueError("aa must end before ab begins")
        return self


class _Metric(_Frozen):
    metric: _Name
    better: Better | None = None

    @model_validator(mode="after")
    def _known(self) -> _Metric:
        if self.better is None and self.metric not in BETTER:
            raise ValueError(f"say better: lower or higher; it is known only of {', '.join(BETTER)}")
        return self

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if (self.better or BETTER[self.metric]) == "higher" else -1


class Primary(_Metric):
    """What decides.

    Attributes:
        minimum_effect: smallest relative change worth having; sizes the experiment.
    """

    minimum_effect: float = Field(gt=0, lt=1)


class Guardrail(_Metric):
    """What must not suffer.

    Attributes:
        bound: largest relative change for the worse that is borne.
    """

    bound: float = Field(gt=0, lt=1)


class Definition(_Frozen):
    """A whole experiment.

    Attributes:
        head: whose answers count as accurate and accepted, of the recipes with labels.
        salt: of the assignment; the name, where none is given.
        share: of the units that get the treatment.
        alpha: error rate of the primary metric over all looks together, and of each guardrail.
        looks: how often somebody may look and stop.
        pre_period: days before the first phase whose rows reduce the variance; those of the A/A phase do so always.
    """

    name: _Name
    recipe: Literal["email", "ticket", "intent"]
    unit: Unit = "case"
    head: _Name | None = None
    salt: str = Field(default="", max_length=80)
    control: ArmDefinition = ArmDefinition(name="control")
    treatment: ArmDefinition = ArmDefinition(name="treatment")
    share: float = Field(default=0.5, gt=0, lt=1)
    phases: Phases
    primary: Primary
    guardrails: tuple[Guardrail, ...] = ()
    alpha: float = Field(default=0.05, gt=0, le=0.2)
    power: float = Field(default=0.8, ge=0.5, lt=1)
    looks: Looks = "daily"
    pre_period: int = Field(default=28, ge=0, le=_MOST_DAYS)

    @model_validator(mode="after")
    def _consistent(self) -> Definition:
        if self.control.name == self.treatment.name:
            raise ValueError("the two arms need two names")
        followed = [self.primary.metric, *(one.metric for one in self.guardrails)]
        if len(set(followed)) < len(followed):
            raise ValueError("a metric is named twice")
        if self.unit == "operator" and self.recipe != "intent":
            raise ValueError("operators are known of intents only")
        if self.unit == "customer" and self.recipe == "intent":
            raise ValueError("intents are assigned by case (the session) or operator")
        return self

    @property
    def digest(self) -> str:
        """Digest of everything that is declared."""
        return digest(self.content())

    @property
    def arms(self) -> tuple[str, str]:
        """Names of control and treatment."""
        return self.control.name, self.treatment.name

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are followed: the primary one, guardrails, and those that every experiment follows."""
        declared = (self.primary.metric, *(one.metric for one in self.guardrails))
        return tuple(dict.fromkeys((*declared, *BETTER)))

    @property
    def begin(self) -> date:
        """First day on which units are assigned."""
        return self.phases.ab.begin if self.phases.aa is None else self.phases.aa.begin

    @property
    def pre_begin(self) -> date:
        """First day whose rows reduce the variance."""
        return self.begin - timedelta(days=self.pre_period)

    def content(self) -> dict[str, Any]:
        """Return it as plain values, as `from_content` reads them."""
        return self.model_dump(mode="json", by_alias=True)

    def sign(self, metric: str) -> int:
        """Return 1 where more of a metric is better, -1 where less is."""
        declared = {one.metric: one.sign for one in (self.primary, *self.guardrails)}
        return declared[metric] if metric in declared else (1 if BETTER[metric] == "higher" else -1)


def from_content(content: Any, where: str) -> Definition:
    """Return the definition that plain values describe. Raises `UsageError`, which names the key that is wrong."""
    try:
        return Definition.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        words = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{key}: {words}" if key else words, where=where) from None


def load_definition(path: str | Path) -> Definition:
    """Read a definition from YAML.

    Raises:
        UnreadableFile: it is missing or not YAML.
        UsageError: names the key that is unknown or wrong.
    """
    return from_content(read_yaml(path, "the definition"), str(path).rpartition("/")[2])
