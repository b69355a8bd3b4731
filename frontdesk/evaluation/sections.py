"""The parts of ``metrics.json``: plain values from outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontdesk.evaluation.calibration import (
    Reliability,
    automation,
    bins_by_mass,
    bins_by_width,
    expected_calibration_error,
    reliability,
)
from frontdesk.evaluation.intervals import accuracy_difference
from frontdesk.evaluation.metrics import (
    NO_CANDIDATE,
    OTHER,
    brier,
    classification,
    confused_pairs,
    confusion,
    negative_log_likelihood,
    per_label,
    rounded,
)
from frontdesk.evaluation.outcomes import DECISIONS, Outcome

PRECISIONS = (0.90, 0.95, 0.99)
"""Precisions of the automation simulator."""
CONFUSION_LABELS = 25
CONFUSED_PAIRS = 20
_CURVE_POINTS = 100


def head_figures(outcome: Outcome, majority: float | None) -> dict[str, Any]:
    """Return the figures of one head: ``accuracy``, ``macro_f1``, ``top3``, ``n``, ``majority`` and more.

    Args:
        majority: accuracy of always answering the most frequent training label, on the same rows.
    """
    kept = outcome.labelled
    # A label that training never saw has no probability: the likelihood is that of the other rows.
    seen = kept & (outcome.truth < outcome.known)
    return classification(outcome.truth, outcome.predicted, outcome.top, outcome.known) | {
        "majority": majority,
        "nll": rounded(negative_log_likelihood(outcome.truth_probability[seen])),
        "brier": rounded(brier(outcome.truth_probability[kept], outcome.squares[kept])),
    }


def comparison(outcome: Outcome, other: np.ndarray, seed: int) -> dict[str, Any] | None:
    """Return accuracy minus that of another model on the same labelled rows, None where there are none.

    Args:
        other: whether the other model is right, bool [N].
    """
    kept = outcome.labelled
    if not kept.any():
        return None
    difference = accuracy_difference(outcome.correct[kept], other[kept], seed=seed)
    return {"difference": rounded(difference.value), "low": rounded(difference.low), "high": rounded(difference.high)}


def calibration_figures(outcome: Outcome, temperature: float) -> dict[str, Any]:
    """Return the calibration of one head: ``ece`` (15 bins of equal mass), before the temperature too, the curves."""
    kept = outcome.labelled
    if not kept.any():
        return {"ece": None, "ece_before": None, "ece_width": None, "temperature": rounded(temperature)} | {
            "nll_before": None,
            "bins": [],
            "bins_before": [],
        }
    seen = kept & (outcome.truth < outcome.known)
    confidence, raw, correct = outcome.confidence[kept], outcome.raw_confidence[kept], outcome.correct[kept]
    return {
        "ece": rounded(expected_calibration_error(confidence, correct)),
        "ece_before": rounded(expected_calibration_error(raw, correct)),
        "ece_width": rounded(reliability(confidence, correct, bins_by_width(confidence)).error),
        "temperature": rounded(temperature),
        "nll_before": rounded(negative_log_likelihood(outcome.raw_truth_probability[seen])),
        "bins": _bins(reliability(confidence, correct, bins_by_mass(confidence))),
        "bins_before": _bins(reliability(raw, correct, bins_by_mass(raw))),
    }


def _bins(curve: Reliability) -> list[dict[str, Any]]:
    return [
        {"confidence": rounded(confidence), "accuracy": rounded(accuracy), "n": int(rows)}
        for confidence, accuracy, rows in zip(curve.confidence, curve.accuracy, curve.rows, strict=True)
    ]


def automation_figures(outcome: Outcome, learnt: Sequence[Mapping[str, float | None]] = ()) -> dict[str, Any]:
    """Return what could be answered without a person, and what the bundle's policy does.

    ``simulated`` picks its thresholds on the test rows themselves, so it is an upper bound; ``learnt`` applies the
    thresholds that rows held out of training set for the same precisions, and tells the precision that they reach;
    ``policy`` is what the bundle decides.

    Args:
        learnt: `HeadPolicy.coverage` of the bundle.
    """
    kept = outcome.labelled
    if not kept.any():
        return {"simulated": [], "learnt": [], "curve": [], "policy": None}
    correct = outcome.correct[kept]
    found = automation(outcome.confidence[kept], correct)
    simulated = []
    for precision in PRECISIONS:
        share, threshold = found.at(precision)
        simulated.append({"precision": precision, "share": rounded(share), "threshold": rounded(threshold)})
    points = np.unique(np.linspace(0, len(found.coverage) - 1, _CURVE_POINTS).astype(np.int64))
    curve = [[rounded(found.coverage[place]), rounded(found.precision[place])] for place in points]
    policy = None
    if len(outcome.decision):
        decisions = outcome.decision[kept]
        in_top = (outcome.top[kept] == outcome.truth[kept][:, None]).any(axis=1)
        policy = {}
        for index, name in enumerate(DECISIONS):
            rows = decisions == index
            policy[name] = {
                "share": rounded(float(rows.mean())),
                "accuracy": rounded(float(correct[rows].mean())) if rows.any() else None,
                "top3": rounded(float(in_top[rows].mean())) if rows.any() else None,
            }
    applied = [_applied(outcome.confidence[kept], correct, row["precision"], row["threshold"]) for row in learnt]
    return {"simulated": simulated, "learnt": applied, "curve": curve, "policy": policy}


def _applied(
    confidence: np.ndarray, correct: np.ndarray, precision: float | None, threshold: float | None
) -> dict[str, Any]:
    """Return the share of rows at or above a threshold, and how many of them are right."""
    alone = np.zeros(len(confidence), bool) if threshold is None else confidence >= threshold
    return {
        "precision": precision,
        "threshold": rounded(threshold),
        "share": rounded(float(alone.mean())),
        "reached": rounded(float(correct[alone].mean())) if alone.any() else None,
    }


def tree_figures(outcome: Outcome, separator: str) -> dict[str, Any]:
    """Return the accuracy at every level of a label tree, and what back-off to an ancestor gives.

    At level d the first d parts of the path must be right, over the rows whose true label has so many; there, a leaf
    that training never saw may still be right about its branch.
    """
    paths = [name.split(separator) for name in outcome.names]
    rows = np.flatnonzero(outcome.labelled).tolist()
    truth, predicted = outcome.truth.tolist(), outcome.predicted.tolist()
    levels = []
    for depth in range(1, max((len(paths[truth[row]]) for row in rows), default=0) + 1):
        deep = [row for row in rows if len(paths[truth[row]]) >= depth]
        right = sum(paths[truth[row]][:depth] == paths[predicted[row]][:depth] for row in deep)
        nodes = {tuple(path[:depth]) for path in paths[: outcome.known] if len(path) >= depth}
        levels.append({"level": depth, "n": len(deep), "nodes": len(nodes), "accuracy": rounded(right / len(deep))})
    backoff = None
    if outcome.node and rows:
        answered = [row for row in rows if outcome.node[row]]
        right = sum(_covers(outcome.node[row], outcome.names[truth[row]], separator) for row in answered)
        leaves = sum(outcome.node[row] == outcome.names[predicted[row]] for row in answered)
        backoff = {
            "leaf": rounded(leaves / len(rows)),
            "ancestor": rounded((len(answered) - leaves) / len(rows)),
            "none": rounded(1 - len(answered) / len(rows)),
            "accuracy": rounded(right / len(answered)) if answered else None,
        }
    return {"levels": levels, "backoff": backoff}


def _covers(node: str, label: str, separator: str) -> bool:
    return label == node or label.startswith(node + separator)


def label_figures(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the classification report of one head, most rows first; ``seen`` says whether training saw the label."""
    kept = outcome.labelled
    report = per_label(outcome.truth[kept], outcome.predicted[kept])
    order = np.lexsort((report.classes, -report.predicted, -report.support))
    return [
        {
            "label": outcome.names[report.classes[place]],
            "seen": bool(report.classes[place] < outcome.known),
            "n": int(report.support[place]),
            "predicted": int(report.predicted[place]),
            "precision": rounded(report.precision[place]),
            "recall": rounded(report.recall[place]),
            "f1": rounded(report.f1[place]),
        }
        for place in order
    ]


