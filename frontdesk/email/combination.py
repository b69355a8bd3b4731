"""How the models' answers become one probability: weights per head, fitted on answers to held-out rows.

Each model's scores become log-probabilities by a temperature. A head's logits are their weighted sum, a bias per label,
and in the multi-task model what the other heads' probabilities say (a queue speaks for a business line): stacked
generalisation (Wolpert 1992) as a multinomial logistic regression. Last, a share of the log prior is taken off, so that
rare labels get their due (Menon et al. 2021), and a temperature makes the confidence one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.evaluation.calibration import fit_temperature

_BIAS_PENALTY = 3.0
_CROSS_PENALTIES = (3.0, 10.0, 30.0)
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_PARTS = 5
_ENOUGH = 50
"""Held-out rows that a head needs before anything is fitted."""


@dataclass(frozen=True)
class Combination:
    """Fitted values of one head.

    Attributes:
        temperatures: of each model's scores of this head, float32 [M].
        weights: of each model's log-probabilities, float32 [M].
        bias: float32 [K]; holds the adjustment for rare labels.
        cross: what the other heads' probabilities say, float32 [sum of their K, K]; no rows where they say nothing.
        temperature: divides the logits.
    """

    temperatures: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    cross: np.ndarray
    temperature: float

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fitted values by name, float32."""
        values = {
            "temperatures": self.temperatures,
            "weights": self.weights,
            "bias": self.bias,
            "cross": self.cross,
            "temperature": np.array([self.temperature]),
        }
        return {name: np.ascontiguousarray(value, np.float32) for name, value in values.items()}

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> Combination:
        """Rebuild it from `arrays`."""
        rest = {name: arrays[name] for name in ("temperatures", "weights", "bias", "cross")}
        return cls(**rest, temperature=float(arrays["temperature"][0]))


Scores = dict[str, list[np.ndarray]]
"""``{head: [scores of each model, float [N, K]]}``."""


