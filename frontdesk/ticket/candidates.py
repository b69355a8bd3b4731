"""What v1 knows of a candidate label, and what its ranker sees of a pair of ticket and candidate."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from frontdesk.ticket.topics import unit_rows

_PRIOR_ROWS = 0.5
_LEVEL_ROWS = 10.0
_TERMS = 2_000
"""Terms kept of a candidate's mean vector: the heaviest ones."""
_NEAR_WEIGHT = 0.05
_MULTIPLIED_TOPICS = 32


@dataclass(frozen=True)
class Tickets:
    """Records as v1 sees them.

    Attributes:
        words: TF-IDF vectors, CSR float32 [N, width].
        topics: topic vectors of length one, float32 [N, T].
        levels: int32 [N, F]: the categorical fields, then the numeric ones cut into ranges; 0 is missing or unseen.
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
        levels: per field, tickets per level and label, CSR int64 [levels + 1, K].
    """

    rows: np.ndarray
    words: Any
    topics: np.ndarray
    levels: tuple[Any, ...]

    @classmethod
    def of(cls, tickets: Tickets, labels: np.ndarray, label_count: int, level_counts: tuple[int, ...]) -> Sums:
        """Add up tickets by their labels.

        Args:
            tickets: N records.
            labels: int [N], each in ``0 .. label_count - 1``.
            label_count: K.
            level_counts: rows of each field's table: its levels and the missing one.
        """
        rows = len(labels)
        member = sparse.csr_matrix((np.ones(rows), (labels, np.arange(rows))), (label_count, rows))
        tables = tuple(
            sparse.csr_matrix((np.ones(rows, np.int64), (tickets.levels[:, field], labels)), (count, label_count))
            for field, count in enumerate(level_counts)
        )
        return cls(
            np.bincount(labels, minlength=label_count),
            member @ tickets.words,
            member @ tickets.topics.astype(np.float64),
            tables,
        )

    def __sub__(self, other: Sums) -> Sums:
        levels = tuple(mine - theirs for mine, theirs in zip(self.levels, other.levels, strict=True))
        return Sums(self.rows - other.rows, self.words - other.words, self.topics - other.topics, levels)


@dataclass(frozen=True)
class Profiles:
    """One head's K candidates, each as the mean of its tickets.

    Attributes:
        rows: tickets per label, int64 [K].
        words: mean TF-IDF vectors of length one, CSR float32 [width, K].
        topics: mean topic vectors of length one, float32 [K, T].
        levels: per field, tickets per level and label, CSR int64 [levels + 1, K].
    """

    rows: np.ndarray
    words: Any
    topics: np.ndarray
    levels: tuple[Any, ...]

    @classmethod
    def of(cls, sums: Sums) -> Profiles:
        """Turn sums into means."""
        words = unit_rows(_heaviest(sums.words.tocsr(), _TERMS))
        return cls(sums.rows, words.T.tocsr(), unit_rows(sums.topics.astype(np.float32)), sums.levels)

    @functools.cached_property
    def log_prior(self) -> np.ndarray:
        """Smoothed logarithm of each label's share, float64 [K]."""
        smoothed = self.rows + _PRIOR_ROWS
        logarithm: np.ndarray = np.log(smoothed / smoothed.sum())
        return logarithm

    @functools.cached_property
    def fits(self) -> tuple[np.ndarray, ...]:
        """Per field, how much each level speaks for each label, float32 [levels + 1, K].

        ``ln(share of the label among the tickets of the level / share of the label)``, the former smoothed towards the
        latter by `_LEVEL_ROWS` imagined tickets: 0 for a level that says nothing.
        """
        share = np.exp(self.log_prior)
        tables = []
        for counts in self.levels:
            seen = counts.toarray()
            expected = (seen.sum(axis=1, keepdims=True) + _LEVEL_ROWS) * share
            tables.append(np.log((seen + _LEVEL_ROWS * share) / expected).astype(np.float32))
        return tuple(tables)


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
        self.fits = np.empty((len(profiles.levels), *self.similarity.shape), np.float32)
        for field, table in enumerate(profiles.fits):
            self.fits[field] = table[tickets.levels[:, field]]
        self.prior = profiles.log_prior.astype(np.float32)

    def candidates(self, most: int) -> np.ndarray:
        """Return the labels worth ranking, int64 [N, min(K, most)], nearest first.

        Near is the sum of both similarities; prior and level fits come in with a small weight, for tickets whose text
        says nothing.
        """
        near = self.similarity + self.topic_similarity + _NEAR_WEIGHT * (self.fits.sum(axis=0) + self.prior)
        order: np.ndarray = np.argsort(-near, axis=1, kind="stable")[:, :most]
        return order

    def pairs(self, candidates: np.ndarray) -> np.ndarray:
        """Return what the ranker sees of each pair, float32 [N * M, columns], a ticket's pairs together.

        Similarity in TF-IDF and in topic space, each also as the distance from the ticket's best; the prior alone and
        with all level fits (naive Bayes over the fields); each level fit; the ticket's numbers; the products of the
        strongest topics of ticket and candidate.

        Args:
            candidates: label indices, int64 [N, M].
        """
        rows, each = candidates.shape
        ticket = np.arange(rows)[:, None]
        fits = self.fits[:, ticket, candidates]
        prior = self.prior[candidates]
        columns = [
            self.similarity[ticket, candidates],
            (self.similarity - self.similarity.max(axis=1, keepdims=True))[ticket, candidates],
            self.topic_similarity[ticket, candidates],
            (self.topic_similarity - self.topic_similarity.max(axis=1, keepdims=True))[ticket, candidates],
            prior,
            prior + fits.sum(axis=0),
            *fits,
        ]
        topics = slice(0, _MULTIPLIED_TOPICS)
        products = self._tickets.topics[:, None, topics] * self._profiles.topics[candidates, topics]
        parts = [
            np.stack(columns, axis=-1).reshape(rows * each, len(columns)),
            np.repeat(self._tickets.numbers, each, axis=0),
            products.reshape(rows * each, products.shape[-1]),
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)
