"""The ticket recipe: its parameters and heads. What it does in each job stands in the modules beside it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from frontdesk.parameters import LabelParameters

NAME = "ticket"
HEADS = ("contact_type", "reply")
_STEPS = 500
_EPOCHS = (4, 40)


class TicketParameters(LabelParameters):
    """Every knob of a ticket run."""

    # Preprocessing
    max_tokens: int = Field(400, ge=8, le=4096)
    max_words: int = Field(30_000, ge=1)
    min_word_documents: int = Field(2, ge=1)
    max_phrases: int = Field(50_000, ge=0)
    min_phrase_documents: int = Field(2, ge=1)
    max_levels: int = Field(1_000, ge=1)
    min_level_rows: int = Field(2, ge=1)

    # The network
    embedding: int = Field(64, ge=1)
    filters: int = Field(64, ge=1)
    hidden: int = Field(256, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    word_dropout: float = Field(0.3, ge=0, lt=1)
    category_dropout: float = Field(0.3, ge=0, lt=1)

    # Training
    epochs: int = Field(0, ge=0)
    """0 takes as many as give `_STEPS` steps, between 4 and 40: small tables need more passes."""
    batch: int = Field(64, ge=2)
    rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    wide_rate: float = Field(1.0, ge=0)
    """Step of the wide path (plain gradient descent) per row of the batch. Its features have unit length, so the rate
    does not depend on the data's scale."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    prior_strength: float = Field(0.3, ge=0, le=1)
    """Logit adjustment for class imbalance (Menon et al. 2021): this share of the log prior is added in the loss only,
    so that rare labels get a margin."""
    tree_weight: float = Field(0.3, ge=0)
    """Weight of the loss on the inner levels of a label tree."""
    validation_share: float = Field(0.05, gt=0, lt=0.5)
    """Share of the training rows that fits temperatures and thresholds."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto``: bfloat16 on a GPU that has it, float32 elsewhere."""
    checkpoint_seconds: float = Field(30, gt=0)

    def epochs_for(self, rows: int) -> int:
        """Return the passes over a training set of some rows."""
        least, most = _EPOCHS
        return self.epochs or min(max(math.ceil(_STEPS * self.batch / max(rows, 1)), least), most)
