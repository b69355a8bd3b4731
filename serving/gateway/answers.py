"""What the three prediction routes answer: the model's words, and what the gateway adds or keeps back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from frontdesk.records import Alternative

MODEL_UNAVAILABLE = "model_unavailable"
HOLDOUT = "holdout"


class LabelAnswer(BaseModel):
    """What one head says.

    Attributes:
        label: one of the catalogue; null where the answer is kept back or no model answered.
        reason: a stable word for the decision; ``holdout`` and ``model_unavailable`` are the gateway's.
    """

    model_config = ConfigDict(extra="allow")

    label: str | None
    confidence: float
    alternatives: list[Alternative]
    decision: Literal["auto", "suggest", "abstain"]
    reason: str


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())

    prediction_id: str = Field(description="Name of this answer, for feedback.")
    model_id: str | None = Field(description="Null where no model answered.")
    degraded: bool = Field(description="A simpler model, or none, answered.")
    holdout: bool = Field(description="This case goes without suggestions, to learn labels that none has touched.")


class LabelsAnswer(_Answer):
    """The answer to a mail or a ticket."""

    labels: dict[str, LabelAnswer]


class SuggestedIntent(BaseModel):
    """An intent that may come next."""

    model_config = ConfigDict(extra="allow")

    id: str
    score: float


class IntentsAnswer(_Answer):
    """At most six next intents, best first."""

    source: Literal["evgen", "markov", "toppop", "default"]
    intents: list[SuggestedIntent]


class InstanceFailure(BaseModel):
    """Why one instance was refused.

    Attributes:
        where: the field at fault, as a path.
    """

    code: str
    message: str
    where: str | None = None


class RefusedInstance(BaseModel):
    """What stands in the place of an answer to an instance that is wrong."""

    error: InstanceFailure


class LabelsAnswers(BaseModel):
    """One answer per instance, in their order."""

    predictions: list[LabelsAnswer | RefusedInstance]


class TicketAnswers(BaseModel):
    """One answer per ticket, in their order."""

    predictions: list[LabelsAnswer]


class IntentsAnswers(BaseModel):
    """One answer per session, in their order."""

    predictions: list[IntentsAnswer]


def withheld(heads: Sequence[str], reason: str) -> dict[str, dict[str, Any]]:
    """Return labels that say nothing, for every head: route to a person."""
    silence = {"label": None, "confidence": 0.0, "alternatives": [], "decision": "abstain", "reason": reason}
    return {head: dict(silence) for head in heads}


def told(labels: dict[str, Any]) -> dict[str, Any]:
    """Return what the log keeps of labels."""
    kept = ("label", "confidence", "decision", "reason")
    return {head: {name: answer.get(name) for name in kept} for head, answer in labels.items()}
