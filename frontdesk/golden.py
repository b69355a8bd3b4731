"""Golden rows: raw inputs and the probabilities that every form of a model must give them.

The inputs are made from the spec with a fixed seed (words of the vocabulary, levels, numbers near the fitted ones) plus
rows that break careless code; no row of a customer enters a bundle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.errors import BundleError
from frontdesk.preprocessing.spec import CREATED_AT, Number, Spec

GOLDEN = "golden.parquet"
INPUT, _OUTPUT = "input.", "probabilities."
"""Prefixes of the columns."""
_REMEDY = "Copy the bundle again from where it was made"
_PLAIN_ROWS = 48
_SEED = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_HOSTILE_TEXTS = (
    None,
    "",
    " \t\r\n\x00 ",
    "<p>unclosed <b>markup <script>var x = 1",
    "<style>p{color:red}</style><!-- never ends",
    "a &lt;b&gt; &amp; &#x27;quoted&#39; &bogus; 100% <3",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627\u060c \u0661\u0662\u0663",
    "emoji \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 flags \U0001f1ee\U0001f1f9 and \ufe0f",
    "\u6211\u7684\u5361\u4e22\u4e86 \u30ab\u30fc\u30c9 \uce74\ub4dc",
    "STRASSE \u1e9e \u0130stanbul \u03a3\u03a3 \ufb01 \u01c4 e\u0301\u0301\u0301",
    "' '' don't rock\u2019n\u2019roll l`ordre '",
    "1234567890 12 0x1F 3.14 1,000,000",
    "x" * 500,
    "word " * 600,
    "https://example.com/?q=1&r=2 someone@example.com #tag @name",
    "\ufeffbyte order\u00ad mark\u200b and \ufffe \uffff",
)
_HOSTILE_LEVELS = (None, "", " ", "no such level", "\x00", "NULL", "nan", "\u00e9" * 50)
_HOSTILE_NUMBERS = (None, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0)
_HOSTILE_TIMES = (None, "", "0001-01-01", "9999-12-31T23:59:59.999999+00:00", "2024-02-29T12:00:00+05:30")


class Model(Protocol):
    """Anything that gives probabilities: an engine or the classical model."""

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return ``{head: float32 [rows, K]}``."""
        ...


@dataclass(frozen=True)
class Golden:
    """Golden rows.

    Attributes:
        columns: raw inputs by field.
        rows: how many.
        expected: ``{head: float32 [rows, K]}``.
    """

    columns: dict[str, list[Any]]
    rows: int
    expected: dict[str, np.ndarray]

    def difference(self, model: Model) -> float:
        """Return the largest absolute difference of a model's probabilities from the expected ones.

        Infinite where the shape is another or a value is not a number.
        """
        found = model.probabilities(self.columns, self.rows)
        largest = 0.0
        for head, expected in self.expected.items():
            if head not in found or found[head].shape != expected.shape:
                return math.inf
            largest = max(largest, float(np.abs(found[head] - expected).max(initial=0.0)))
        return math.inf if math.isnan(largest) else largest


def golden_inputs(spec: Spec) -> tuple[dict[str, list[Any]], int]:
    """Make the raw inputs of the golden rows: ``({field: values}, rows)``. The same spec gives the same rows."""
    generator = np.random.default_rng(_SEED)
    rows = _PLAIN_ROWS + len(_HOSTILE_TEXTS)
    columns: dict[str, list[Any]] = {}
    for name in spec.text:
        columns[name] = [_text(spec, generator) for _ in range(_PLAIN_ROWS)] + list(_HOSTILE_TEXTS)
    for name, levels in spec.categorical.items():
        known = [levels[generator.integers(len(levels))] if levels else None for _ in range(_PLAIN_ROWS)]
        columns[name] = known + _cycled(_HOSTILE_LEVELS, rows - _PLAIN_ROWS)
    for name, fitted in spec.numeric.items():
        known_numbers = [_number(fitted, generator) for _ in range(_PLAIN_ROWS)]
        if name == CREATED_AT:
            columns[name] = [_moment(value) for value in known_numbers]
            columns[name] += _cycled(_HOSTILE_TIMES, rows - _PLAIN_ROWS)
        else:
            columns[name] = known_numbers + _cycled(_HOSTILE_NUMBERS, rows - _PLAIN_ROWS)
    return columns, rows


def _cycled(values: tuple[Any, ...], count: int) -> list[Any]:
    return [values[place % len(values)] for place in range(count)]


def _text(spec: Spec, generator: np.random.Generator) -> str:
    """Join words of the vocabulary at random, frequent ones first, with some adjacent pairs of the wide path."""
    words: list[str] = []
    for _ in range(int(generator.integers(1, 60))):
        if spec.phrases and generator.random() < 0.3:
            pair = spec.phrases[int(generator.integers(len(spec.phrases)))]
            words += [spec.vocabulary[word - 2] for word in pair if word >= 2]
        elif spec.vocabulary:
            words.append(spec.vocabulary[int(len(spec.vocabulary) * generator.random() ** 3)])
    return " ".join(words)


def _number(fitted: Number, generator: np.random.Generator) -> float:
    return float(fitted.mean + fitted.scale * generator.normal(0, 2))


def _moment(days: float) -> str:
    bounded = min(max(days, -700_000.0), 2_900_000.0)
    return (_EPOCH + timedelta(seconds=round(bounded * 86_400))).isoformat()


def golden_table(columns: Mapping[str, Sequence[Any]], expected: Mapping[str, np.ndarray], spec: Spec) -> pa.Table:
    """Return the table of golden rows: one column per input field, one list of probabilities per head."""
    arrays: dict[str, pa.Array] = {}
    for name in spec.fields:
        kind = pa.float64() if name in spec.numeric and name != CREATED_AT else pa.string()
        arrays[INPUT + name] = pa.array(columns[name], kind, from_pandas=False)
    for head, values in expected.items():
        flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
        arrays[_OUTPUT + head] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(arrays)


def read_golden(folder: Path) -> Golden:
    """Read the golden rows of a bundle. Raises `BundleError` where the file is not what it should be."""
    try:
        # Neither `read_table` nor `to_numpy`: both would import pandas, which doubles the time of a cold start.
        with pq.ParquetFile(folder / GOLDEN) as file:
            table = file.read()
        columns = {
            name.removeprefix(INPUT): table[name].to_pylist() for name in table.column_names if name.startswith(INPUT)
        }
        expected = {
            name.removeprefix(_OUTPUT): np.array(table[name].to_pylist(), np.float32).reshape(table.num_rows, -1)
            for name in table.column_names
            if name.startswith(_OUTPUT)
        }
    except (OSError, pa.ArrowException, ValueError) as error:
        raise BundleError("the golden rows cannot be read", where=GOLDEN, remedy="Make the bundle again") from error
    return Golden(columns, table.num_rows, expected)


def require_golden(folder: Path, model: Model, tolerance: float) -> None:
    """Raise `BundleError` unless a model gives the golden rows of a bundle their probabilities."""
    difference = read_golden(folder).difference(model)
    if not difference <= tolerance:
        raise BundleError(f"the golden rows differ by {difference:.1e}", where=GOLDEN, remedy=_REMEDY)
