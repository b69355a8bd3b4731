"""One column of a table, of whatever type its file gave it, to the type of its role; a wrong cell gets a reason.

The fast way is one vectorised conversion of the whole column. Only a column that fails it is looked at cell by cell, so
that the row, and not the file, is refused. A reason names the kind of trouble and never quotes the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.preprocessing.encoding import level

STAMP = pa.timestamp("us", "UTC")
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

NOT_UTF8 = "text that is not valid UTF-8"
NESTED = "a nested value"
INFINITE = "an infinite number"
NOT_A_NUMBER = "not a number"
NOT_A_TIME = "not a time stamp"
FAR_AWAY = "a time stamp outside the years 1900 to 2199"

# The least absolute value of a number that counts as a Unix time, and its ticks per second: ns, us, ms, s.
_EPOCHS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e8, 1.0))
_FAILURES = (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError)

Converted = tuple[pa.Array, dict[int, str]]
"""The converted column, and ``{place: reason}`` of its wrong cells (which are null in it)."""


class WrongCell(ValueError):
    """A cell that its role does not take. The message is the reason."""


def texts(column: pa.Array | Sequence[Any]) -> Converted:
    """Convert a column to texts: string, null where missing or empty. Numbers are written as `level` does."""
    return _convert(column, _vector_texts, _text, pa.string())


def levels(column: pa.Array | Sequence[Any]) -> Converted:
    """Convert a column to categories by `encoding.level`: string, null where missing or blank."""
    return _convert(column, _vector_levels, lambda value: level(_text(value)), pa.string())


def numbers(column: pa.Array | Sequence[Any]) -> Converted:
    """Convert a column to float64, null where missing, blank or NaN. Text is read as a number; infinite is wrong."""
    return _convert(column, _vector_numbers, _number, pa.float64())


def stamps(column: pa.Array | Sequence[Any]) -> Converted:
    """Convert a column to time stamps in microseconds, UTC; null where missing or blank.

    Takes time stamps and dates (without a zone they are UTC), ISO 8601 text, and Unix times in seconds, milli-, micro-
    or nanoseconds, told apart by their size. Years before 1900 or from 2200 on are wrong: they stand for "no date".
    """
    return _convert(column, _vector_stamps, stamp, STAMP)


def _convert(
    column: pa.Array | Sequence[Any],
    whole: Callable[[pa.Array], Converted],
    cell: Callable[[Any], Any],
    kind: pa.DataType,
) -> Converted:
    """Convert by ``whole``, or where that fails (texts that do not parse, JSON of mixed types) cell by cell."""
    try:
        array = column if isinstance(column, pa.Array) else pa.array(column)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_null(array.type):
            return pa.nulls(len(array), kind), {}
        return whole(array)
    except _FAILURES:
        pass
    if isinstance(column, pa.Array):
        column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        if _is_text(column.type):  # as bytes, because Arrow does not promise UTF-8
            column = column.cast(pa.large_binary())
        column = column.to_pylist()
    values: list[Any] = []
    reasons: dict[int, str] = {}
    for place, value in enumerate(column):
        try:
            values.append(cell(value))
        except WrongCell as wrong:
            values.append(None)
            reasons[place] = str(wrong)
    return pa.array(values, kind), reasons


def _is_text(kind: pa.DataType) -> bool:
    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_binary(kind: pa.DataType) -> bool:
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)


def _is_plain_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _wrong_where(array: pa.Array, wrong: np.ndarray, reason: str) -> Converted:
    """Return the array with null in its wrong places (bool [N]), and the reasons."""
    if not wrong.any():
        return array, {}
    return pc.if_else(pa.array(~wrong), array, None), dict.fromkeys(map(int, np.flatnonzero(wrong)), reason)


def _all_wrong(array: pa.Array, kind: pa.DataType, reason: str) -> Converted:
    present = array.is_valid().to_numpy(zero_copy_only=False)
    return pa.nulls(len(array), kind), dict.fromkeys(map(int, np.flatnonzero(present)), reason)


def _vector_texts(array: pa.Array) -> Converted:
    if pa.types.is_nested(array.type):
        return _all_wrong(array, pa.string(), NESTED)
    if not _is_text(array.type) and not _is_binary(array.type):
        return _vector_levels(array)
    result = array.cast(pa.string())
    result.validate(full=True)
    return pc.if_else(pc.equal(result, ""), None, result), {}


def _vector_levels(array: pa.Array) -> Converted:
    if pa.types.is_nested(array.type):
        return _all_wrong(array, pa.string(), NESTED)
    if pa.types.is_temporal(array.type):
        array = array.cast(pa.string())
    encoded = array.dictionary_encode()
    distinct = encoded.dictionary
    if _is_text(array.type) or _is_binary(array.type):
        distinct, reasons = texts(distinct)
    else:
        reasons = {}
    values = pa.array([level(value) for value in distinct.to_pylist()], pa.string())
    result = values.take(encoded.indices)
    if not reasons:
        return result, {}
    codes = encoded.indices.fill_null(-1).to_numpy()
    return _wrong_where(result, np.isin(codes, list(reasons)), NOT_UTF8)


def _vector_numbers(array: pa.Array) -> Converted:
    if _is_text(array.type) or _is_binary(array.type):
        trimmed = pc.utf8_trim_whitespace(array.cast(pa.string()))
        array = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
    elif pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    elif not _is_plain_number(array.type):
        reason = NESTED if pa.types.is_nested(array.type) else f"{array.type}, {NOT_A_NUMBER}"
        return _all_wrong(array, pa.float64(), reason)
    result = array.cast(pa.float64(), safe=False)
    result = pc.if_else(pc.is_nan(result), None, result)
    return _wrong_where(result, np.isinf(result.to_numpy(zero_copy_only=False)), INFINITE)


def _vector_stamps(array: pa.Array) -> Converted:
    if _is_text(array.type) or _is_binary(array.type):
        trimmed = pc.utf8_trim_whitespace(array.cast(pa.string()))
        array = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
        try:
            array = array.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:  # with zones, perhaps
            array = array.cast(STAMP)
    elif pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("us"))
    elif _is_plain_number(array.type):
        return _from_unix(array)
    elif not pa.types.is_timestamp(array.type):
        reason = NESTED if pa.types.is_nested(array.type) else f"{array.type}, {NOT_A_TIME}"
        return _all_wrong(array, STAMP, reason)
    array = array.cast(STAMP, safe=False)
    ticks = array.cast(pa.int64()).fill_null(0).to_numpy()
    return _wrong_where(array, (ticks < _ticks(EARLIEST)) | (ticks >= _ticks(LATEST)), FAR_AWAY)


def _from_unix(array: pa.Array) -> Converted:
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    missing = np.isnan(values)
    size = np.abs(np.where(missing, 0, values))
    seconds = np.full(len(values), np.inf)
    for least, per_second in reversed(_EPOCHS):
        fits = size >= least
        seconds[fits] = values[fits] / per_second
    wrong = ~missing & ~((seconds >= EARLIEST.timestamp()) & (seconds < LATEST.timestamp()))
    ticks = np.where(missing | wrong, 0, np.where(np.isfinite(seconds), seconds, 0) * 1e6).astype(np.int64)
    result = pa.array(ticks, mask=missing | wrong).cast(STAMP)
    return result, dict.fromkeys(map(int, np.flatnonzero(wrong)), NOT_A_TIME)


def _ticks(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode() or None
        except UnicodeDecodeError:
            raise WrongCell(NOT_UTF8) from None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise WrongCell(NOT_UTF8) from None
        return value or None
    if isinstance(value, dict | list | tuple | set):
        raise WrongCell(NESTED)
    return level(value)


def _number(value: Any) -> float | None:
    if isinstance(value, str | bytes):
        text = (_text(value) or "").strip()
        if not text:
            return None
        if "_" in text:  # Python reads 1_000, no table means it
            raise WrongCell(NOT_A_NUMBER)
        value = text
    elif value is None:
        return None
    elif isinstance(value, dict | list | tuple | set):
        raise WrongCell(NESTED)
    elif not isinstance(value, bool | int | float | Decimal):
        raise WrongCell(NOT_A_NUMBER)
    try:
        result = float(value)
    except OverflowError:
        raise WrongCell(INFINITE) from None
    except ValueError:
        raise WrongCell(NOT_A_NUMBER) from None
    if np.isinf(result):
        raise WrongCell(INFINITE)
    return None if result != result else result


def stamp(value: Any) -> datetime | None:
    """Return the moment of one cell in UTC; None for a missing one. Raises `WrongCell`. See `stamps`."""
    if isinstance(value, str | bytes):
        text = (_text(value) or "").strip()
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise WrongCell(NOT_A_TIME) from None
        return _in_utc(moment)
    if value is None or value != value:  # NaN, NaT
        return None
    if isinstance(value, bool):
        raise WrongCell(NOT_A_TIME)
    if isinstance(value, int | float):
        size = abs(value)
        per_second = next((ticks for least, ticks in _EPOCHS if size >= least), None)
        if per_second is None or size > 1e19:
            raise WrongCell(NOT_A_TIME)
        seconds = value / per_second
        if not EARLIEST.timestamp() <= seconds < LATEST.timestamp():
            raise WrongCell(NOT_A_TIME)
        return datetime.fromtimestamp(seconds, UTC)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise WrongCell(NESTED if isinstance(value, dict | list | tuple) else NOT_A_TIME)
    return _in_utc(value)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is not UTC:
        try:
            value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise WrongCell(FAR_AWAY) from None
    if not EARLIEST.year <= value.year < LATEST.year:
        raise WrongCell(FAR_AWAY)
    return value
