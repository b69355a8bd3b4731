"""What a model with labels answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Alternative(BaseModel):
    """A label and its calibrated probability."""

    label: str
    confidence: float


class LabelPrediction(BaseModel):
    """What one head says of one record.

    Attributes:
        label: the most likely label, always one of the catalogue.
        confidence: its calibrated probability.
        alternatives: the next labels, best first.
        decision: ``auto`` (act without a person), ``suggest`` (show it), ``abstain`` (route to a person).
        reason: a stable word for the decision.
        backoff: for a label tree, the deepest ancestor that is certain enough where the leaf is not.
    """

    label: str
    confidence: float
    alternatives: list[Alternative]
    decision: Literal["auto", "suggest", "abstain"]
    reason: str
    backoff: Alternative | None = None


class Prediction(BaseModel):
    """The answer for one record.

    Attributes:
        missing_features: features of the feature store that took what training used for missing ones; None where there
            are none, and for a model without any.
        degraded: some of them because the store did not answer in time, or only with old values.
    """

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    labels: dict[str, LabelPrediction] = Field(default_factory=dict)
    missing_features: list[str] | None = None
    degraded: bool | None = None
