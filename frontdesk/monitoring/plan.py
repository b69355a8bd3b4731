"""What is watched of a recipe and how, and when and on what it is trained again: a file (YAML), or the defaults.

.. code-block:: yaml

    format: 1
    recipes:
      ticket:
        days: 7
        slices: [language, channel]
        retraining: {feedback: true, columns: tickets.yaml, cool_down_days: 7, budget: 4}
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from frontdesk.errors import UsageError
from frontdesk.monitoring.retraining import Limits
from frontdesk.parameters import Address
from frontdesk.recipes import names
from frontdesk.settings import settings
from frontdesk.yaml_file import read_yaml

Positive = Annotated[float, Field(gt=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetrainingPlan(_Entry):
    """On what a recipe is trained again, and how often at most.

    Attributes:
        data: table with labels, a path or ``s3://``; None for none.
        feedback: the labelled cases of the database are training rows too; without ``data``, the only ones.
        columns: file of the column mapping; None for the simulator's columns.
        set: parameters of the run.
        approval: ``required``: a person approves the model before it is deployed.
        limits: see `frontdesk.monitoring.retraining.Limits`.
    """

    data: Address | None = None
    feedback: bool = True
    columns: Address | None = None
    set: dict[str, Any] = {}
    approval: Literal["none", "required"] = "none"
    cool_down_days: float = Field(default=7, ge=0)
    budget: int = Field(default=4, ge=0)
    period_days: Positive = 30
    lease_days: Positive = 8

    @property
    def limits(self) -> Limits:
        """The limits of the decision."""
        days = (self.cool_down_days, self.period_days, self.lease_days)
        cool_down, period, lease = (timedelta(days=value) for value in days)
        return Limits(cool_down, self.budget, period, lease)


class WatchPlan(_Entry):
    """How a recipe is watched.

    Attributes:
        days: length of a window by time; windows lie on one grid, so a second look at one window is no second window.
        rows: length of a window by count instead of `days`.
        reference_windows: how many windows from a model's first answer on are what is normal, at most.
        least: rows of a window (of the judged one and of its reference) below which nothing is said.
        most: rows of a window that are looked at, evenly spread over it.
        delay_days: how long a case has to close before its label counts.
        persistence: windows in a row in which a change must be seen to be drift.
        false_alarm_rate: of one window without any drift.
        slices: fields of the log whose values are watched separately: ``line``, ``client`` or a logged feature.
        most_slices: values of each, the most frequent ones of the reference.
    """

    days: Positive = 7
    rows: int | None = Field(default=None, ge=20)
    reference_windows: int = Field(default=4, ge=1)
    least: int = Field(default=200, ge=20)
    most: int = Field(default=20_000, ge=100)
    delay_days: float = Field(default=3, ge=0)
    persistence: int = Field(default=2, ge=1)
    false_alarm_rate: float = Field(default=0.01, gt=0, le=0.5)
    slices: tuple[str, ...] = ()
    most_slices: int = Field(default=5, ge=1)
    retraining: RetrainingPlan = RetrainingPlan()

    @property
    def length(self) -> timedelta:
        """Length of a window by time."""
        return timedelta(days=self.days)

    @property
    def delay(self) -> timedelta:
        """How long a case has to close."""
        return timedelta(days=self.delay_days)


class _File(_Entry):
    format: Literal[1]
    recipes: dict[str, WatchPlan]


def plan_of(address: str | None, recipe: str) -> WatchPlan:
    """Return how a recipe is watched: what the file says of it, else the defaults.

    Args:
        address: path or ``s3://``; empty for the one of the settings.

    Raises:
        UnreadableFile: it is missing, or not YAML.
        UsageError: an entry is wrong; file and field are named.
    """
    address = address or settings().monitoring
    if address is None:
        return WatchPlan()
    name = address.rpartition("/")[2]
    content = read_yaml(address, "the monitoring file")
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(first["msg"], where=".".join([name, *map(str, first["loc"])])) from None
    if unknown := sorted(set(file.recipes) - set(names())):
        raise UsageError(
            f"there is no recipe {unknown[0]!r}", where=f"{name}.recipes", remedy=f"Recipes: {', '.join(names())}"
        )
    return file.recipes.get(recipe, WatchPlan())
