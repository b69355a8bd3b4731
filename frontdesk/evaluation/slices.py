"""Parts of the test rows on which a model may be better or worse than its average says."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.evaluation.intervals import wilson
from frontdesk.evaluation.metrics import rounded
from frontdesk.evaluation.outcomes import Outcome, inputs_of
from frontdesk.preprocessing.encoding import Encoder, level
from frontdesk.preprocessing.spec import CREATED_AT, Spec
from frontdesk.text.language import languages

RARE = 20
"""A label with fewer training rows is rare."""
MOST_LEVELS = 12
"""A categorical field with more levels makes no slices."""
MOST_BRANCHES = 20
_LANGUAGE_ROWS = 5_000
"""Rows whose language is looked at: evenly spread, because detection is slower than prediction."""
_LANGUAGE_CHARACTERS = 400
SLICE_COLUMN = "slice: "
"""Prefix of the columns of the predictions' table that hold slices."""
MISSING, REST = "(missing)", "(other)"

Slices = dict[str, list[str | None]]
"""``{slice: its value in each row}``; None leaves the row out of the slice."""


@dataclass(frozen=True)
class RowFacts:
    """What is known of each row without any model.

    Attributes:
        row: place of the row in its split, int64 [N].
        words: words of the cleaned text, int64 [N].
        text_key: 64-bit hash of the cleaned text, 0 for none, uint64 [N].
        values: row-wide slices.
    """

    row: np.ndarray
    words: np.ndarray
    text_key: np.ndarray
    values: Slices


def text_key(cleaned: str) -> int:
    """Return a 64-bit hash of a cleaned text, 0 for an empty one."""
    if not cleaned:
        return 0
    return int.from_bytes(hashlib.blake2b(cleaned.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _cleaned(encoder: Encoder, columns: Mapping[str, Sequence[Any]], rows: int) -> list[str]:
    return [encoder.text(columns, row) for row in range(rows)]


def text_keys(batches: Iterable[pa.RecordBatch], spec: Spec) -> np.ndarray:
    """Return the distinct hashes of the cleaned texts of some rows, sorted, uint64."""
    encoder = Encoder(spec)
    keys = {
        text_key(cleaned)
        for batch in batches
        for cleaned in _cleaned(encoder, inputs_of(batch, spec.text), batch.num_rows)
    }
    return np.array(sorted(keys - {0}), np.uint64)


def facts(batches: Iterable[pa.RecordBatch], spec: Spec, rows: int) -> RowFacts:
    """Read what the slices need of the test rows.

    Args:
        batches: raw rows.
        spec: says which columns are texts and categories.
        rows: about how many there are: spreads the rows whose language is looked at.
    """
    encoder = Encoder(spec)
    narrow = [name for name, levels in spec.categorical.items() if 2 <= len(levels) <= MOST_LEVELS]
    known = {name: frozenset(spec.categorical[name]) for name in narrow}
    every = max(1, -(-rows // _LANGUAGE_ROWS))
    numbers: list[np.ndarray] = []
    words: list[int] = []
    keys: list[int] = []
    values: Slices = {name: [] for name in [*narrow, "language (detected)", "month of creation"]}
    for batch in batches:
        numbers.append(batch.column("row").to_numpy(zero_copy_only=False))
        columns = inputs_of(batch, [*spec.text, *narrow, CREATED_AT])
        texts = _cleaned(encoder, columns, batch.num_rows)
        looked_at = [place for place, text in enumerate(texts) if text and (len(words) + place) % every == 0]
        found = dict(zip(looked_at, languages(texts[place][:_LANGUAGE_CHARACTERS] for place in looked_at), strict=True))
        values["language (detected)"] += [found.get(place) for place in range(len(texts))]
        words += [text.count(" ") + 1 if text else 0 for text in texts]
        keys += [text_key(text) for text in texts]
        for name in narrow:
            cells = columns.get(name, [None] * batch.num_rows)
            values[name] += [_level(cell, known[name]) for cell in cells]
        values["month of creation"] += [_month(cell) for cell in columns.get(CREATED_AT, [None] * batch.num_rows)]
    return RowFacts(
        row=np.concatenate([np.zeros(0, np.int64), *numbers]),
        words=np.array(words, np.int64),
        text_key=np.array(keys, np.uint64),
        values={name: column for name, column in values.items() if any(value is not None for value in column)},
    )


def _level(cell: Any, known: frozenset[str]) -> str:
    text = level(cell)
    return MISSING if text is None else text if text in known else REST


def _month(cell: Any) -> str | None:
    return f"{cell:%Y-%m}" if isinstance(cell, datetime) else None


def text_slices(found: RowFacts, training_keys: np.ndarray) -> Slices:
    """Return slices by the text itself: thirds of its length, none at all, repeated from training."""
    if not found.words.any():
        return {}
    short, long = np.quantile(found.words[found.words > 0], [1 / 3, 2 / 3])
    names = [f"short (up to {short:.0f} words)", "medium", f"long (more than {long:.0f} words)"]
    repeated = np.isin(found.text_key, training_keys)
    return {
        "text length": [
            "no text" if words == 0 else names[int(words > short) + int(words > long)] for words in found.words.tolist()
        ],
        "text repeated from training": [
            None if words == 0 else "repeated" if again else "new"
            for words, again in zip(found.words.tolist(), repeated.tolist(), strict=True)
        ],
    }


def label_slices(outcome: Outcome, separator: str | None, training_counts: Sequence[int]) -> Slices:
    """Return slices by the true label: how often training saw it and, in a tree, its depth and top-level branch.

    Args:
        outcome: holds the truths.
        separator: divides the levels of the label tree; None for a flat head.
        training_counts: training rows per label of the catalogue.
    """
    names, truth = outcome.names, outcome.truth.tolist()

    def by_label(values: Sequence[str]) -> list[str | None]:
        return [None if index < 0 else values[index] for index in truth]

    seen = [f"rare (under {RARE} rows)" if count < RARE else "frequent" for count in training_counts]
    slices = {"label in training": by_label([*seen, *["never seen"] * (len(names) - outcome.known)])}
    if separator is not None:
        paths = [name.split(separator) for name in names]
        slices["label depth"] = by_label([str(len(path)) for path in paths])
        counts = Counter(paths[index][0] for index in truth if index >= 0)
        shown = {branch for branch, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_BRANCHES]}
        slices["branch"] = by_label([path[0] if path[0] in shown else REST for path in paths])
    return slices


def slice_table(slices: Slices, outcome: Outcome) -> dict[str, list[dict[str, Any]]]:
    """Return rows and accuracy of every value of every slice of one head, most rows first, months in order.

    Returns:
        ``{slice: [{"value", "n", "accuracy", "low", "high"}]}`` with the 95 % Wilson interval.
    """
    labelled, correct = outcome.labelled.tolist(), outcome.correct.tolist()
    table = {}
    for name, values in slices.items():
        rows: Counter[str] = Counter()
        hits: Counter[str] = Counter()
        for value, counts, right in zip(values, labelled, correct, strict=True):
            if value is not None and counts:
                rows[value] += 1
                hits[value] += right
        order = sorted(rows, key=lambda value: (value if name == "month of creation" else "", -rows[value], value))
        if order:
            table[name] = [_slice(value, rows[value], hits[value]) for value in order]
    return table


def _slice(value: str, rows: int, hits: int) -> dict[str, Any]:
    low, high = wilson(hits, rows)
    return {"value": value, "n": rows, "accuracy": rounded(hits / rows), "low": rounded(low), "high": rounded(high)}
