"""From calibrated probabilities to a decision: act alone, suggest, or leave it to a person; always with a reason.

Thresholds are learnt per head on rows that training held out, for a target precision, and travel in the bundle's
``policy.json``. The label itself is always the most likely leaf: a policy changes what is done with it, not what it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from frontdesk.errors import BundleError
from frontdesk.preprocessing.spec import NO_LABEL
from frontdesk.records import Alternative, LabelPrediction, Level
from frontdesk.taxonomy import LabelTree, Taxonomy

POLICY_FORMAT = 1
TARGET_PRECISION = 0.95
"""Share of automatic answers that must be right on the held-out rows."""
PRESELECT_PRECISION = 0.80
"""The same for answers that are filled in for a person to confirm."""
PRECISION_MARGIN = 0.05
"""The lower end of the 95 % Wilson interval may lie this far below the target."""
MIN_SUPPORT = 30
"""Held-out rows that must reach a threshold before it is believed."""
USEFUL = 0.5
"""Below the suggest threshold, the right label is among the first three less often than this."""
AMBIGUITY_GAP = 0.1
"""Two best labels closer than this compete; such an answer is never automatic."""
TOP = 3
ALTERNATIVES = 4
SIMULATED_PRECISIONS = (0.90, 0.95, 0.99)

Decision = Literal["auto", "suggest", "abstain"]
LEVELS: tuple[Level, ...] = get_args(Level)
_DECISIONS: dict[Level, Decision] = {
    "none": "abstain",
    "suggest": "suggest",
    "preselect": "suggest",
    "automatic": "auto",
}


@dataclass(frozen=True)
class LabelRule:
    """What holds for one label in place of its head's thresholds.

    Attributes:
        automatic, preselect: smallest confidence of that level; None: the head's.
        at_most: the highest level that the label may reach.
    """

    automatic: float | None = None
    preselect: float | None = None
    at_most: Level = "automatic"


_NO_RULE = LabelRule()


@dataclass(frozen=True)
class HeadPolicy:
    """The thresholds of one head.

    Attributes:
        auto: smallest confidence of an automatic answer; None where no confidence is safe enough.
        preselect: smallest confidence of an answer that is filled in for a person to confirm; None: never.
        suggest: smallest probability of the first three labels together for a suggestion.
        backoff: smallest summed probability of an ancestor offered where the leaf is not automatic; None: never.
        gap: two best labels closer than this are ambiguous.
        coverage: for each simulated precision, the threshold and the share of held-out rows it automates.
        rows: held-out rows with a label, that all of this was learnt from.
        needs_text: abstain where there is no text, whatever the other fields say.
        at_most: the highest level of any answer.
        labels: rules of single labels.
    """

    auto: float | None = None
    preselect: float | None = None
    suggest: float = 0.0
    backoff: float | None = None
    gap: float = AMBIGUITY_GAP
    coverage: list[dict[str, float | None]] = field(default_factory=list)
    rows: int = 0
    needs_text: bool = False
    at_most: Level = "automatic"
    labels: Mapping[str, LabelRule] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """The decision policy of a bundle: ``{head: thresholds}`` and the precision that they were learnt for."""

    heads: dict[str, HeadPolicy]
    target_precision: float = TARGET_PRECISION

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `canonical_json`."""
        return {"format": POLICY_FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Policy:
        """Rebuild a policy. Raises `BundleError` for another format."""
        if content.get("format") != POLICY_FORMAT:
            raise BundleError(f"policy format {content.get('format')} is not {POLICY_FORMAT}", where="policy.json")
        heads = {
            head: HeadPolicy(
                **(values | {"labels": {name: LabelRule(**rule) for name, rule in values.get("labels", {}).items()}})
            )
            for head, values in content["heads"].items()
        }
        return cls(heads, content["target_precision"])


def wilson_lower(right: np.ndarray, n: np.ndarray, z: float = 1.96) -> np.ndarray:
    """Return the lower end of the Wilson (1927) score interval of ``right`` successes in ``n`` trials, elementwise."""
    share = right / n
    centre = share + z * z / (2 * n)
    spread = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.asarray((centre - spread) / (1 + z * z / n))


def learn_threshold(confidence: np.ndarray, right: np.ndarray, precision: float) -> float | None:
    """Return the smallest confidence at and above which answers are right often enough.

    Args:
        confidence: float [N].
        right: bool [N].
        precision: required share of right answers; its Wilson lower end may be `PRECISION_MARGIN` less.

    Returns:
        The threshold, or None where no confidence held by `MIN_SUPPORT` rows qualifies.
    """
    order = np.argsort(-confidence, kind="stable")
    confidence, hits = confidence[order], np.cumsum(right[order], dtype=np.float64)
    n = np.arange(1, len(order) + 1, dtype=np.float64)
    last_of_ties = np.append(confidence[1:] != confidence[:-1], True)[: len(order)]
    good = (
        last_of_ties
        & (n >= MIN_SUPPORT)
        & (hits / n >= precision)
        & (wilson_lower(hits, n) >= precision - PRECISION_MARGIN)
    )
    return float(confidence[np.flatnonzero(good)[-1]]) if good.any() else None


def learn_withholding(mass: np.ndarray, hit: np.ndarray) -> float:
    """Return the largest value below which suggestions are useless: less than `USEFUL` of them hold the right label.

    Args:
        mass: probability of the first three labels together, float [N].
        hit: whether the right one is among them, bool [N].
    """
    order = np.argsort(mass, kind="stable")
    mass, hits = mass[order], np.cumsum(hit[order], dtype=np.float64)
    n = np.arange(1, len(order) + 1, dtype=np.float64)
    useless = (n[:-1] >= MIN_SUPPORT) & (hits[:-1] / n[:-1] < USEFUL) & (mass[1:] != mass[:-1])
    return float(mass[np.flatnonzero(useless)[-1] + 1]) if useless.any() else 0.0


def coverage(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float | None]]:
    """Simulate automation: for each precision, the threshold that reaches it and the share of rows at or above.

    Args:
        confidence: float [N], of the best label.
        right: bool [N].

    Returns:
        ``[{"precision", "threshold", "share"}]``; threshold None and share 0 where a precision cannot be reached.
    """
    table: list[dict[str, float | None]] = []
    for precision in SIMULATED_PRECISIONS:
        threshold = learn_threshold(confidence, right, precision)
        share = 0.0 if threshold is None else float((confidence >= threshold).mean())
        table.append({"precision": precision, "threshold": threshold, "share": share})
    return table


