"""What would be automatic, on rows whose labels are known, before anything is switched on.

A threshold that is chosen on rows looks better on them than on others. So the rows are divided in two by lot; each half
is judged by the threshold that the other half gave, and the two counts are added. The threshold to use comes from all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from frontdesk.decisions import PRESELECT_PRECISION, TARGET_PRECISION, learn_threshold
from frontdesk.evaluation.intervals import wilson

PRECISIONS = (0.70, 0.75, 0.80, 0.85, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
SEED = 0


@dataclass(frozen=True)
class Simulated:
    """What a target precision gives.

    Attributes:
        precision: asked for.
        threshold: confidence from which on rows are answered; None where no confidence reaches the precision.
        rows: of the history.
        answered: of them, at or above the threshold.
        share: answered / rows, with its 95 % interval (Wilson) in `share_interval`.
        reached: share of the answered that are right; None where none is answered.
        reached_interval: its 95 % interval.
    """

    precision: float
    threshold: float | None
    rows: int
    answered: int
    share: float
    share_interval: tuple[float, float]
    reached: float | None
    reached_interval: tuple[float, float]


def simulate(confidence: np.ndarray, correct: np.ndarray, precision: float) -> Simulated:
    """Simulate one target precision.

    Args:
        confidence: of the best label, float [N].
        correct: whether it was right, bool [N].
        precision: share of automatic answers that must be right, see `frontdesk.decisions.learn_threshold`.
    """
    rows = len(confidence)
    first = np.random.default_rng(SEED).permutation(rows) % 2 == 0
    answered = right = 0
    for half in (first, ~first):
        threshold = (
            learn_threshold(confidence[~half], correct[~half], precision) if half.any() and not half.all() else None
        )
        if threshold is not None:
            taken = confidence[half] >= threshold
            answered += int(taken.sum())
            right += int(correct[half][taken].sum())
    return Simulated(
        precision=precision,
        threshold=learn_threshold(confidence, correct, precision) if rows else None,
        rows=rows,
        answered=answered,
        share=answered / rows if rows else 0.0,
        share_interval=wilson(answered, rows),
        reached=right / answered if answered else None,
        reached_interval=wilson(right, answered),
    )


def simulate_head(
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    automatic: float = TARGET_PRECISION,
    preselect: float = PRESELECT_PRECISION,
    precisions: Sequence[float] = PRECISIONS,
) -> dict[str, Any]:
    """Simulate the levels of one head and a row of precisions.

    Returns:
        ``{"rows", "accuracy", "levels": {"automatic", "preselect"}, "curve": [...]}`` of `Simulated` as plain values.
    """
    return {
        "rows": len(confidence),
        "accuracy": float(correct.mean()) if len(correct) else None,
        "levels": {
            "automatic": asdict(simulate(confidence, correct, automatic)),
            "preselect": asdict(simulate(confidence, correct, preselect)),
        },
        "curve": [asdict(simulate(confidence, correct, precision)) for precision in precisions],
    }


def policy_content(version: str, recipe: str, heads: Mapping[str, Mapping[str, Any]], scope: Mapping[str, Any]) -> Any:
    """Return the content of a policy file with the thresholds of a simulation.

    A precision that the history does not reach is no threshold but a ceiling: the level below it.
    """
    written: dict[str, Any] = {}
    for head, found in heads.items():
        automatic, preselect = (found["levels"][level]["threshold"] for level in ("automatic", "preselect"))
        thresholds = {"automatic": automatic, "preselect": preselect}
        most = "automatic" if automatic is not None else "preselect" if preselect is not None else "suggest"
        written[head] = {name: value for name, value in thresholds.items() if value is not None} | {"at_most": most}
    return {"version": version, "recipes": {recipe: {"heads": written, "scope": dict(scope)}}}