def combine(scores: Scores, fitted: dict[str, Combination]) -> dict[str, np.ndarray]:
    """Return calibrated probabilities ``{head: float32 [N, K]}``."""
    opinions = {
        head: [log_softmax(one / t) for one, t in zip(scores[head], fitted[head].temperatures, strict=True)]
        for head in fitted
    }
    return {
        head: np.exp(log_softmax(_logits(opinions, head, one) / one.temperature)).astype(np.float32)
        for head, one in fitted.items()
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities, [N, K]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _logits(opinions: Scores, head: str, fitted: Combination) -> np.ndarray:
    logits = fitted.bias + sum(w * one for w, one in zip(fitted.weights, opinions[head], strict=True))
    if len(fitted.cross):
        logits = logits + _others(opinions, head) @ fitted.cross
    return np.asarray(logits)


def _others(opinions: Scores, head: str) -> np.ndarray:
    """Return the mean probabilities of the other heads side by side, [N, sum of their K]."""
    return np.concatenate(
        [np.mean([np.exp(one) for one in found], axis=0) for other, found in opinions.items() if other != head], axis=1
    )


def fit_combination(
    scores: Scores, labels: dict[str, np.ndarray], *, cross: bool, seed: int
) -> tuple[dict[str, Combination], dict[str, np.ndarray]]:
    """Fit every head.

    Args:
        scores: of the models that did not see the row in training.
        labels: ``{head: int [N]}``; rows with a negative label are left out.
        cross: let the other heads speak.
        seed: of the parts in which the penalty and the share of the prior are chosen.

    Returns:
        The fitted values, and ``{head: float32 [n, K]}``, the probabilities of the n rows that have the head's label,
        each by a combination that did not see the row.
    """
    temperatures = {
        head: np.array([fit_temperature(np.asarray(one, np.float64), labels[head]) for one in found])
        if (labels[head] >= 0).sum() >= _ENOUGH
        else np.ones(len(found))
        for head, found in scores.items()
    }
    opinions = {
        head: [log_softmax(one.astype(np.float64) / t) for one, t in zip(found, temperatures[head], strict=True)]
        for head, found in scores.items()
    }
    found = {
        head: _fit_head(opinions, head, labels[head], temperatures[head], cross and len(scores) > 1, seed)
        for head in scores
    }
    return {head: one for head, (one, _) in found.items()}, {head: held_out for head, (_, held_out) in found.items()}


def _fit_head(
    opinions: Scores, head: str, labels: np.ndarray, temperatures: np.ndarray, cross: bool, seed: int
) -> tuple[Combination, np.ndarray]:
    models, count = len(opinions[head]), opinions[head][0].shape[1]
    known = np.flatnonzero(labels >= 0)
    plain = Combination(temperatures, np.full(models, 1 / models), np.zeros(count), np.zeros((0, count)), 1.0)
    if len(known) < _ENOUGH or count < 2:
        logits = _logits({head: [one[known] for one in opinions[head]]}, head, plain)
        return plain, np.exp(log_softmax(logits)).astype(np.float32)
    own = np.stack([one[known] for one in opinions[head]])  # [M, N, K]
    others = _others(opinions, head)[known] if cross else np.zeros((len(known), 0))
    target = labels[known]
    # Every row is answered by a combination that did not see it, for each penalty; the best penalty is kept.
    part = np.random.default_rng([seed, 7]).permutation(len(known)) % _PARTS
    best: tuple[float, float, np.ndarray] | None = None
    for penalty in _CROSS_PENALTIES if others.shape[1] else _CROSS_PENALTIES[:1]:
        logits = np.empty((len(known), count))
        for number in range(_PARTS):
            seen = part != number
            weights, bias, matrix = _regress(own[:, seen], others[seen], target[seen], penalty)
            logits[~seen] = np.tensordot(weights, own[:, ~seen], 1) + bias + others[~seen] @ matrix
        loss = -log_softmax(logits)[np.arange(len(known)), target].mean()
        if best is None or loss < best[0]:
            best = (loss, penalty, logits)
    assert best is not None
    _, penalty, held_out = best
    prior = np.log(np.maximum(np.bincount(target, minlength=count), 0.5) / len(target))
    share = _choose_share(held_out, prior, target)
    weights, bias, matrix = _regress(own, others, target, penalty)
    temperature = fit_temperature(held_out - share * prior, target)
    probabilities = np.exp(log_softmax((held_out - share * prior) / temperature)).astype(np.float32)
    return Combination(temperatures, weights, bias - share * prior, matrix, temperature), probabilities


def _choose_share(logits: np.ndarray, prior: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the log prior with the best accuracy plus half of the macro-F1, of held-out logits.

    Half, because a macro-F1 rests on the few rows of the rare labels, while a mail less is a mail less.
    """
    logits = log_softmax(logits)
    worth = []
    for share in _SHARES:
        found = (logits - share * prior).argmax(1)
        worth.append(float((found == labels).mean()) + 0.5 * macro_f1(labels, found, len(prior)))
    # One share's figure is noisy: the neighbours have a say.
    smooth = np.convolve(np.pad(worth, 1, "edge"), [0.25, 0.5, 0.25], "valid")
    return _SHARES[int(smooth.argmax())]


def macro_f1(labels: np.ndarray, found: np.ndarray, count: int) -> float:
    """Return the mean F1 of the labels that occur."""
    return float(per_label(labels, found, count)[2].mean())


def per_label(labels: np.ndarray, found: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of the labels that occur, float64 [labels that occur] each."""
    right = np.bincount(labels[labels == found], minlength=count)
    of, said = np.bincount(labels, minlength=count), np.bincount(found, minlength=count)
    occurs = of > 0
    right, of, said = right[occurs], of[occurs], said[occurs]
    return right / np.maximum(said, 1), right / of, 2 * right / (of + said)


def _regress(
    own: np.ndarray, others: np.ndarray, labels: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights [M], bias [K] and matrix [D, K] of the penalised multinomial logistic regression.

    Args:
        own: float64 [M, N, K].
        others: float64 [N, D].
        labels: int [N].
        penalty: of the squared entries of the matrix.
    """
    from scipy.optimize import minimize

    models, rows, count = own.shape
    indicator = np.zeros((rows, count))
    indicator[np.arange(rows), labels] = 1.0
    shapes: Sequence[tuple[int, ...]] = ((models,), (count,), (others.shape[1], count))
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def parts(flat: np.ndarray) -> list[np.ndarray]:
        return [piece.reshape(shape) for piece, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias, matrix = parts(flat)
        logs = log_softmax(np.tensordot(weights, own, 1) + bias + others @ matrix)
        slope = np.exp(logs) - indicator
        value = -logs[np.arange(rows), labels].sum() + _BIAS_PENALTY * bias @ bias + penalty * (matrix**2).sum()
        gradient = [
            np.tensordot(own, slope, ([1, 2], [0, 1])),
            slope.sum(0) + 2 * _BIAS_PENALTY * bias,
            others.T @ slope + 2 * penalty * matrix,
        ]
        return float(value), np.concatenate([piece.ravel() for piece in gradient])

    start = np.concatenate([np.full(models, 1 / models), np.zeros(ends[-1] - models)])
    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weights, bias, matrix = parts(found.x)
    return weights, bias, matrix
