"""The linear path: one support vector machine per label over TF-IDF grams and the bank.

On a few thousand mails no single model of text beats it by much; what the network and the other heads add is the
business of `combination`. Training needs scikit-learn; answering needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.email.grams import Bags

_REGULARISATION = 0.5
_LEVEL_WEIGHT = 0.5
"""Of a bank's indicator, where words and sequences have unit length each."""
_UNSEEN = -1.5
"""Score of a label without a training row: surer of "no" than the machine is on its margin."""
MAX_WORK = 8_000_000
"""Training rows times labels of a head; of more rows, a seeded sample. Some five minutes on one core."""


@dataclass(frozen=True)
class Linear:
    """Weights of one head.

    Attributes:
        grams: float32 [G, K].
        levels: float32 [sum of levels, K], fields one after the other.
        bias: float32 [K].
    """

    grams: np.ndarray
    levels: np.ndarray
    bias: np.ndarray

    def scores(self, bags: Bags, levels: np.ndarray) -> np.ndarray:
        """Return float32 [N, K] of bags and of places in `levels`, int64 [N, C] (negative: none)."""
        scores = np.repeat(self.bias[None, :], len(bags.begins) - 1, axis=0)
        for row, (begin, end) in enumerate(zip(bags.begins[:-1], bags.begins[1:], strict=True)):
            scores[row] += bags.weights[begin:end] @ self.grams[bags.features[begin:end]]
        for places in levels.T:
            known = places >= 0
            scores[known] += _LEVEL_WEIGHT * self.levels[places[known]]
        return scores


def level_places(categories: np.ndarray, levels: tuple[int, ...]) -> np.ndarray:
    """Return where each level stands in `Linear.levels`, int64 [N, C]; -1 for a missing or unseen one.

    Args:
        categories: int [N, C], 0 for missing or unseen.
        levels: levels per field, the missing one included.
    """
    begins = np.concatenate([[0], np.cumsum(levels)])[:-1].astype(np.int64)
    return np.where(categories > 0, categories + begins, -1)


def fit_linear(bags: Bags, places: np.ndarray, labels: np.ndarray, *, grams: int, levels: int, count: int) -> Linear:
    """Fit one head.

    Args:
        bags: of all rows.
        places: int64 [N, C], see `level_places`.
        labels: int [N]; rows with a negative one are left out.
        grams: number of grams.
        levels: number of levels.
        count: number of labels, K.
    """
    rows = np.flatnonzero(labels >= 0)
    if len(rows) > (most := max(MAX_WORK // count, 1_000)):
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    found = labels[rows]
    names = np.unique(found)
    weights = np.zeros((grams + levels, count), np.float32)
    bias = np.full(count, _UNSEEN, np.float32)
    if len(names) == 1:
        bias[names] = 1.0
    elif len(names) > 1:
        coefficients, intercepts = _svc(_matrix(bags, places, grams, levels)[rows], found)
        weights[:, names], bias[names] = coefficients.T, intercepts
    return Linear(weights[:grams], weights[grams:], bias)


def _matrix(bags: Bags, places: np.ndarray, grams: int, levels: int) -> Any:
    from scipy import sparse

    rows = len(bags.begins) - 1
    texts = sparse.csr_matrix((bags.weights, bags.features, bags.begins), shape=(rows, grams))
    row, field = np.nonzero(places >= 0)
    weights = np.full(len(row), _LEVEL_WEIGHT, np.float32)
    banks = sparse.csr_matrix((weights, (row, places[row, field])), shape=(rows, levels))
    return sparse.hstack([texts, banks], "csr")


def _svc(matrix: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [K, F] and intercepts [K]; of two labels, the second one's and its negative."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=_REGULARISATION, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(matrix, labels)
    weights, bias = machine.coef_, machine.intercept_
    if len(weights) == 1:
        return np.concatenate([-weights, weights]), np.concatenate([-bias, bias])
    return weights, bias
