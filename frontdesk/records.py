"""The data contracts: how a table's columns are read, what a prediction and a feedback look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk.errors import BadColumns, UnreadableFile

RESERVED = ("id", "created_at", "contact_type", "reply", "row")
"""Names that a snapshot uses itself; no input column may take one of them."""


class TicketColumns(BaseModel):
    """Which columns of a table are a ticket's inputs and labels.

    A label column left out makes no head. `created_at` is an input too (labels change their names over the years)
    unless `use_created_at` is false.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | None = None
    created_at: str | None = None
    text: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    contact_type: str | None = None
    separator: str = " > "
    reply: str | None = None
    use_created_at: bool = True

    @model_validator(mode="after")
    def _fits(self) -> TicketColumns:
        inputs = self.inputs
        if not inputs:
            raise ValueError("no input column: name at least one under text, categorical or numeric")
        doubles = sorted({name for name in inputs if inputs.count(name) > 1})
        if doubles:
            raise ValueError(f"columns named twice among the inputs: {', '.join(doubles)}")
        both = sorted(set(self.heads.values()) & set(inputs))
        if both:
            raise ValueError(f"a label cannot be an input too: {', '.join(both)}")
        reserved = sorted(set(RESERVED) & set(inputs))
        if reserved:
            raise ValueError(f"input columns cannot be called {', '.join(reserved)}: rename them in the table")
        if not self.separator:
            raise ValueError("the separator of the label tree cannot be empty")
        return self

    @property
    def inputs(self) -> list[str]:
        """Every input column: texts, then categories, then numbers."""
        return [*self.text, *self.categorical, *self.numeric]

    @property
    def heads(self) -> dict[str, str]:
        """``{head: source column}`` of the labels that the table has."""
        named = {"contact_type": self.contact_type, "reply": self.reply}
        return {head: column for head, column in named.items() if column is not None}

    @property
    def roles(self) -> dict[str, str]:
        """``{name in the snapshot: source column}`` of every column that is read."""
        roles = {name: name for name in self.inputs}
        for role in ("id", "created_at"):
            if (column := getattr(self, role)) is not None:
                roles[role] = column
        return roles | self.heads


DEFAULT_TICKET_COLUMNS = TicketColumns(
    id="id",
    created_at="created_at",
    text=("subject", "body"),
    categorical=("channel", "language", "product", "region"),
    numeric=("account_age_days", "order_total"),
    contact_type="contact_type",
    reply="reply",
)
"""The columns of the simulator, used where no mapping is given."""


def load_columns(path: str | None) -> TicketColumns:
    """Read a column mapping (YAML); None means the simulator's columns.

    Raises:
        UnreadableFile: the file is missing or not YAML.
        BadColumns: an unknown key, a wrong type, an input that is also a label.
    """
    if path is None:
        return DEFAULT_TICKET_COLUMNS
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFile(
            "the column mapping cannot be read", where=path, remedy="It must be a YAML file"
        ) from error
    if not isinstance(content, dict):
        raise BadColumns("the column mapping is not a YAML mapping", where=path)
    return parse_columns(content, where=path)


def parse_columns(content: dict[str, Any], *, where: str = "columns") -> TicketColumns:
    """Build a column mapping from plain values. Raises `BadColumns` that names the key."""
    try:
        return TicketColumns.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        words = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        known = ", ".join(TicketColumns.model_fields)
        raise BadColumns(f"{key}: {words}" if key else words, where=where, remedy=f"Known keys: {known}") from error


class Alternative(BaseModel):
    """A label and its calibrated probability."""

    label: str
    confidence: float


class LabelPrediction(BaseModel):
    """What one head says of one record.

    Attributes:
        label: the most likely label, always one of the catalogue.
        confidence: its calibrated probability.
        alternatives: the next labels, best first.
        decision: ``auto`` (act without a person), ``suggest`` (show it), ``abstain`` (route to a person).
        reason: a stable word for the decision.
        backoff: for a label tree, the deepest ancestor that is certain enough where the leaf is not.
    """

    label: str
    confidence: float
    alternatives: list[Alternative]
    decision: Literal["auto", "suggest", "abstain"]
    reason: str
    backoff: Alternative | None = None


class Prediction(BaseModel):
    """The answer for one record."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    labels: dict[str, LabelPrediction] = Field(default_factory=dict)
