"""The intent recipe: its name and its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frontdesk.errors import UsageError
from frontdesk.intent.attention_mask import MEMORY, WINDOW

NAME = "intent"
_STEPS = 2_400
_EPOCHS = (4, 16)


class IntentParameters(BaseModel):
    """Every knob of an intent run; ``--set KEY=VALUE`` sets them. Stored in the bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    test_share: float = Field(0.2, gt=0, lt=1)
    """The newest sessions, by their start."""

    # The network
    width: int = Field(64, ge=4)
    layers: int = Field(2, ge=1, le=8)
    heads: int = Field(4, ge=1)
    window: int = Field(WINDOW, ge=1, le=64)
    """Tokens up to the newest among which events are seen; intents are seen always."""
    memory: int = Field(MEMORY, ge=1)
    """Opened intents that are seen: bounds what a live session costs."""
    dropout: float = Field(0.2, ge=0, lt=1)
    operator_dropout: float = Field(0.3, ge=0, le=1)
    """Share of training sessions whose operator is hidden, so that the unknown operator is trained."""
    line_dropout: float = Field(0.02, ge=0, le=1)
    token_dropout: float = Field(0.01, ge=0, lt=1)
    """Share of tokens that training shows as unknown ones of their kind."""

    # Training
    epochs: int = Field(0, ge=0)
    """0 takes as many as give `_STEPS` steps, between 4 and 16: small tables need more passes."""
    batch_tokens: int = Field(1_024, ge=16)
    """Tokens of a batch, padding included; one session at least."""
    rate: float = Field(4e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    event_weight: float = Field(0.3, ge=0, le=1)
    """Weight of a position whose next row is an event, not yet the intent that it predicts."""
    validation_share: float = Field(0.05, gt=0, lt=0.5)
    """Share of the training sessions, the newest, that measures every epoch and fits what stands on the network."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto``: bfloat16 on a GPU that has it, float32 elsewhere."""
    checkpoint_seconds: float = Field(30, gt=0)

    @model_validator(mode="after")
    def _divides(self) -> IntentParameters:
        if self.width % self.heads:
            raise ValueError("heads must divide width")
        return self

    def epochs_for(self, steps_per_epoch: int) -> int:
        """Return the passes over a training set of some batches."""
        least, most = _EPOCHS
        return self.epochs or min(max(math.ceil(_STEPS / max(steps_per_epoch, 1)), least), most)


def parse_parameters(pairs: Iterable[str]) -> IntentParameters:
    """Read ``KEY=VALUE`` pairs. Raises `UsageError` that names the key."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"--set {pair} has no '='", remedy="Write --set KEY=VALUE")
        values[key.strip()] = value.strip()
    return parameters_of(values)


def parameters_of(values: dict[str, Any]) -> IntentParameters:
    """Validate parameter values. Raises `UsageError` that names the key."""
    try:
        return IntentParameters.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        words = "there is no such parameter" if first["type"] == "extra_forbidden" else first["msg"]
        known = ", ".join(IntentParameters.model_fields)
        raise UsageError(f"parameter {key}: {words}" if key else words, remedy=f"Known parameters: {known}") from error