def learn_head(probabilities: np.ndarray, labels: np.ndarray, tree: LabelTree, precision: float) -> HeadPolicy:
    """Learn the thresholds of one head.

    Args:
        probabilities: calibrated, float [N, K], of rows that training held out.
        labels: int [N]; -1 (no label) is left out, -2 (a label that training never saw) counts as an error.
        tree: the head's labels.
        precision: target precision of automatic answers.
    """
    known = labels != NO_LABEL
    probabilities, labels = probabilities[known], labels[known]
    if not len(labels):
        return HeadPolicy()
    rows = np.arange(len(labels))
    best = probabilities.argmax(1)
    confidence, right = probabilities[rows, best], best == labels
    first, values = top_labels(probabilities, TOP)
    return HeadPolicy(
        auto=learn_threshold(confidence, right, precision),
        preselect=learn_threshold(confidence, right, min(PRESELECT_PRECISION, precision)),
        suggest=learn_withholding(values.sum(1), (first == labels[:, None]).any(1)),
        backoff=_learn_backoff(probabilities, labels, best, tree, precision),
        coverage=coverage(confidence, right),
        rows=len(labels),
    )


def _learn_backoff(
    probabilities: np.ndarray, labels: np.ndarray, best: np.ndarray, tree: LabelTree, precision: float
) -> float | None:
    """Learn the ancestors' threshold over every (row, proper ancestor of its best leaf)."""
    summed: list[float] = []
    right: list[bool] = []
    for row, leaf in enumerate(best):
        for node in tree.ancestors(tree.labels[leaf]):
            members = tree.members[node]
            summed.append(float(probabilities[row, members].sum(dtype=np.float64)))
            right.append(bool((members == labels[row]).any()))
    return learn_threshold(np.array(summed), np.array(right, bool), precision) if summed else None


def learn_policy(
    validation: Mapping[str, tuple[np.ndarray, np.ndarray]],
    taxonomy: Taxonomy,
    precision: float = TARGET_PRECISION,
    *,
    needs_text: bool = False,
) -> Policy:
    """Learn the policy of every head from ``{head: (probabilities [N, K], labels [N])}`` of held-out rows.

    A head without held-out rows is never automatic. What needs text is no matter of figures: it is the recipe's.
    """
    empty = (np.zeros((0, 1), np.float32), np.zeros(0, np.int32))
    learnt = {head: learn_head(*validation.get(head, empty), tree, precision) for head, tree in taxonomy.heads.items()}
    return Policy({head: replace(policy, needs_text=needs_text) for head, policy in learnt.items()}, precision)


