"""Reading a webhook's JSON, of which nothing can be taken for granted, not even the types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from frontdesk.errors import InvalidRequest
from frontdesk.requests import kind_of

_CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_MAX_NUMBER = 1 << 63


def parsed_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raises `InvalidRequest` for anything else."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body is not JSON", where="body") from None
    if not isinstance(content, dict):
        raise InvalidRequest(f"must be an object, not {kind_of(content)}", where="body")
    return content


def at(content: Any, path: str) -> Any:
    """Return the value under a dotted path of names, None where a part of the path is absent or no object."""
    for name in path.split("."):
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return content


def plain(value: Any) -> Any:
    """Return a value that an instance may hold: text, number, boolean, the ``name`` of an object, else None."""
    if isinstance(value, dict):
        value = value.get("name")
    return value if isinstance(value, str | int | float | bool) else None


def word(value: Any) -> str | None:
    """Return an identifier or a label as text; None for an empty one and for what is neither text nor number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int) and abs(value) >= _MAX_NUMBER:
        return None
    return str(value).strip() or None


def case_id(value: Any, where: str) -> str:
    """Return the identifier of a case, which is safe in the path of an address.

    Raises:
        InvalidRequest: it is absent, or has other characters than letters, digits and ``_ . : -``.
    """
    text = word(value)
    if text is None or not _CASE.fullmatch(text):
        raise InvalidRequest("there is no usable identifier of the case", where=where)
    return text


def words(values: Any) -> tuple[str, ...]:
    """Return the tags of a list of names or of objects with a ``name``; nothing for anything else."""
    if not isinstance(values, list):
        return ()
    found = (word(value.get("name") if isinstance(value, dict) else value) for value in values)
    return tuple(name for name in found if name)


def by_id(values: Any, *, names: Iterable[str] = ("id",)) -> dict[str, Any]:
    """Return a list of ``{"id", "value"}`` objects as a mapping from any of their names to the value."""
    found: dict[str, Any] = {}
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            found |= {key: value.get("value") for name in names if (key := word(value.get(name)))}
    return found


def actors(content: Mapping[str, Any], paths: Iterable[str]) -> frozenset[str]:
    """Return every identifier under the paths: those who may have caused the event."""
    return frozenset(found for path in paths if (found := word(at(content, path))))
