"""Texts as classical vectors: TF-IDF over the spec's words and phrases, and topics by latent semantic analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import FIRST_WORD, Spec, inverse_document_frequency
from frontdesk.text.cleaning import MAX_CHARACTERS

_OVERSAMPLING = 16
_POWER_STEPS = 4


class TextVectors:
    """Turns the text columns of records into TF-IDF vectors. Reads the whole text, not `Spec.max_tokens` of it.

    A vector has one place per word of the spec's vocabulary, then one per phrase. A weight is ``1 + ln count`` times
    the inverse document frequency; the vector's length is one, or zero where no word is known.

    Args:
        spec: the fitted values.
    """

    def __init__(self, spec: Spec) -> None:
        self._encoder = Encoder(replace(spec, max_tokens=MAX_CHARACTERS))
        self._base = spec.vocabulary_size
        codes = np.array([first * self._base + second for first, second in spec.phrases], np.int64)
        self._order = np.argsort(codes)
        self._codes = codes[self._order]
        self.words = len(spec.vocabulary)
        self.width = self.words + len(codes)
        self._idf = inverse_document_frequency(spec.documents, (*spec.word_documents, *spec.phrase_documents))

    def __call__(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Any:
        """Return the vectors, a CSR matrix of float32 [rows, width]."""
        encoder = self._encoder
        texts = [encoder.word_ids(encoder.text(columns, row)) for row in range(rows)]
        ids = np.array([word for text in texts for word in text], np.int64)
        row = np.repeat(np.arange(rows), [len(text) for text in texts])
        known = ids >= FIRST_WORD
        places, at = [ids[known] - FIRST_WORD], [row[known]]
        if len(self._codes):
            pairs = ids[:-1] * self._base + ids[1:]
            found = np.minimum(np.searchsorted(self._codes, pairs), len(self._codes) - 1)
            hit = (self._codes[found] == pairs) & (row[:-1] == row[1:])
            places.append(self._order[found[hit]] + self.words)
            at.append(row[:-1][hit])
        place = np.concatenate(places)
        counts = sparse.csr_matrix((np.ones(len(place), np.float32), (np.concatenate(at), place)), (rows, self.width))
        counts.sum_duplicates()
        counts.data = (1 + np.log(counts.data)) * self._idf[counts.indices]
        return unit_rows(counts)


def unit_rows(matrix: Any) -> Any:
    """Return a matrix (CSR or array, float32 [N, D]) with rows of length one; zero rows stay zero."""
    if not sparse.issparse(matrix):
        return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12).astype(np.float32)
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), np.float64).ravel())
    scale = (1 / np.maximum(lengths, 1e-12)).astype(np.float32)
    result = matrix.tocsr().copy()
    result.data *= np.repeat(scale, np.diff(result.indptr))
    return result


def fit_topics(vectors: Any, topics: int, seed: int) -> np.ndarray:
    """Return the directions of latent semantic analysis, float32 [width, at most topics], strongest first.

    The leading right singular vectors of the TF-IDF matrix, by the randomised range finder with power steps (Halko,
    Martinsson, Tropp 2011, algorithm 4.4). The sign of a direction makes its largest weight positive.

    Args:
        vectors: CSR matrix [N, width].
        topics: directions wanted; fewer come back where the matrix has a lower rank bound.
        seed: of the random start.
    """
    rows, width = vectors.shape
    wanted = min(topics, rows, width)
    if wanted == 0:
        return np.zeros((width, 0), np.float32)
    start = np.random.default_rng(seed).standard_normal((width, min(wanted + _OVERSAMPLING, rows, width)))
    basis = np.linalg.qr(vectors @ start.astype(np.float32))[0]
    for _ in range(_POWER_STEPS):
        basis = np.linalg.qr(vectors @ np.linalg.qr(vectors.T @ basis)[0])[0]
    directions = np.linalg.svd(np.asarray(vectors.T @ basis), full_matrices=False)[0][:, :wanted]
    heaviest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    signed: np.ndarray = (directions * np.where(heaviest < 0, -1, 1)).astype(np.float32)
    return signed
