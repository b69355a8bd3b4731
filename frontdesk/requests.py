"""The check of request instances: what a caller may send, and which words tell them what was wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

from frontdesk.errors import InvalidRequest
from frontdesk.preprocessing.encoding import days
from frontdesk.preprocessing.spec import CREATED_AT, Spec

MAX_INSTANCES = 1_000
"""Of one request. A text's length needs no limit: cleaning cuts it at `frontdesk.text.cleaning.MAX_CHARACTERS`."""

_Check = Callable[[Any], Any]


def validate(instances: Any, spec: Spec) -> dict[str, list[Any]]:
    """Check the instances of a request and turn them into one list of raw values per field of the spec.

    A text is a string, a category a string, number or boolean, a number a JSON number, `created_at` ISO 8601 text; null
    or an absent field is a missing value, and so is a number that is not finite. An empty list is an empty request.

    Raises:
        InvalidRequest: names the instance and the field: ``instances[3].body: must be text or null, not a number``.
    """
    if not isinstance(instances, list):
        raise InvalidRequest(f"must be a list of objects, not {kind_of(instances)}", where="instances")
    if len(instances) > MAX_INSTANCES:
        raise InvalidRequest(
            f"{len(instances)} instances are more than {MAX_INSTANCES}", where="instances", remedy="Send them in parts"
        )
    columns: dict[str, list[Any]] = {}
    for place, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise InvalidRequest(f"must be an object, not {kind_of(instance)}", where=f"instances[{place}]")
    for name, check in _checks(spec).items():
        try:
            columns[name] = [check(instance.get(name)) for instance in instances]
        except ValueError as error:
            where = f"instances[{_first_bad(instances, name, check)}].{name}"
            raise InvalidRequest(str(error), where=where) from None
    for place, instance in enumerate(instances):
        if unknown := instance.keys() - columns.keys():
            name = min(map(str, unknown))[:80]
            known = ", ".join(spec.fields)
            raise InvalidRequest(
                "there is no such field", where=f"instances[{place}].{name}", remedy=f"Fields: {known}"
            )
    return columns


def _first_bad(instances: list[dict[str, Any]], name: str, check: _Check) -> int:
    for place, instance in enumerate(instances):
        try:
            check(instance.get(name))
        except ValueError:
            return place
    return 0


def _checks(spec: Spec) -> dict[str, _Check]:
    return (
        dict.fromkeys(spec.text, _text)
        | dict.fromkeys(spec.categorical, _category)
        | {name: _moment if name == CREATED_AT else _number for name in spec.numeric}
    )


def _text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"must be text or null, not {kind_of(value)}")


def _category(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | Real):
        return value
    raise ValueError(f"must be text, a number, a boolean or null, not {kind_of(value)}")


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            return float(value)
        except OverflowError:  # an integer beyond the largest double is as good as infinite
            return math.nan
    raise ValueError(f"must be a number or null, not {kind_of(value)}")


def _moment(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"must be ISO 8601 text or null, not {kind_of(value)}")
    try:
        return days(value)
    except ValueError:
        raise ValueError("must be ISO 8601 text such as 2024-02-29T12:00:00+00:00") from None


def kind_of(value: Any) -> str:
    """Return what a JSON value is called to a caller."""
    kinds = {bool: "a boolean", str: "text", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, Real) else f"a value of type {type(value).__name__}")