def confusion_figures(outcome: Outcome, limit: int = CONFUSION_LABELS) -> dict[str, Any]:
    """Return the confusion matrix of the most frequent labels, and the pairs that are confused most."""
    kept = outcome.labelled
    truth, predicted = outcome.truth[kept], outcome.predicted[kept]
    classes, counts = confusion(truth, predicted, limit)
    pairs = confused_pairs(truth, predicted, CONFUSED_PAIRS)
    return {
        "labels": ["(other)" if index == OTHER else outcome.names[index] for index in classes],
        "matrix": counts.tolist(),
        "pairs": [
            {"label": outcome.names[true], "predicted": outcome.names[guess], "n": rows} for true, guess, rows in pairs
        ],
    }


def majority_answers(counts: Sequence[int]) -> np.ndarray:
    """Return the three most frequent training labels, ties by the lower index, padded as a top list, int64 [3]."""
    order = np.argsort(-np.asarray(counts, np.int64), kind="stable")[:3]
    result = np.full(3, NO_CANDIDATE, np.int64)
    result[: len(order)] = order
    return result


def baseline_figures(outcome: Outcome, top: np.ndarray, majority: float | None) -> dict[str, Any]:
    """Return the figures of another model's answers on the rows of an outcome.

    Args:
        top: its three best labels in the outcome's catalogue, int [N, 3].
    """
    return classification(outcome.truth, top[:, 0], top, outcome.known) | {"majority": majority}


def in_catalogue(other: Outcome, names: Sequence[str]) -> np.ndarray:
    """Return another bundle's top lists as indices into ``names``, int64 [N, 3]; `NO_CANDIDATE` where outside."""
    place: Mapping[str, int] = {name: index for index, name in enumerate(names)}
    translate = np.array([*(place.get(name, NO_CANDIDATE) for name in other.names), NO_CANDIDATE], np.int64)
    return np.asarray(translate[np.where(other.top < 0, len(other.names), other.top)])
