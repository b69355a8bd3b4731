"""What every recipe with labels says of a table's columns, whatever its mapping looks like in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from frontdesk.records.features import FeatureColumns


class Columns(Protocol):
    """A column mapping. Names are those of the snapshot and of a request; `roles` leads to the table's own names."""

    @property
    def text(self) -> tuple[str, ...]:
        """Text inputs, joined in this order."""

    @property
    def categorical(self) -> tuple[str, ...]:
        """Inputs with levels."""

    @property
    def numeric(self) -> tuple[str, ...]:
        """Inputs that are numbers."""

    @property
    def created_at(self) -> str | None:
        """The table's column of time stamps, None where it has none. A snapshot calls it ``created_at``."""

    @property
    def use_created_at(self) -> bool:
        """Whether the time is an input of the model."""

    @property
    def features(self) -> FeatureColumns | None:
        """Features of a feature store that are inputs too; a table need not hold their columns."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that are read for the keys of the features' entities only."""

    @property
    def separator(self) -> str:
        """What divides the levels of a label in `trees`."""

    @property
    def trees(self) -> tuple[str, ...]:
        """The heads whose labels are paths."""

    @property
    def known_heads(self) -> tuple[str, ...]:
        """Every head that a mapping of this recipe can name."""

    @property
    def inputs(self) -> list[str]:
        """Every input: texts, then categories, then numbers."""

    @property
    def heads(self) -> dict[str, str]:
        """``{head: source column}`` of the labels that the table has."""

    @property
    def roles(self) -> dict[str, str]:
        """``{name in the snapshot: source column}`` of every column that is read."""

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Return plain values, which `parse_columns` reads back."""


def require_distinct(inputs: Sequence[str], heads: Mapping[str, str]) -> None:
    """Check the source columns of inputs and labels. Raises `ValueError` for one named twice, or under both."""
    if not inputs:
        raise ValueError("no input column")
    doubles = sorted({name for name in inputs if inputs.count(name) > 1})
    if doubles:
        raise ValueError(f"columns named twice among the inputs: {', '.join(doubles)}")
    both = sorted(set(heads.values()) & set(inputs))
    if both:
        raise ValueError(f"a label cannot be an input too: {', '.join(both)}")
