"""Column mappings from YAML and JSON, by recipe."""

from __future__ import annotations

import importlib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from frontdesk.errors import BadColumns, UsageError
from frontdesk.yaml_file import read_yaml

_DEFAULTS = {
    "email": "frontdesk.records.email:DEFAULT_EMAIL_COLUMNS",
    "intent": "frontdesk.intent.columns:DEFAULT_INTENT_COLUMNS",
    "ticket": "frontdesk.records.ticket:DEFAULT_TICKET_COLUMNS",
}


def default_columns(recipe: str) -> Any:
    """Return the columns of a recipe's simulator. Raises `UsageError` for a recipe without a column mapping."""
    if recipe not in _DEFAULTS:
        raise UsageError(f"there is no recipe {recipe!r}", remedy=f"Recipes: {', '.join(_DEFAULTS)}")
    module, _, name = _DEFAULTS[recipe].partition(":")
    return getattr(importlib.import_module(module), name)


def load_columns(path: str | None, recipe: str = "ticket") -> Any:
    """Read a column mapping (YAML); None means the columns of the recipe's simulator.

    Raises:
        UnreadableFile: the file is missing or not YAML.
        BadColumns: an unknown key, a wrong type, an input that is also a label.
        UsageError: there is no such recipe.
    """
    if path is None:
        return default_columns(recipe)
    content = read_yaml(path, "the column mapping")
    if not isinstance(content, dict):
        raise BadColumns("the column mapping is not a YAML mapping", where=path)
    return parse_columns(content, where=path, recipe=recipe)


def parse_columns(content: dict[str, Any], *, where: str = "columns", recipe: str = "ticket") -> Any:
    """Build a column mapping from plain values.

    Raises:
        BadColumns: names the key that is unknown or wrong.
        UsageError: there is no such recipe.
    """
    kind: type[BaseModel] = type(default_columns(recipe))
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
        inner = next((kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)), None)
        keys += [name] if inner is None else [f"{name}.{key}" for key in _keys(inner)]
    return keys


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
