"""New labels that have too few rows to be trained: suggested by their likeness to a description or a few examples.

A prototype is the mean direction of a label's text vectors (nearest-mean classification; of texts: Rocchio 1971). Any
model that gives a text a vector can use it; nothing but NumPy runs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

MIN_EXAMPLES = 20
"""Rows from which on a label is left to the model."""
MOST = 0.5
"""Probability that new labels take from the model's at most, together."""
_TEMPERATURES = np.geomspace(0.01, 1, 24)
_ROWS = 4096


@dataclass(frozen=True)
class Prototypes:
    """Mean directions of labels.

    Attributes:
        labels: [L], those that were fitted first, then new ones.
        centre: mean of the vectors, float32 [D]; directions are taken from there, because what all texts share (as
            any encoder's vectors do) tells no label.
        directions: float32 [L, D], of length 1.
        temperature: of the softmax over cosines.
        new: labels at the end of `labels` that the model does not know well.
    """

    labels: tuple[str, ...]
    centre: np.ndarray
    directions: np.ndarray
    temperature: float
    new: tuple[str, ...] = ()

    @classmethod
    def fit(cls, vectors: np.ndarray, labels: Sequence[str]) -> Prototypes:
        """Fit on labelled vectors: rows of known labels, and descriptions or examples of new ones, all alike.

        The temperature is the one with the least log loss over rows each of which is left out of its own label's mean;
        labels with one row take no part in that.

        Args:
            vectors: float [N, D].
            labels: [N].
        """
        names, codes = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)
        weight = 1 / np.bincount(codes)[codes]  # the centre is that of the labels: a frequent one does not pull it
        centre = (vectors * weight[:, None]).sum(0) / weight.sum()
        units = _unit(vectors - centre)
        sums = np.zeros((len(names), units.shape[1]))
        np.add.at(sums, codes, units)
        return cls(
            labels=tuple(names.tolist()),
            centre=centre.astype(np.float32),
            directions=_unit(sums).astype(np.float32),
            temperature=_temperature(units, codes, sums),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fitted values by name, float32; the labels' names are not in them."""
        temperature = np.array([self.temperature], np.float32)
        return {"centre": self.centre, "directions": self.directions, "temperature": temperature}

    @classmethod
    def of(cls, labels: Sequence[str], arrays: Mapping[str, np.ndarray]) -> Prototypes:
        """Rebuild them from `arrays`."""
        return cls(tuple(labels), arrays["centre"], arrays["directions"], float(arrays["temperature"][0]))

    def extended(self, vectors: np.ndarray, labels: Sequence[str]) -> Prototypes:
        """Return them with further labels.

        Args:
            vectors: of descriptions or examples, float [N, D].
            labels: of each, [N].
        """
        names, codes = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)
        sums = np.zeros((len(names), self.directions.shape[1]))
        np.add.at(sums, codes, _unit(vectors - self.centre))
        directions = np.concatenate([self.directions, _unit(sums).astype(np.float32)])
        new = tuple(names.tolist())
        return replace(self, labels=(*self.labels, *new), directions=directions, new=(*self.new, *new))

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return cosines with the labels' directions, float32 [N, L]."""
        return np.asarray(_unit(vectors - self.centre) @ self.directions.T, np.float32)

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Return the softmax over cosines, float64 [N, L]; every label is as likely as another beforehand."""
        return _softmax(self.scores(vectors).astype(np.float64) / self.temperature)


def introduce(
    probabilities: np.ndarray, labels: Sequence[str], prototypes: Prototypes, vectors: np.ndarray
) -> np.ndarray:
    """Give new labels a place among a model's probabilities.

    The rule: the new labels take ``m = min(sum of their prototype probabilities, MOST)``. The model's probabilities are
    scaled by ``1 - m``, and ``m`` is divided among the new labels as their prototype probabilities are. A new label can
    so be the best answer of an uncertain model, and never more than `MOST`.

    Args:
        probabilities: float [N, T], rows sum to 1.
        labels: of the columns, [T]; they hold every new label.
        prototypes: of known and new labels.
        vectors: of the same rows, float [N, D].

    Returns:
        float32 [N, T], rows sum to 1.
    """
    if not prototypes.new:
        return np.asarray(probabilities, np.float32)
    sources = np.arange(len(prototypes.labels) - len(prototypes.new), len(prototypes.labels))
    targets = np.array([list(labels).index(label) for label in prototypes.new])
    likely = prototypes.probabilities(vectors)[:, sources]
    whole = likely.sum(1, keepdims=True)
    taken = np.minimum(whole, MOST)
    result = probabilities.astype(np.float64) * (1 - taken)
    result[:, targets] += likely * (taken / np.maximum(whole, np.finfo(np.float64).tiny))
    return np.asarray(result, np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a zero row stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _temperature(units: np.ndarray, codes: np.ndarray, sums: np.ndarray) -> float:
    """Return the temperature with the least leave-one-out log loss; 1 where every label has one row."""
    several = np.flatnonzero(np.bincount(codes)[codes] > 1)
    if not len(several):
        return 1.0
    if len(several) > _ROWS:
        several = several[np.linspace(0, len(several) - 1, _ROWS).astype(int)]
    rows = np.arange(len(several))
    own = codes[several]
    cosines = units[several] @ _unit(sums).T
    cosines[rows, own] = (units[several] * _unit(sums[own] - units[several])).sum(1)
    losses = [-np.log(np.maximum(_softmax(cosines / t)[rows, own], 1e-300)).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])
