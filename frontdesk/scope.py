"""How strange a record is to a model, measured against history: doubt of the answer and words that it never saw.

A classifier that has to answer says something for every text. Two signs tell that a record is none of its business:
no label is likely (Hendrycks and Gimpel 2017: the largest probability), and its words are not in the vocabulary. Each
becomes the share of the history's rows that are at least as strange; the two are combined by Fisher's sum of
logarithms, which again is ranked in the history. So a limit of 0.05 holds back one in twenty of such rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.preprocessing.spec import Spec
from frontdesk.text.cleaning import clean_fields

QUANTILES = 200
LEAST = 0.05
"""A row that fewer of the history's rows than this match in strangeness is out of scope."""


def doubt(probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return one minus the largest probability, averaged over heads, float64 [N]."""
    found: np.ndarray = np.mean(
        [1.0 - values.max(axis=1).astype(np.float64) for values in probabilities.values()], axis=0
    )
    return found


class UnknownWords:
    """The share of a text's information that lies in words which the model has never seen.

    A word weighs its inverse document frequency in training; an unknown one weighs what a word of no document would.

    Args:
        spec: of the model.
    """

    def __init__(self, spec: Spec) -> None:
        self._fields = spec.text
        most = math.log(spec.documents + 2)
        self._unknown = most
        self._weights = {
            word: most - math.log(count + 1) for word, count in zip(spec.vocabulary, spec.word_documents, strict=True)
        }

    def shares(self, columns: Mapping[str, Sequence[Any]], rows: int) -> np.ndarray:
        """Return the shares of records given as columns, float64 [N]; 0 for a record without words."""
        fields = [columns[name] for name in self._fields if name in columns]
        return np.array([self._share(clean_fields(field[row] for field in fields)) for row in range(rows)], np.float64)

    def _share(self, cleaned: str) -> float:
        known = unknown = 0.0
        for word in cleaned.split():
            weight = self._weights.get(word)
            if weight is None:
                unknown += self._unknown
            else:
                known += weight
        return unknown / (known + unknown) if unknown else 0.0


@dataclass(frozen=True)
class Scope:
    """What is usual in the history of a desk.

    Attributes:
        doubt, unknown, together: quantiles of the history's rows, rising.
        least: see `LEAST`.
    """

    doubt: tuple[float, ...]
    unknown: tuple[float, ...]
    together: tuple[float, ...]
    least: float = LEAST

    def share(self, doubts: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """Return the share of the history's rows that are at least as strange as each row, float64 [N], never 0."""
        return _at_least(self.together, _combined(self.doubt, self.unknown, doubts, unknown))


def learn_scope(doubts: np.ndarray, unknown: np.ndarray) -> Scope:
    """Learn what is usual from the rows of a history, float64 [N] each, N > 0."""
    first, second = _quantiles(doubts), _quantiles(unknown)
    return Scope(first, second, _quantiles(_combined(first, second, doubts, unknown)))


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    found = np.quantile(values, np.linspace(0, 1, QUANTILES + 1), method="inverted_cdf")
    return tuple(float(value) for value in np.round(found, 6))


def _at_least(quantiles: Iterable[float], values: np.ndarray) -> np.ndarray:
    """Return the share of a distribution at or above each value; one more than it has, so that none is impossible."""
    rising = np.fromiter(quantiles, np.float64)
    above = len(rising) - np.searchsorted(rising, np.round(values, 6), side="left")
    return np.asarray((above + 1) / (len(rising) + 1))


def _combined(first: Iterable[float], second: Iterable[float], doubts: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    return np.asarray(-np.log(_at_least(first, doubts)) - np.log(_at_least(second, unknown)))
