"""How the models' answers become one probability: a handful of values per head, fitted on answers to held-out rows.

Each model's scores become log-probabilities by a temperature, and a head's opinion is their weighted mean. In the
multi-task model the other heads speak too, in proportion to how often their labels came with this head's (a queue
speaks for a business line). Last, a share of the log prior is taken off, so that rare labels get their due (Menon et
al. 2021), and a temperature makes the confidence one. A logistic regression with a bias per label and a matrix between
the heads, in the place of two weights and counts, fitted the noise of a few thousand mails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from frontdesk.evaluation.calibration import fit_temperature

_GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights tried, of the second model and of the other heads."""
_LINEAR = 0.75
"""Usual weight of the second model, the linear path; the first is the network."""
_SHARE = 0.05
"""Of the log prior: lifts rare labels, and costs the frequent ones next to nothing."""
_INDEPENDENT = 0.5
"""Rows per counted row that are added to the joint counts of two heads as if these were independent."""
_PARTS = 5
_ENOUGH = 20
"""Held-out rows that a head needs before anything is fitted."""


@dataclass(frozen=True)
class Combination:
    """Fitted values of one head.

    Attributes:
        temperatures: of each model's scores of this head, float32 [M].
        weights: of each model's log-probabilities, float32 [M].
        bias: the adjustment for rare labels, float32 [K].
        cross: how many times more often each label of the other heads comes with each of this one's than if they
            were independent, float32 [sum of their K, K]; no rows where they say nothing.
        cross_weight: of what the other heads say.
        temperature: divides the logits.
    """

    temperatures: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    cross: np.ndarray
    cross_weight: float
    temperature: float

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fitted values by name, float32."""
        values = {
            "temperatures": self.temperatures,
            "weights": self.weights,
            "bias": self.bias,
            "cross": self.cross,
            "cross_weight": np.array([self.cross_weight]),
            "temperature": np.array([self.temperature]),
        }
        return {name: np.ascontiguousarray(value, np.float32) for name, value in values.items()}

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> Combination:
        """Rebuild it from `arrays`."""
        rest = {name: arrays[name] for name in ("temperatures", "weights", "bias", "cross")}
        weight, temperature = float(arrays["cross_weight"][0]), float(arrays["temperature"][0])
        return cls(**rest, cross_weight=weight, temperature=temperature)


Scores = dict[str, list[np.ndarray]]
"""``{head: [scores of each model, float [N, K]]}``."""


def combine(scores: Scores, fitted: dict[str, Combination]) -> dict[str, np.ndarray]:
    """Return calibrated probabilities ``{head: float32 [N, K]}``."""
    opinions = {head: _opinion(scores[head], one) for head, one in fitted.items()}
    return {
        head: _probabilities(_heard(opinions, head, one.cross, one.cross_weight) + one.bias, one.temperature)
        for head, one in fitted.items()
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities, [N, K]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    result: np.ndarray = np.exp(log_softmax(logits / temperature)).astype(np.float32)
    return result


def _opinion(scores: list[np.ndarray], fitted: Combination) -> np.ndarray:
    """Return the log-probabilities of one head's models together, [N, K]."""
    logs = [log_softmax(one / t) for one, t in zip(scores, fitted.temperatures, strict=True)]
    return log_softmax(np.asarray(sum(weight * one for weight, one in zip(fitted.weights, logs, strict=True))))


def _heard(opinions: Mapping[str, np.ndarray], head: str, cross: np.ndarray, weight: float) -> np.ndarray:
    """Return a head's opinion after what the other heads say, [N, K].

    Of another head's probabilities q and the joint frequencies p of training, that is the log of the sum over its
    labels j of ``q(j) p(j, k) / (p(j) p(k))``.
    """
    logits, begin = opinions[head], 0
    for other, opinion in opinions.items():
        if other != head and len(cross):
            end = begin + opinion.shape[1]
            logits = logits + weight * np.log(np.exp(opinion) @ cross[begin:end])
            begin = end
    return logits


def fit_combination(
    scores: Scores, labels: dict[str, np.ndarray], *, cross: bool, seed: int
) -> tuple[dict[str, Combination], dict[str, np.ndarray]]:
    """Fit every head.

    Args:
        scores: of the models that did not see the row in training.
        labels: ``{head: int [N]}``; rows with a negative label are left out.
        cross: let the other heads speak.
        seed: of the parts that keep a row's own labels from speaking for it.

    Returns:
        The fitted values, and ``{head: float32 [n, K]}``, the probabilities of the n rows that have the head's label.
    """
    plain = {head: _mix(found, labels[head]) for head, found in scores.items()}
    opinions = {head: _opinion([one.astype(np.float64) for one in scores[head]], plain[head]) for head in scores}
    fitted, held_out = {}, {}
    for head in scores:
        fitted[head], held_out[head] = _fit_head(opinions, head, labels, plain[head], cross and len(scores) > 1, seed)
    return fitted, held_out


