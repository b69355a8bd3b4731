"""What a model with labels answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Alternative(BaseModel):
    """A label and its calibrated probability."""

    label: str
    confidence: float


Level = Literal["none", "suggest", "preselect", "automatic"]
"""What may be done with a label, from least to most."""


class LabelPrediction(BaseModel):
    """What one head says of one record.

    Attributes:
        label: the most likely label, always one of the catalogue.
        confidence: its calibrated probability.
        alternatives: the next labels, best first.
        decision: ``auto`` (act without a person), ``suggest`` (show it), ``abstain`` (route to a person).
        level: the same in the steps of a form: ``automatic`` is ``auto``; of what is suggested, ``preselect`` may be
            filled in for a person to confirm; ``none`` is ``abstain``.
        reason: a stable word for the decision.
        backoff: for a label tree, the deepest ancestor that is certain enough where the leaf is not.
    """

    label: str
    confidence: float
    alternatives: list[Alternative]
    decision: Literal["auto", "suggest", "abstain"]
    reason: str
    level: Level = "none"
    backoff: Alternative | None = None


class Share(BaseModel):
    """A word of the text as the model reads it, and what it adds to a difference."""

    token: str
    share: float


class Explanation(BaseModel):
    """Why a label and not the next one: the words' shares and the rest add up to the difference.

    Attributes:
        against: the most likely other label.
        difference: natural logarithm of how many times as likely the label is.
        tokens: the words in their order; what each adds through the linear part of the model, exactly.
        rest: what everything else adds: the parts that are not linear in the words, the other fields, how frequent the
            labels are.
    """

    against: str
    difference: float
    tokens: list[Share]
    rest: float


class Prediction(BaseModel):
    """The answer for one record.

    Attributes:
        scope: share of the history's rows that were at least as strange to the model; None where the policy names no
            history.
        automatic_reply: the reply that may be sent without a person, because the policy says that it only informs.
        policy: version of the policy file that decided; None for the bundle's own policy.
        explanation: per head, where it was asked for and the model has a linear part.
        missing_features: features of the feature store that took what training used for missing ones; None where there
            are none, and for a model without any.
        degraded: some of them because the store did not answer in time, or only with old values.
    """

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    labels: dict[str, LabelPrediction] = Field(default_factory=dict)
    scope: float | None = None
    automatic_reply: str | None = None
    policy: str | None = None
    explanation: dict[str, Explanation] | None = None
    missing_features: list[str] | None = None
    degraded: bool | None = None
