"""Schedules declared in a file, brought to a pipeline server as recurring runs: applied again, nothing changes.

.. code-block:: yaml

    format: 1
    store: s3://frontdesk/store
    registry: http://mlflow:5000
    schedules:
      - {name: email-monthly, pipeline: lifecycle, recipe: email, cron: "0 3 1 * *", data: s3://desk/emails.parquet}
      - {name: ticket-watch, pipeline: monitoring, recipe: ticket, cron: "10 * * * *"}

Only recurring runs that carry our mark are ever touched. The server cannot change one, so a changed schedule is made
anew and the old one deleted, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk.components.server import Recurring
from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.parameters import Address
from frontdesk.recipes import jobs, names
from frontdesk.records import load_columns
from frontdesk.settings import settings
from frontdesk.storage import canonical_json, digest
from frontdesk.yaml_file import read_yaml

MARK = "frontdesk schedule "
_DIGITS = 16
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")
Action = Literal["create", "update", "keep", "delete"]


def six_fields(cron: str) -> str:
    """Return a cron expression as the server reads it, seconds first.

    Raises:
        ValueError: it does not have five fields (minute, hour, day, month, weekday) of numbers, ``*``, lists, ranges
            and steps.
    """
    fields = cron.split()
    if len(fields) != len(_RANGES):
        raise ValueError("must have five fields: minute, hour, day of the month, month, day of the week")
    for field, (least, most) in zip(fields, _RANGES, strict=True):
        for part in field.split(","):
            found = _PART.fullmatch(part)
            values = [int(value) for value in (found.groups() if found else ()) if value is not None]
            if found is None or not all(least <= value <= most for value in values[:2]) or 0 in values[2:]:
                raise ValueError(f"{part!r} is no field between {least} and {most}")
            if found[2] is not None and int(found[1]) > int(found[2]):
                raise ValueError(f"{part!r} runs backwards")
            if found[3] == "0":
                raise ValueError(f"{part!r} has no step")
    fields[4] = re.sub(r"(?<![/\d])7(?!\d)", "0", fields[4])  # Sunday has two numbers; the server knows one
    return " ".join(["0", *fields])


def _checked(cron: str) -> str:
    six_fields(cron)
    return cron


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(_Entry):
    """One pipeline at fixed times.

    Attributes:
        name: of the recurring run.
        pipeline: ``lifecycle`` and ``monitoring`` are a recipe's, ``features`` is everybody's.
        cron: five fields, UTC.
        data, test, columns, set, approval: of a lifecycle, as of ``frontdesk run``; ``data`` is read at each time.
        plan: of monitoring: the monitoring file, where the steps find it.
        retrain: of monitoring: whether a retraining that is asked for is started.
        features: of the feature pipeline: the folder of the feature tables.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    pipeline: Literal["lifecycle", "monitoring", "features"] = "lifecycle"
    recipe: str | None = None
    cron: Annotated[str, AfterValidator(_checked)]
    data: Address | None = None
    test: Address | None = None
    columns: Address | None = None
    set: dict[str, Any] = {}
    approval: Literal["none", "required"] = "none"
    plan: str = ""
    retrain: bool = True
    features: str = ""
    enabled: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Schedule:
        if self.pipeline != "features" and self.recipe not in names():
            raise ValueError(f"{self.pipeline} needs a recipe: {', '.join(names())}")
        if self.pipeline == "lifecycle" and self.data is None:
            raise ValueError("a lifecycle needs data")
        return self

    @property
    def pipeline_name(self) -> str:
        """The pipeline's name on the server."""
        return "features-materialise" if self.pipeline == "features" else f"{self.recipe}-{self.pipeline}"

    def arguments(self, store: str | None, registry: str | None) -> dict[str, Any]:
        """Return the arguments of each run.

        Args:
            store, registry: of the cluster; a lifecycle needs both.

        Raises:
            UsageError: one is missing, or a parameter or a column mapping is wrong.
        """
        if self.pipeline == "features":
            return {"features": self.features}
        recipe = self.recipe or ""
        store, registry = cluster_addresses(store, registry, self.name)
        if self.pipeline == "monitoring":
            return {"plan": self.plan, "retrain": self.retrain, "store": store, "registry": registry}
        return lifecycle_arguments(
            recipe,
            data=self.data or "",
            test=self.test,
            columns=self.columns,
            parameters=jobs(recipe).parameters_type.of(self.set),
            store=store,
            registry=registry,
            approval=self.approval,
            reason="schedule",
        )


