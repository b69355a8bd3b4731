"""The columns of a table of tickets."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from frontdesk.records.contract import require_distinct

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

    known_heads: ClassVar[tuple[str, ...]] = ("contact_type", "reply")
    trees: ClassVar[tuple[str, ...]] = ("contact_type",)

    @model_validator(mode="after")
    def _fits(self) -> TicketColumns:
        inputs = self.inputs
        if not inputs:
            raise ValueError("no input column: name at least one under text, categorical or numeric")
        require_distinct(inputs, self.heads)
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
        named = {head: getattr(self, head) for head in self.known_heads}
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
