"""The desks that may call us: a YAML file with a version, its secrets in files of their own.

version: "2026-11-22"
allowed_hosts: [acme.zendesk.com]
desks:
  zendesk:                                   # POST /v1/webhooks/zendesk
    secret_files: [secrets/zendesk-new, secrets/zendesk-old]
    inputs: {subject: subject, body: body}   # field of our record: field of the desk
    labels:
      contact_type: {field: "360001234", separator: "::"}
    own_actors: ["9001"]                     # the account that our writes are made with
    write_back: {address: "https://acme.zendesk.com", account: robot@acme.example, token_file: secrets/token}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk.errors import UnreadableFile, UsageError
from frontdesk.serving.gateway.desks.outgoing import require_allowed

OUR_SEPARATOR = " > "
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelPlace(_Frozen):
    """Where a desk keeps a label.

    Attributes:
        field: the desk's name or number of the field.
        separator: what divides the levels of a label there, where it is another than ours.
        values: ``{our label: value of the desk}`` for those that a separator does not explain.
    """

    field: _Text
    separator: _Text = OUR_SEPARATOR
    values: dict[str, str] = {}

    def value(self, label: str) -> str:
        """Return what the desk calls one of our labels."""
        return self.values.get(label, label.replace(OUR_SEPARATOR, self.separator))

    def label(self, value: str) -> str:
        """Return what we call a value of the desk."""
        named = {theirs: ours for ours, theirs in self.values.items()}
        return named.get(value, value.replace(self.separator, OUR_SEPARATOR))


class WriteBack(_Frozen):
    """How answers are written to a desk.

    Attributes:
        address: scheme and host, and for the generic desk the whole address.
        token_file: file of the desk's API token.
        account: who we are there: the agent's mail (Zendesk), the account's number (Chatwoot), the user's number of
            notes (FreeScout).
        level: the smallest automation level whose label is set; below it, labels are only named in the note.
        seconds: in which one case must be written, retries included.
    """

    address: _Text
    token_file: _Text
    account: str = ""
    level: Literal["automatic", "preselect"] = "automatic"
    seconds: float = Field(20.0, gt=0, le=120)


class DeskConfiguration(_Frozen):
    """One desk.

    Attributes:
        kind: the adapter; without it, the desk's name.
        recipe: the model that is asked.
        secret_files: of the signature; more than one while one replaces another.
        window_seconds: how old a signed time may be.
        inputs: ``{field of our record: field of the desk}``.
        labels: ``{head: place}``: read when a case is closed, set when we answer.
        own_actors: identifiers of the account that writes for us.
        marker: tag that says that we have answered.
        write_back: None where answers are only logged.
    """

    kind: Literal["chatwoot", "freescout", "generic", "zammad", "zendesk"]
    recipe: Literal["email", "ticket"] = "ticket"
    secret_files: tuple[_Text, ...] = Field(min_length=1, max_length=4)
    window_seconds: float = Field(300.0, ge=10, le=86_400)
    inputs: dict[str, _Text] = {"subject": "subject", "body": "body"}
    labels: dict[str, LabelPlace] = {}
    own_actors: frozenset[str] = frozenset()
    marker: _Name = "frontdesk"
    write_back: WriteBack | None = None


class DesksFile(_Frozen):
    """Every desk.

    Attributes:
        version: named in the log beside what was done by it.
        allowed_hosts: the only hosts that we ever write to.
    """

    version: _Text
    allowed_hosts: frozenset[str] = frozenset()
    desks: dict[_Name, DeskConfiguration]

    @model_validator(mode="before")
    @classmethod
    def _kinds(cls, content: object) -> object:
        """A desk called as its kind need not say so."""
        if isinstance(content, dict) and isinstance(desks := content.get("desks"), dict):
            named = {
                name: {"kind": name, **values} if isinstance(values, dict) else values for name, values in desks.items()
            }
            return content | {"desks": named}
        return content

    @model_validator(mode="after")
    def _hosts(self) -> DesksFile:
        for name, desk in self.desks.items():
            if desk.write_back is not None:
                try:
                    require_allowed(desk.write_back.address, self.allowed_hosts)
                except UsageError as error:
                    raise ValueError(f"desks.{name}.write_back.address: {error.message}") from error
        return self


def load_desks(path: Path) -> DesksFile:
    """Read the desks.

    Raises:
        UnreadableFile: the file is missing or not YAML.
        UsageError: names the key that is unknown or wrong.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnreadableFile("the file of desks cannot be read", where=path.name, remedy="It must be YAML") from error
    try:
        return DesksFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        words = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{key}: {words}" if key else words, where=path.name) from None


def read_secret(path: Path) -> bytes:
    """Return the secret in a file, without the end of its line. Raises `UsageError` for none or an empty one."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise UsageError("the file of a secret cannot be read", where=path.name) from error
    if not secret:
        raise UsageError("the file of a secret is empty", where=path.name)
    return secret
