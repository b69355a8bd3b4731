"""The intent recipe: its name and its parameters."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from frontdesk.intent.attention_mask import MEMORY, WINDOW
from frontdesk.parameters import Address, RunParameters

NAME = "intent"
_STEPS = 2_400
_EPOCHS = (4, 16)


class IntentParameters(RunParameters):
    """Every knob of an intent run. Sessions are always split by time: the newest `test_share` are the test set."""

    split: Literal["auto", "time"] = "auto"

    configuration: Address | None = None
    """File of the lines' settings: the context of training is what their screens send, and the bundle makes its lists
    by them. Without it, every event is context."""

    network: Literal["train", "keep"] = "train"
    """``keep``: the deployed model's network and tokeniser stay, and only what the log counts is counted anew: the
    Markov tables, TopPop, the counts beside the network. Minutes in place of hours, for every night."""

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
    feature_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the features that training shows as missing, so that missing ones are trained."""

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
    end_of_session: bool = False
    """Learn, too, where no further intent comes. Suggestions are ranked as if one did."""
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
