"""What v1 knows of a candidate label, and what its ranker sees of a pair of ticket and candidate."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from frontdesk.ticket.topics import unit_rows

_PRIOR_ROWS = 0.5
_TERMS = 2_000
"""Terms kept of a candidate's mean vector: the heaviest ones."""
_PRIOR_WEIGHT = 0.05
_MULTIPLIED_TOPICS = 32


@dataclass(frozen=True)
class Tickets:
    """Records as v1 sees them.

    Attributes:
        words: TF-IDF vectors, CSR float32 [N, width].
        topics: topic vectors of length one, float32 [N, T].
        levels: of the categorical fields, int32 [N, C]; 0 is missing or unseen.
        numbers: standardised numbers, float32 [N, D], NaN where missing.
    """

    words: Any
    topics: np.ndarray
    levels: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.topics)

    def take(self, rows: np.ndarray) -> Tickets:
        """Return some of the records, by index or mask."""
        return Tickets(self.words[rows], self.topics[rows], self.levels[rows], self.numbers[rows])


@dataclass(frozen=True)
class Sums:
    """Additive statistics of one head's K labels: what a fold of tickets adds can be taken away again.

    Attributes:
        rows: tickets per label, int64 [K].
        words: sums of TF-IDF vectors, CSR float64 [K, width].
        topics: sums of topic vectors, float64 [K, T].
    """

    rows: np.ndarray
    words: Any
    topics: np.ndarray

    @classmethod
    def of(cls, tickets: Tickets, labels: np.ndarray, label_count: int) -> Sums:
        """Add up tickets by their labels.

        Args:
            tickets: N records.
            labels: int [N], each in ``0 .. label_count - 1``.
            label_count: K.
        """
        rows = len(labels)
        member = sparse.csr_matrix((np.ones(rows), (labels, np.arange(rows))), (label_count, rows))
        return cls(
            np.bincount(labels, minlength=label_count),
            member @ tickets.words,
            member @ tickets.topics.astype(np.float64),
        )

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.rows - other.rows, self.words - other.words, self.topics - other.topics)


@dataclass(frozen=True)
class Profiles:
    """One head's K candidates, each as the mean of its tickets.

    Attributes:
        rows: tickets per label, int64 [K].
        words: mean TF-IDF vectors of length one, CSR float32 [width, K].
        topics: mean topic vectors of length one, float32 [K, T].
    """

    rows: np.ndarray
    words: Any
    topics: np.ndarray

    @classmethod
    def of(cls, sums: Sums) -> Profiles:
        """Turn sums into means."""
        words = unit_rows(_heaviest(sums.words.tocsr(), _TERMS))
        return cls(sums.rows, words.T.tocsr(), unit_rows(sums.topics.astype(np.float32)))

    @functools.cached_property
    def log_prior(self) -> np.ndarray:
        """Smoothed logarithm of each label's share, float64 [K]."""
        smoothed = self.rows + _PRIOR_ROWS
        logarithm: np.ndarray = np.log(smoothed / smoothed.sum())
        return logarithm


def _heaviest(matrix: Any, terms: int) -> Any:
    """Keep the largest values of each row of a CSR matrix; float32."""
    kept = np.zeros(matrix.nnz, bool)
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        kept[start + np.argsort(-matrix.data[start:end], kind="stable")[:terms]] = True
    kept &= matrix.data > 1e-9  # less is rounding: what is left of a word that only the fold taken away had
    ends = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sparse.csr_matrix((matrix.data[kept].astype(np.float32), matrix.indices[kept], ends), matrix.shape)


class Comparison:
    """Tickets beside every candidate of a head.

    Args:
        profiles: K candidates.
        tickets: N records; everything here holds arrays of [N, K], so callers go through many records in pieces.
    """

    def __init__(self, profiles: Profiles, tickets: Tickets) -> None:
        self._profiles = profiles
        self._tickets = tickets
        self.similarity = (tickets.words @ profiles.words).toarray()
        self.topic_similarity = tickets.topics @ profiles.topics.T
        self.prior = profiles.log_prior.astype(np.float32)

    def candidates(self, most: int) -> np.ndarray:
        """Return the labels worth ranking, int64 [N, min(K, most)], nearest first.

        Near is the sum of both similarities; the prior comes in with a small weight, for tickets whose text says
        nothing.
        """
        near = self.similarity + self.topic_similarity + _PRIOR_WEIGHT * self.prior
        order: np.ndarray = np.argsort(-near, axis=1, kind="stable")[:, :most]
        return order

    def pairs(self, candidates: np.ndarray) -> np.ndarray:
        """Return what the ranker sees of each pair, float32 [N * M, columns], a ticket's pairs together.

        The ticket's levels (first, for the ranker has to know which columns are categorical) and numbers, as they are;
        similarity in TF-IDF and in topic space, each also as the distance from the ticket's best; the prior; the
        products of the strongest topics of ticket and candidate.

        Args:
            candidates: label indices, int64 [N, M].
        """
        rows, each = candidates.shape
        ticket = np.arange(rows)[:, None]
        columns = [
            self.similarity[ticket, candidates],
            (self.similarity - self.similarity.max(axis=1, keepdims=True))[ticket, candidates],
            self.topic_similarity[ticket, candidates],
            (self.topic_similarity - self.topic_similarity.max(axis=1, keepdims=True))[ticket, candidates],
            self.prior[candidates],
        ]
        topics = slice(0, _MULTIPLIED_TOPICS)
        products = self._tickets.topics[:, None, topics] * self._profiles.topics[candidates, topics]
        parts = [
            np.repeat(self._tickets.levels, each, axis=0),
            np.repeat(self._tickets.numbers, each, axis=0),
            np.stack(columns, axis=-1).reshape(rows * each, len(columns)),
            products.reshape(rows * each, products.shape[-1]),
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)
