"""The parameters of a run: what ``--set KEY=VALUE`` may set, whatever the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from frontdesk.errors import UsageError


def _address(value: str) -> str:
    """Make a path absolute: the steps of a run may stand in other folders."""
    return value if "://" in value else str(Path(value).absolute())


Address = Annotated[str, AfterValidator(_address)]
"""A path or ``s3://``."""


class RunParameters(BaseModel):
    """What every recipe's run has; a recipe adds its own. Stored in the bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    split: Literal["auto", "time", "random"] = "auto"
    """``time``: the newest `test_share` is the test set. ``random``: stratified by the first head. ``auto``: by time
    where the table has time stamps, else random."""
    test_share: float = Field(0.2, gt=0, lt=1)

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> Self:
        """Read ``KEY=VALUE`` pairs; a key may have a dot (``encoder.name``). Raises `UsageError` that names the key."""
        values: dict[str, Any] = {}
        for pair in pairs:
            key, sign, value = pair.partition("=")
            if not sign:
                raise UsageError(f"--set {pair} has no '='", remedy="Write --set KEY=VALUE")
            values[key.strip()] = value.strip()
        return cls.of(values)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Validate parameter values. Raises `UsageError` that names the key."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            words = "there is no such parameter" if first["type"] == "extra_forbidden" else first["msg"]
            known = ", ".join(field.alias or name for name, field in cls.model_fields.items())
            raise UsageError(f"parameter {key}: {words}", remedy=f"Known parameters: {known}") from error


class LabelParameters(RunParameters):
    """What the runs of recipes that answer with labels have."""

    taxonomy: Address | None = None
    """Label file, a path or ``s3://``: the labels of rows of every age are brought to one of its versions."""
    taxonomy_version: str | None = None
    """The version in force on this day (ISO); the newest without it."""
