"""The columns of a table of emails."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from frontdesk.records.contract import require_distinct


class EmailLabels(BaseModel):
    """The source columns of an email's labels; one left out makes no head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    business_line: str | None = None
    queue: str | None = None
    topic: str | None = None


class EmailColumns(BaseModel):
    """Which columns of a table are an email's parts and labels.

    An email always has the same parts, so a snapshot and a request call them ``subject``, ``body`` and
    ``custodian_bank``, whatever the table calls them. The time it came in decides the split and the version of its
    labels; it is no input of the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | None = None
    subject: str | None = None
    body: str | None = None
    custodian_bank: str | None = None
    received_at: str | None = None
    labels: EmailLabels = EmailLabels()

    known_heads: ClassVar[tuple[str, ...]] = tuple(EmailLabels.model_fields)
    numeric: ClassVar[tuple[str, ...]] = ()
    features: ClassVar[None] = None
    keys: ClassVar[tuple[str, ...]] = ()
    use_created_at: ClassVar[bool] = False
    separator: ClassVar[str] = " > "
    trees: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _fits(self) -> EmailColumns:
        if not self.text:
            raise ValueError("no text column: name subject, body or both")
        require_distinct([self.roles[name] for name in self.inputs], self.heads)
        return self

    @property
    def text(self) -> tuple[str, ...]:
        """Those of ``subject`` and ``body`` that the table has."""
        return tuple(name for name in ("subject", "body") if getattr(self, name) is not None)

    @property
    def categorical(self) -> tuple[str, ...]:
        """``custodian_bank`` where the table has it."""
        return () if self.custodian_bank is None else ("custodian_bank",)

    @property
    def created_at(self) -> str | None:
        """The column of `received_at`."""
        return self.received_at

    @property
    def inputs(self) -> list[str]:
        """Every input: texts, then the bank."""
        return [*self.text, *self.categorical]

    @property
    def heads(self) -> dict[str, str]:
        """``{head: source column}`` of the labels that the table has."""
        named = {head: getattr(self.labels, head) for head in self.known_heads}
        return {head: column for head, column in named.items() if column is not None}

    @property
    def roles(self) -> dict[str, str]:
        """``{name in the snapshot: source column}`` of every column that is read."""
        roles: dict[str, str] = {name: getattr(self, name) for name in self.inputs}
        if self.id is not None:
            roles["id"] = self.id
        if self.received_at is not None:
            roles["created_at"] = self.received_at
        return roles | self.heads


DEFAULT_EMAIL_COLUMNS = EmailColumns(
    id="id",
    subject="subject",
    body="body",
    custodian_bank="custodian_bank",
    received_at="received_at",
    labels=EmailLabels(business_line="business_line", queue="queue", topic="topic"),
)
"""The columns of the simulator, used where no mapping is given."""
