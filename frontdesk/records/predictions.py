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
    """The answer for one record."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    labels: dict[str, LabelPrediction] = Field(default_factory=dict)
