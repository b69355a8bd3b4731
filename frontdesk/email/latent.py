"""The latent space of a desk's mails: what turns sparse grams into a vector that a small network can learn from.

Latent semantic analysis (Deerwester et al. 1990): the leading right singular vectors of the TF-IDF matrix of the
training mails. It needs no labels, so every mail of the desk takes part, and grams that no labelled mail of a class
holds stand near those that some does. Fitting needs scikit-learn; projecting needs numpy only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from frontdesk.email.grams import Bags

_FIT_ROWS = 20_000
_ITERATIONS = 4


def fit_latent(bags: Bags, grams: int, width: int, seed: int) -> np.ndarray:
    """Return the directions, float16 [grams, D], D at most ``width``.

    Args:
        bags: of the training mails; of many, a seeded sample.
        grams: number of grams.
        width: most directions.
        seed: of the sample and of the randomised decomposition (Halko, Martinsson, Tropp 2011).
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    rows = len(bags.begins) - 1
    matrix: Any = sparse.csr_matrix((bags.weights, bags.features, bags.begins), shape=(rows, grams))
    if rows > _FIT_ROWS:
        matrix = matrix[np.sort(np.random.default_rng([seed, 3]).choice(rows, _FIT_ROWS, replace=False))]
    width = min(width, min(matrix.shape) - 1)
    if width < 1:
        return np.zeros((grams, 1), np.float16)
    found = randomized_svd(matrix, width, n_iter=_ITERATIONS, random_state=seed)[2]
    return np.ascontiguousarray(found.T, np.float16)


def project(bags: Bags, directions: np.ndarray) -> np.ndarray:
    """Return the vectors of mails, float32 [N, D], of length ``sqrt(D) / 2``: entries of half a unit's size."""
    found = np.zeros((len(bags.begins) - 1, directions.shape[1]), np.float32)
    for row, (begin, end) in enumerate(zip(bags.begins[:-1], bags.begins[1:], strict=True)):
        found[row] = bags.weights[begin:end] @ directions[bags.features[begin:end]].astype(np.float32)
    length = np.sqrt((found**2).sum(axis=1, keepdims=True))
    unit: np.ndarray = found / np.maximum(length, 1e-6) * (np.sqrt(directions.shape[1]) / 2)
    return unit.astype(np.float32)