def _mix(scores: list[np.ndarray], labels: np.ndarray) -> Combination:
    """Return the temperatures and weights of the models.

    Of the weights whose loss is within a standard error of the least, the one nearest to `_LINEAR` is taken.
    """
    models, count = len(scores), scores[0].shape[1]
    even = Combination(np.ones(models), np.full(models, 1 / models), np.zeros(count), np.zeros((0, count)), 0.0, 1.0)
    known = labels >= 0
    if known.sum() < _ENOUGH or count < 2:
        return even
    found, target = [one[known].astype(np.float64) for one in scores], labels[known]
    even = replace(even, temperatures=np.array([fit_temperature(one, target) for one in found]))
    if models != 2:
        return even
    tried, losses = [], []
    for share in _GRID:
        mixed = replace(even, weights=np.array([1 - share, share]))
        tried.append(replace(mixed, weights=mixed.weights / fit_temperature(_opinion(found, mixed), target)))
        losses.append(_losses(_opinion(found, tried[-1]), target))
    more = np.array(losses) - losses[int(np.argmin(np.mean(losses, axis=1)))]
    close = np.flatnonzero(more.mean(axis=1) <= more.std(axis=1) / np.sqrt(len(target)))
    return tried[min(close, key=lambda place: abs(_GRID[place] - _LINEAR))]


def _fit_head(
    opinions: Mapping[str, np.ndarray],
    head: str,
    labels: Mapping[str, np.ndarray],
    plain: Combination,
    cross: bool,
    seed: int,
) -> tuple[Combination, np.ndarray]:
    known = np.flatnonzero(labels[head] >= 0)
    count, target = opinions[head].shape[1], labels[head][known]
    if len(known) < _ENOUGH or count < 2:
        return plain, np.exp(opinions[head][known]).astype(np.float32)
    logits, weight, matrix = opinions[head][known], 0.0, plain.cross
    if cross:
        sizes = {other: opinion.shape[1] for other, opinion in opinions.items()}
        matrix = _lifts(labels, head, sizes, known)
        part = np.random.default_rng([seed, 7]).permutation(len(known)) % _PARTS
        said = np.empty((len(known), count))
        for number in range(_PARTS):
            rows = known[part == number]
            lifts = _lifts(labels, head, sizes, known[part != number])
            chosen = {other: opinion[rows] for other, opinion in opinions.items()}
            said[part == number] = _heard(chosen, head, lifts, 1.0) - opinions[head][rows]
        losses = []
        for weight in _GRID:
            heard = logits + weight * said
            losses.append(float(_losses(heard / fit_temperature(heard, target), target).mean()))
        weight = _GRID[int(np.argmin(losses))]
        logits = logits + weight * said
    prior = np.log(np.maximum(np.bincount(target, minlength=count), 0.5) / len(target))
    bias = -_SHARE * prior
    temperature = fit_temperature(logits + bias, target)
    fitted = replace(plain, bias=bias, cross=matrix, cross_weight=weight, temperature=temperature)
    return fitted, _probabilities(logits + bias, temperature)


def _lifts(labels: Mapping[str, np.ndarray], head: str, sizes: Mapping[str, int], rows: np.ndarray) -> np.ndarray:
    """Return `Combination.cross` of rows."""
    found = []
    for other, size in sizes.items():
        if other == head:
            continue
        both = rows[labels[other][rows] >= 0]
        counts = np.zeros((size, sizes[head]))
        np.add.at(counts, (labels[other][both], labels[head][both]), 1.0)
        apart = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / max(len(both), 1)
        lift = np.divide(counts, apart, out=np.ones_like(counts), where=apart > 0)
        found.append((lift + _INDEPENDENT) / (1 + _INDEPENDENT))
    return np.concatenate(found)


def _losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the negative log-likelihood of every row, [N]."""
    found: np.ndarray = -log_softmax(logits)[np.arange(len(labels)), labels]
    return found


def per_label(labels: np.ndarray, found: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of the labels that occur, float64 [labels that occur] each."""
    right = np.bincount(labels[labels == found], minlength=count)
    of, said = np.bincount(labels, minlength=count), np.bincount(found, minlength=count)
    occurs = of > 0
    right, of, said = right[occurs], of[occurs], said[occurs]
    return right / np.maximum(said, 1), right / of, 2 * right / (of + said)
