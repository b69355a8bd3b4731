"""What the network and every engine compute with, without torch: phrases, what each term weighs, fixed numbers."""

from __future__ import annotations

import numpy as np

from frontdesk.preprocessing.spec import FIRST_WORD, Spec, inverse_document_frequency

NUMBER_LIMIT = 10.0
"""Standardised numbers are clipped to +-10 before they become float32: 1e308 must not become infinite."""
NORM_EPSILON = 1e-2
"""Added to the variance of a batch-normalised number: an indicator that is hardly ever set must not be blown up."""


def phrase_codes(spec: Spec) -> np.ndarray:
    """Return the sorted codes ``first * vocabulary_size + second`` of the phrases, int64 [phrases].

    Place in this order, not in the spec's, is the index of a phrase in the wide table.
    """
    return np.sort(_codes(spec))


def term_weights(spec: Spec) -> np.ndarray:
    """Return the inverse document frequency of every wide feature, float32 [vocabulary_size + phrases].

    Padding and unknown words weigh nothing. Phrases stand in the order of `phrase_codes`.
    """
    words = inverse_document_frequency(spec.documents, spec.word_documents)
    phrases = inverse_document_frequency(spec.documents, spec.phrase_documents)[np.argsort(_codes(spec))]
    return np.concatenate([np.zeros(FIRST_WORD, np.float32), words, phrases])


def _codes(spec: Spec) -> np.ndarray:
    pairs = np.array(spec.phrases, np.int64).reshape(-1, 2)
    codes: np.ndarray = pairs[:, 0] * spec.vocabulary_size + pairs[:, 1]
    return codes
