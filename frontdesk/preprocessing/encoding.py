"""Raw fields to arrays: the one definition that Spark, training and every engine share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

import numpy as np

from frontdesk.preprocessing.spec import CREATED_AT, FIRST_WORD, NO_LABEL, UNKNOWN, UNSEEN_LABEL, Spec
from frontdesk.text.cleaning import clean_fields

TOKENIZER = "tokenizer.json"
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Arrays:
    """Encoded records.

    Attributes:
        ids: word ids, int32 [N, max_tokens], padded with 0.
        categories: levels, int32 [N, categorical fields].
        numbers: float64 [N, numeric fields], NaN where missing; the network fills, clamps and scales.
    """

    ids: np.ndarray
    categories: np.ndarray
    numbers: np.ndarray


class RowEncoder(Protocol):
    """What turns raw fields into arrays: `Encoder`, or a recipe's own."""

    spec: Spec

    def encode(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Arrays:
        """Encode ``rows`` records given as columns; see `Encoder.encode`."""

    def labels(self, head: str, values: Sequence[Any]) -> np.ndarray:
        """Return label indices, int32 [N]; see `Encoder.labels`."""


@dataclass(frozen=True)
class Tokenization:
    """How a recipe turns texts into ids where that is not the words of the spec.

    Attributes:
        key: plain values that the fitted tokeniser depends on beside the texts.
        fit: texts of the training rows -> content of ``tokenizer.json``.
        opener: ``module:class``, called with the spec and that content, gives a `RowEncoder`; on any worker.
    """

    key: dict[str, Any]
    fit: Callable[[Iterator[str]], bytes]
    opener: str


def level(value: Any) -> str | None:
    """Return the text of a categorical value; None for a missing one.

    A whole number is written without a fraction, because a table that holds one null turns integers into floats.
    """
    if isinstance(value, str):
        return value.strip() or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return None
        if math.isfinite(value) and float(value).is_integer() and abs(float(value)) < 1e15:
            return str(int(value))
    text = str(value).strip()
    return text or None


def number(value: Any) -> float:
    """Return a number as float; NaN for a missing or infinite one. Raises ValueError for anything else."""
    if value is None or value == "":
        return math.nan
    if isinstance(value, bool):
        return float(value)
    result = float(value)
    return result if math.isfinite(result) else math.nan


def days(value: Any) -> float:
    """Return a time stamp as days since 1970 (UTC); NaN for a missing one. Raises ValueError for anything else.

    Takes datetimes, dates, ISO 8601 text, and numbers, which are days already.
    """
    if value is None or value == "":
        return math.nan
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return math.nan
        return float(value.astype("datetime64[us]").astype(np.int64)) / 1e6 / _DAY_SECONDS
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if isinstance(value, datetime):
        if value != value:  # pandas' NaT is a datetime that differs from itself
            return math.nan
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.timestamp() / _DAY_SECONDS
    if isinstance(value, date):
        return float(value.toordinal() - date(1970, 1, 1).toordinal())
    return number(value)


class Encoder:
    """Turns raw fields into `Arrays` by a spec. Build it once: it holds the look-up tables.

    Args:
        spec: the fitted values.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._words = {word: index + FIRST_WORD for index, word in enumerate(spec.vocabulary)}
        self._levels = {
            name: {text: index + 1 for index, text in enumerate(levels)} for name, levels in spec.categorical.items()
        }
        self._labels = {
            head: {label: index for index, label in enumerate(labels)} for head, labels in spec.labels.items()
        }

    def text(self, columns: Mapping[str, Sequence[Any]], row: int) -> str:
        """Return the cleaned text of one row, its text columns joined."""
        return clean_fields(columns[name][row] for name in self.spec.text if name in columns)

    def word_ids(self, cleaned: str) -> list[int]:
        """Return the ids of a cleaned text, at most `max_tokens` of them, not padded."""
        get = self._words.get
        return [get(word, UNKNOWN) for word in cleaned.split(" ", self.spec.max_tokens)[: self.spec.max_tokens] if word]

    def category(self, field: str, value: Any) -> int:
        """Return the level's index of a categorical value; 0 for missing or unseen."""
        text = level(value)
        return 0 if text is None else self._levels[field].get(text, 0)

    @staticmethod
    def numeric(field: str, value: Any) -> float:
        """Return a numeric field's value as float64, NaN where missing."""
        return days(value) if field == CREATED_AT else number(value)

    def encode(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Arrays:
        """Encode ``rows`` records given as columns of raw values; an absent column is missing in every row.

        Raises:
            ValueError: a numeric or time value that is none. Callers that face a user validate first.
        """
        spec = self.spec
        ids = np.zeros((rows, spec.max_tokens), np.int32)
        for row in range(rows):
            words = self.word_ids(self.text(columns, row))
            ids[row, : len(words)] = words
        categories = np.zeros((rows, len(spec.categorical)), np.int32)
        for place, name in enumerate(spec.categorical):
            if name in columns:
                categories[:, place] = [self.category(name, value) for value in columns[name]]
        numbers = np.full((rows, len(spec.numeric)), np.nan)
        for place, name in enumerate(spec.numeric):
            if name in columns:
                numbers[:, place] = [self.numeric(name, value) for value in columns[name]]
        return Arrays(ids, categories, numbers)

    def labels(self, head: str, values: Sequence[Any]) -> np.ndarray:
        """Return label indices, int32 [N]: -1 for an empty cell, -2 for a label that training never saw."""
        get = self._labels[head].get
        texts = [level(value) for value in values]
        return np.array([NO_LABEL if text is None else get(text, UNSEEN_LABEL) for text in texts], np.int32)
