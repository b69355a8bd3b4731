"""The columns of a table of tickets."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from frontdesk.records.contract import require_distinct
from frontdesk.records.features import FeatureColumns

RESERVED = ("id", "created_at", "contact_type", "reply", "row")
"""Names that a snapshot uses itself; no input column may take one of them."""


class TicketColumns(BaseModel):
    """Which columns of a table are a ticket's inputs and labels.

    A label column left out makes no head. `created_at` is an input too (labels change their names over the years)
    unless `use_created_at` is false. The names under `features` become inputs beside the table's own columns; a table
    or a request that holds such a column itself is believed.
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
    features: FeatureColumns | None = None

    known_heads: ClassVar[tuple[str, ...]] = ("contact_type", "reply")
    trees: ClassVar[tuple[str, ...]] = ("contact_type",)

    @model_validator(mode="before")
    @classmethod
    def _with_features(cls, values: Any) -> Any:
        """Add the features to the inputs of their kind; what has a wrong type is left to the check of its field."""
        features = values.get("features") if isinstance(values, dict) else None
        if isinstance(features, FeatureColumns):
            features = features.model_dump()
        if not isinstance(features, dict):
            return values
        added = {}
        for role in ("categorical", "numeric"):
            own, more = values.get(role) or (), features.get(role) or ()
            if isinstance(own, list | tuple) and isinstance(more, list | tuple):
                added[role] = (*own, *(name for name in more if name not in own))
        return values | added

    @model_validator(mode="after")
    def _fits(self) -> TicketColumns:
        inputs = self.inputs
        if not inputs:
            raise ValueError("no input column: name at least one under text, categorical or numeric")
        require_distinct(inputs, self.heads)
        if self.features is not None and self.created_at is None:
            raise ValueError("features are joined by time: name created_at")
        if numbers := sorted(set(self.keys_of_entities) & set(self.numeric)):
            raise ValueError(f"the key of an entity cannot be a number: {', '.join(numbers)}")
        reserved = sorted(set(RESERVED) & {*inputs, *self.keys_of_entities})
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
    def keys(self) -> tuple[str, ...]:
        """Columns that hold keys of entities and are no inputs."""
        return tuple(name for name in self.keys_of_entities if name not in self.inputs)

    @property
    def keys_of_entities(self) -> tuple[str, ...]:
        """Columns that hold keys of entities."""
        return () if self.features is None else tuple(dict.fromkeys(self.features.entities.values()))

    @property
    def heads(self) -> dict[str, str]:
        """``{head: source column}`` of the labels that the table has."""
        named = {head: getattr(self, head) for head in self.known_heads}
        return {head: column for head, column in named.items() if column is not None}

    @property
    def roles(self) -> dict[str, str]:
        """``{name in the snapshot: source column}`` of every column that is read."""
        roles = {name: name for name in (*self.inputs, *self.keys)}
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
