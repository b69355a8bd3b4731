"""Column mappings from YAML and JSON, by recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from frontdesk.errors import BadColumns, UnreadableFile, UsageError
from frontdesk.records.email import DEFAULT_EMAIL_COLUMNS, EmailColumns
from frontdesk.records.ticket import DEFAULT_TICKET_COLUMNS, TicketColumns

_DEFAULTS: dict[str, TicketColumns | EmailColumns] = {
    "ticket": DEFAULT_TICKET_COLUMNS,
    "email": DEFAULT_EMAIL_COLUMNS,
}


def default_columns(recipe: str) -> TicketColumns | EmailColumns:
    """Return the columns of a recipe's simulator. Raises `UsageError` for a recipe without a column mapping."""
    if recipe not in _DEFAULTS:
        raise UsageError(f"there is no recipe {recipe!r}", remedy=f"Recipes: {', '.join(sorted(_DEFAULTS))}")
    return _DEFAULTS[recipe]


def load_columns(path: str | None, recipe: str = "ticket") -> TicketColumns | EmailColumns:
    """Read a column mapping (YAML); None means the columns of the recipe's simulator.

    Raises:
        UnreadableFile: the file is missing or not YAML.
        BadColumns: an unknown key, a wrong type, an input that is also a label.
        UsageError: there is no such recipe.
    """
    if path is None:
        return default_columns(recipe)
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnreadableFile(
            "the column mapping cannot be read", where=path, remedy="It must be a YAML file"
        ) from error
    if not isinstance(content, dict):
        raise BadColumns("the column mapping is not a YAML mapping", where=path)
    return parse_columns(content, where=path, recipe=recipe)


def parse_columns(
    content: dict[str, Any], *, where: str = "columns", recipe: str = "ticket"
) -> TicketColumns | EmailColumns:
    """Build a column mapping from plain values.

    Raises:
        BadColumns: names the key that is unknown or wrong.
        UsageError: there is no such recipe.
    """
    kind = type(default_columns(recipe))
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        words = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        known = ", ".join(_keys(kind))
        raise BadColumns(f"{key}: {words}" if key else words, where=where, remedy=f"Known keys: {known}") from error


def _keys(kind: type[BaseModel]) -> list[str]:
    """Return the keys of a mapping, those of a nested one with their parent's name."""
    keys = []
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += [f"{name}.{key}" for key in _keys(inner)]
        else:
            keys.append(name)
    return keys
