"""Why a label and not the next one: what each word adds through the part of a model that is linear in the words.

Of two labels i and j a model says ``ln p_i - ln p_j``. Where a part of its logits is a sum over the words, that part of
the difference is a sum over the words too, whatever stands beside it: softmax takes the same from both. So every word
has an exact share, and the rest is told as one number instead of being spread over the words by some rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from frontdesk.records import Explanation, Prediction, Share

_LEAST = 1e-38
"""Stands for a probability that float32 cannot hold."""


class LinearPart(Protocol):
    """What of a model is linear in the words of a record."""

    def shares(
        self, columns: Mapping[str, Sequence[Any]], head: str, label: int, against: int
    ) -> list[tuple[str, float]]:
        """Return the words of one record, in order, with what each adds to ``ln p(label) - ln p(against)``."""


def explained(
    part: LinearPart,
    record: Mapping[str, Sequence[Any]],
    probabilities: Mapping[str, np.ndarray],
    answer: Prediction,
    labels: Mapping[str, Sequence[str]],
) -> dict[str, Explanation]:
    """Return an explanation per head that has another label.

    Args:
        part: of the model.
        record: one row of columns as the model takes them.
        probabilities: ``{head: float32 [K]}``.
        answer: to the record.
        labels: ``{head: K names}``.
    """
    found = {}
    for head, said in answer.labels.items():
        if not said.alternatives:
            continue
        against = said.alternatives[0].label
        one, other = (labels[head].index(name) for name in (said.label, against))
        shares = part.shares(record, head, one, other)
        logs = [math.log(max(float(probabilities[head][place]), _LEAST)) for place in (one, other)]
        difference = logs[0] - logs[1]
        found[head] = Explanation(
            against=against,
            difference=difference,
            tokens=[Share(token=token, share=share) for token, share in shares],
            rest=difference - math.fsum(share for _, share in shares),
        )
    return found
