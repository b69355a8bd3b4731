"""The label file: per head its labels at the start, and a dated list of what became of them.

.. code-block:: yaml

    format: 1
    start: 2020-01-01
    heads:
      queue:
        labels: [Roads, {id: parks, name: Parks and gardens, description: trees, benches, playgrounds}]
    changes:
      - {date: 2021-05-01, head: queue, rename: {label: Roads, name: Roads and bridges}}
      - {date: 2021-05-01, head: queue, retire: {label: parks}}

A label has an id for ever and a name that may change; tables and answers hold names. Where only a text is given, it is
both. This module knows the form of the file; whether its changes make sense is for `frontdesk.taxonomy.history`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from frontdesk.errors import BadTaxonomy
from frontdesk.yaml_file import read_yaml

ASK = "ask"
"""What a split without a rule for a row says: only a person can tell."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Entry):
    """A label as it begins.

    Attributes:
        id: stable; never used again, even when the label is gone.
        name: what tables and answers call it. Of a label tree: the whole path.
        description, examples: what a new label starts from while it has few rows.
    """

    id: Text
    name: Text
    description: Text | None = None
    examples: tuple[Text, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"id": value, "name": value}
        if isinstance(value, dict) and "id" in value:
            return {"name": value["id"]} | value
        return value


class Head(_Entry):
    """One head's labels at the start. With a separator they are paths of a tree."""

    labels: tuple[Label, ...] = ()
    separator: Annotated[str, StringConstraints(min_length=1)] | None = None


class Rename(_Entry):
    """A label gets another name; or a branch of a tree, and with it every label at or below it."""

    label: Text | None = None
    branch: Text | None = None
    name: Text

    @model_validator(mode="after")
    def _one(self) -> Rename:
        if (self.label is None) == (self.branch is None):
            raise ValueError("name either a label or a branch")
        return self


class Merge(_Entry):
    """Labels become one: a new one, one of them, or another that is there."""

    labels: tuple[Text, ...] = Field(min_length=1)
    into: Text | Label


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Rule(_Entry):
    """A row whose columns have one of these values each belongs to a part of a split label.

    Attributes:
        when: ``{column: values}``, by the snapshot's names; other heads are columns too.
        to: id of the part.
    """

    when: dict[Text, Annotated[tuple[Text, ...], BeforeValidator(_several), Field(min_length=1)]] = Field(min_length=1)
    to: Text


class Split(_Entry):
    """A label becomes several: new ones, others that are there, or itself with a narrower meaning.

    Attributes:
        rules: the first that fits a row decides.
        otherwise: the part of the rows that no rule fits, or ``ask``: they have no label until a person gives one.
    """

    label: Text
    into: tuple[Text | Label, ...] = Field(min_length=2)
    rules: tuple[Rule, ...] = ()
    otherwise: Text = ASK


class Retire(_Entry):
    """A label ends without a successor."""

    label: Text


KINDS = ("add", "rename", "merge", "split", "retire")


class Change(_Entry):
    """One change of one head on one day; exactly one of the kinds."""

    date: date
    head: Text
    add: Label | None = None
    rename: Rename | None = None
    merge: Merge | None = None
    split: Split | None = None
    retire: Retire | None = None

    @model_validator(mode="after")
    def _one(self) -> Change:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"a change is exactly one of {', '.join(KINDS)}")
        return self

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class TaxonomyFile(_Entry):
    """The whole file. `start` is the day from which the labels under `heads` count; older rows are read by them too."""

    format: Literal[1] = 1
    start: date
    heads: dict[Text, Head] = Field(min_length=1)
    changes: tuple[Change, ...] = ()


def read_file(address: str) -> TaxonomyFile:
    """Read a label file, YAML or JSON; a path or an ``s3://`` address.

    Raises:
        UnreadableFile: it is missing, or neither.
        StorageError: the object store does not answer.
        BadTaxonomy: its form is wrong; the entry and the field are named.
    """
    return parse_file(read_yaml(address, "the label file"), where=address.rpartition("/")[2])


def parse_file(content: Any, *, where: str = "taxonomy") -> TaxonomyFile:
    """Build a label file from plain values. Raises `BadTaxonomy` that names the entry and the field."""
    try:
        return TaxonomyFile.model_validate(content)
    except ValidationError as error:
        # Of a value that could be a text or a label, the label's errors say more.
        first = max(error.errors(), key=lambda one: len(one["loc"]))
        entry = ".".join(str(part) for part in first["loc"])
        words = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise BadTaxonomy(f"{entry}: {words}" if entry else words, where=where) from error