def top_labels(probabilities: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``count`` largest values of each row, best first: indices int64 and values, both [N, min(count, K)].

    A selection, not a sort: thousands of labels cost a pass. Of equal values the earlier label comes first.
    """
    rows = np.arange(len(probabilities))[:, None]
    first = probabilities.shape[1] - count
    if first > 0:
        top = probabilities.argpartition(first, axis=1)[:, first:]
        top.sort(axis=1)
        values = probabilities[rows, top]
    else:
        top, values = np.arange(probabilities.shape[1])[None, :].repeat(len(probabilities), axis=0), probabilities
    order = (-values).argsort(axis=1, kind="stable")
    return top[rows, order], values[rows, order]


def decide(
    probabilities: np.ndarray, has_text: Sequence[bool], tree: LabelTree, policy: HeadPolicy
) -> list[LabelPrediction]:
    """Turn the calibrated probabilities of one head into answers.

    Reasons: ``confident`` (automatic), ``likely`` and ``ambiguous`` (suggested: one label leads, or two compete),
    ``held`` (confident, but the policy gives the label or the head no more), ``no_text`` (nothing to read: never
    automatic), ``uncertain`` (abstained).

    Args:
        probabilities: float32 [N, K].
        has_text: [N], whether anything was left of the text after cleaning; true where the model reads no text.
        tree: the head's labels.
        policy: the head's thresholds.
    """
    top, best = top_labels(probabilities, 1 + ALTERNATIVES)
    answers = []
    for row, (indices, values) in enumerate(zip(top.tolist(), best.tolist(), strict=True)):
        label = tree.labels[indices[0]]
        decision, reason, level = _decision(values, label, has_text[row], policy)
        alternatives = [
            Alternative.model_construct(label=tree.labels[index], confidence=value)
            for index, value in zip(indices[1:], values[1:], strict=True)
        ]
        answers.append(
            LabelPrediction.model_construct(
                label=label,
                confidence=values[0],
                alternatives=alternatives,
                decision=decision,
                reason=reason,
                level=level,
                backoff=None
                if decision == "auto"
                else _back_off(probabilities[row], tree.labels[indices[0]], tree, policy),
            )
        )
    return answers


def _decision(values: list[float], label: str, has_text: bool, policy: HeadPolicy) -> tuple[Decision, str, Level]:
    useful = math.fsum(values[:TOP]) >= policy.suggest
    if not has_text:
        reached: Level = "suggest" if useful and not policy.needs_text else "none"
        return _capped(reached, "no_text", policy.at_most)
    rule = policy.labels.get(label, _NO_RULE)
    automatic = policy.auto if rule.automatic is None else rule.automatic
    preselect = policy.preselect if rule.preselect is None else rule.preselect
    ambiguous = len(values) > 1 and values[0] - values[1] < policy.gap
    most = min(policy.at_most, rule.at_most, key=LEVELS.index)
    if not ambiguous and automatic is not None and values[0] >= automatic:
        return _capped("automatic", "confident", most)
    if not ambiguous and preselect is not None and values[0] >= preselect and useful:
        return _capped("preselect", "likely", most)
    if not useful:
        return "abstain", "uncertain", "none"
    return _capped("suggest", "ambiguous" if ambiguous else "likely", most)


def _capped(level: Level, reason: str, most: Level) -> tuple[Decision, str, Level]:
    """Return the decision of a level that the policy may hold back."""
    if LEVELS.index(level) > LEVELS.index(most):
        level, reason = most, "held"
    return _DECISIONS[level], reason, level


def _back_off(probabilities: np.ndarray, label: str, tree: LabelTree, policy: HeadPolicy) -> Alternative | None:
    """Return the deepest ancestor of a leaf whose summed probability is safe."""
    if policy.backoff is None:
        return None
    for node in tree.ancestors(label):
        summed = float(probabilities[tree.members[node]].sum(dtype=np.float64))
        if summed >= policy.backoff:
            return Alternative.model_construct(label=node, confidence=min(summed, 1.0))
    return None