def cluster_addresses(store: str | None, registry: str | None, where: str) -> tuple[str, str]:
    """Return the store and the registry of a cluster, those of the settings in place of what is not named.

    Raises:
        UsageError: one is named nowhere.
    """
    store, registry = store or settings().store, registry or settings().mlflow
    if store is None or registry is None:
        raise UsageError(
            "a store and a registry that the cluster reaches are needed",
            where=where,
            remedy="Set FRONTDESK_STORE and FRONTDESK_MLFLOW, or name them in the file of schedules",
        )
    return store, registry


def lifecycle_arguments(
    recipe: str,
    *,
    data: str,
    test: str | None,
    columns: str | None,
    parameters: BaseModel,
    store: str,
    registry: str,
    approval: str,
    reason: str,
) -> dict[str, Any]:
    """Return the arguments of a lifecycle on a server. Raises `UsageError`, `BadColumns` for a wrong mapping."""
    return {
        "data": data,
        "test": test or "",
        "columns": canonical_json(load_columns(columns, recipe).model_dump(mode="json")).decode(),
        "parameters": canonical_json(parameters.model_dump(mode="json")).decode(),
        "store": store,
        "registry": registry,
        "approval": approval,
        "reason": reason,
    }


class ScheduleFile(_Entry):
    """The schedules of a desk.

    Attributes:
        store, registry: as the cluster reaches them; the settings' where they are missing.
    """

    format: Literal[1]
    store: str | None = None
    registry: str | None = None
    schedules: tuple[Schedule, ...]

    @model_validator(mode="after")
    def _distinct(self) -> ScheduleFile:
        found = [one.name for one in self.schedules]
        if doubled := sorted({name for name in found if found.count(name) > 1}):
            raise ValueError(f"{doubled[0]} is there twice")
        return self


def load_schedules(address: str) -> ScheduleFile:
    """Read a file of schedules. Raises `UnreadableFile`, and `UsageError` with entry and field."""
    name = address.rpartition("/")[2]
    return parse_schedules(read_yaml(address, "the schedule file"), where=name)


def parse_schedules(content: Any, *, where: str) -> ScheduleFile:
    """Check plain values. Raises `UsageError` with entry and field."""
    try:
        return ScheduleFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(
            first["msg"].removeprefix("Value error, "), where=".".join([where, *map(str, first["loc"])])
        ) from None
    except FrontdeskError as error:
        raise UsageError(error.message, where=where) from error


@dataclass(frozen=True)
class Desired:
    """A recurring run as it should be.

    Attributes:
        pipeline: name on the server; version: digest of its file.
        cron: six fields.
    """

    name: str
    pipeline: str
    version: str
    cron: str
    arguments: Mapping[str, Any]
    enabled: bool

    @property
    def description(self) -> str:
        """The mark: whatever changes about the recurring run, this text changes."""
        content = [self.pipeline, self.version, self.cron, dict(self.arguments), self.enabled]
        return MARK + digest(content)[:_DIGITS]


@dataclass(frozen=True)
class Change:
    """What to do about one recurring run.

    Attributes:
        desired: None for one that is to be deleted.
        existing: ids of those that go, once the desired one is there.
    """

    action: Action
    name: str
    desired: Desired | None = None
    existing: tuple[str, ...] = ()


def reconcile(desired: Sequence[Desired], existing: Sequence[Recurring], *, whole: bool) -> list[Change]:
    """Return what brings a server from what is there to what should be, by name. A pure function.

    Args:
        existing: every recurring run of the server; those without our mark are nobody's concern here.
        whole: whether the desired ones are all there should be, so that others of ours are deleted.
    """
    ours: dict[str, list[Recurring]] = {}
    for one in sorted(existing, key=lambda one: (one.name, one.id)):
        if one.description.startswith(MARK):
            ours.setdefault(one.name, []).append(one)
    changes = []
    for wish in sorted(desired, key=lambda wish: wish.name):
        found = ours.pop(wish.name, [])
        same = [one for one in found if one.description == wish.description and one.enabled == wish.enabled][:1]
        rest = tuple(one.id for one in found if one not in same)
        action: Action = "create" if not found else "keep" if same and not rest else "update"
        changes.append(Change(action, wish.name, wish, rest))
    if whole:
        changes += [
            Change("delete", name, None, tuple(one.id for one in found)) for name, found in sorted(ours.items())
        ]
    return changes
