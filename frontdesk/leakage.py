"""Fields that predict a label almost alone: most often they were filled in after the ticket was solved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from frontdesk.records import Columns
from frontdesk.text.cleaning import clean

SUSPECT_ACCURACY, SUSPECT_GAIN = 0.9, 0.2
_NEAR_UNIQUE = 0.5
_MANY_NUMBERS, _BINS = 200, 100
_MOST_LABELS = 1_000


@dataclass(frozen=True)
class Suspect:
    """A field that seems to know the label.

    Attributes:
        head: the label.
        field: the input column; all text columns together are called by their names joined with ``+``.
        accuracy: of guessing the label from this field alone, on rows not used to learn the guess.
        majority: of always guessing the most frequent label, on the same rows.
        words: what to do about it.
    """

    head: str
    field: str
    accuracy: float
    majority: float
    words: str


def suspects(sample: pa.Table, texts: list[str], columns: Columns) -> list[Suspect]:
    """Look for leaks in a sample in random order.

    A categorical field guesses, for each of its levels, the label that the level has most often in one half of the
    sample; the other half judges. A numeric field does the same by its values, or by ranges where it has many.
    A text guesses the longest label whose name it quotes. Ids do not count: their levels do not come twice.

    Args:
        sample: rows with the columns of the mapping.
        texts: cleaned text of the first rows of the sample, as many as shall be searched for quoted labels.
        columns: the mapping.
    """
    found = []
    for head in columns.heads:
        labelled = np.flatnonzero(sample.column(head).is_valid().to_numpy())
        if len(labelled) < 20:
            continue
        names, labels = np.unique(sample.column(head).take(labelled).to_numpy().astype(str), return_inverse=True)
        if len(names) < 2:
            continue
        for field in (*columns.categorical, *columns.numeric):
            values = _levels(sample.column(field).take(labelled))
            if len(np.unique(values)) <= _NEAR_UNIQUE * len(values):
                found += _judge(head, field, "was it filled in after the label was known?", *_lookup(values, labels))
        quoting = labelled[labelled < len(texts)]
        if columns.text and len(quoting) >= 20:
            separator = columns.separator if head in columns.trees else None
            result = _quotes([texts[row] for row in quoting], labels[: len(quoting)], names, separator)
            found += _judge(head, "+".join(columns.text), "the text quotes the label", *result)
    return sorted(found, key=lambda suspect: (-suspect.accuracy, suspect.field))


def _judge(head: str, field: str, words: str, accuracy: float, majority: float) -> list[Suspect]:
    if accuracy < SUSPECT_ACCURACY or accuracy < majority + SUSPECT_GAIN:
        return []
    return [Suspect(head, field, round(accuracy, 4), round(majority, 4), words)]


def _levels(column: pa.ChunkedArray) -> np.ndarray:
    """Return a field's levels as int64 [N]; missing is a level."""
    if pa.types.is_floating(column.type):
        values = column.to_numpy()
        distinct = np.unique(values[~np.isnan(values)])
        if len(distinct) > _MANY_NUMBERS:
            edges = np.unique(np.quantile(distinct, np.linspace(0, 1, _BINS + 1)[1:-1]))
            return np.where(np.isnan(values), -1, np.digitize(values, edges))
        return np.where(np.isnan(values), -1, np.searchsorted(distinct, values))
    return np.asarray(np.unique(column.fill_null("").to_numpy().astype(str), return_inverse=True)[1])


def _lookup(values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the held-out accuracies of the per-level majority and of the majority."""
    half = len(labels) // 2
    size = int(labels.max()) + 1
    most = int(np.bincount(labels[:half]).argmax())
    pairs, counts = np.unique((values[:half] - values.min()) * size + labels[:half], return_counts=True)
    best = {int(pair // size): int(pair % size) for pair, _ in sorted(zip(pairs, counts, strict=True), key=_by_count)}
    guesses = np.array([best.get(int(value), most) for value in values[half:] - values.min()])
    return float((guesses == labels[half:]).mean()), float((labels[half:] == most).mean())


def _by_count(pair: tuple[int, int]) -> int:
    return int(pair[1])


def _quotes(texts: list[str], labels: np.ndarray, names: np.ndarray, separator: str | None) -> tuple[float, float]:
    """Return the accuracies of guessing the longest quoted label, and of the majority."""
    counts = np.bincount(labels, minlength=len(names))
    most = int(counts.argmax())
    phrases: list[tuple[str, int]] = []
    for code in np.argsort(-counts, kind="stable")[:_MOST_LABELS]:
        whole = str(names[code])
        wordings = {clean(whole), clean(whole.split(separator)[-1] if separator else whole)} - {""}
        phrases += [(f" {wording} ", int(code)) for wording in wordings]
    phrases.sort(key=lambda phrase: -len(phrase[0]))  # stable: of equal length the more frequent label
    guesses = [
        next((code for phrase, code in phrases if phrase in text), most) for text in (f" {text} " for text in texts)
    ]
    return float((np.array(guesses) == labels).mean()), float((labels == most).mean())
