"""The email recipe: its parameters and heads. What it does in each job stands in the modules beside it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import ConfigDict, Field

from frontdesk.parameters import LabelParameters

NAME = "email"
HEADS = ("business_line", "queue", "topic")
HUB_DEFAULT = "distilbert-base-german-cased"

_EPOCHS = {"subword": (6, 25), "hub": (1, 4)}
_STEPS = {"subword": 600, "hub": 600}
_RATES = {"subword": 2e-3, "hub": 5e-5}


class EmailParameters(LabelParameters):
    """Every knob of an email run."""

    model_config = ConfigDict(populate_by_name=True, protected_namespaces=())

    mode: Literal["multi", "single"] = "multi"
    """``multi``: one encoder with a head per label set. ``single``: one encoder for each."""
    compare: bool = False
    """Train the other mode too and measure both on the same rows; it doubles the time."""
    masking: bool = True
    """Replace personal data by typed words before a mail is stored or answered."""
    encoder: Literal["subword", "hub"] = "subword"
    """``subword``: trained from scratch on the desk's own mails. ``hub``: a pretrained encoder of `transformers`."""
    encoder_name: str = Field(HUB_DEFAULT, alias="encoder.name")
    """Name or local folder of the ``hub`` encoder."""

    # Preprocessing
    max_tokens: int = Field(256, ge=8, le=512)
    vocabulary: int = Field(6_000, ge=300)
    """Pieces of the ``subword`` tokeniser."""
    max_words: int = Field(30_000, ge=1)
    min_word_documents: int = Field(2, ge=1)
    max_phrases: int = Field(0, ge=0)
    min_phrase_documents: int = Field(2, ge=1)
    max_levels: int = Field(1_000, ge=1)
    min_level_rows: int = Field(2, ge=1)

    # The subword encoder
    grams: int = Field(100_000, ge=2)
    """Most words, word pairs and character sequences."""
    directions: int = Field(1024, ge=1)
    """Width of the latent space that the network reads."""
    hidden: int = Field(512, ge=1)
    members: int = Field(3, ge=1)
    """Networks of one hidden layer whose mean answers."""

    # Training
    folds: int = Field(5, ge=1, le=10)
    """Parts of the training rows that are held out in turn, so that every row's held-out answer teaches how the models
    are combined. 1 holds out one part (`validation_share`). The ``hub`` encoder and large tables hold out one part."""
    epochs: int = Field(0, ge=0)
    """0 takes as many as give enough steps: small tables need more passes."""
    batch_tokens: int = Field(0, ge=0)
    """Tokens of a batch, padding included; 0 takes 2,048 for ``subword`` and 4,096 for ``hub``."""
    rate: float = Field(0, ge=0)
    """Highest step of the optimiser; 0 takes 2e-3 for ``subword`` and 5e-5 for ``hub``."""
    weight_decay: float = Field(0.01, ge=0)
    dropout: float = Field(0.5, ge=0, lt=1)
    category_dropout: float = Field(0.3, ge=0, lt=1)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    prior_strength: float = Field(0.3, ge=0, le=1)
    """Logit adjustment for class imbalance in the network's loss (Menon et al. 2021)."""
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    """Share of the training rows that is held out where `folds` is 1."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto``: bfloat16 on a GPU that has it, float32 elsewhere."""
    checkpoint_seconds: float = Field(30, gt=0)

    def epochs_for(self, batches: int) -> int:
        """Return the passes over a training set of some batches."""
        least, most = _EPOCHS[self.encoder]
        return self.epochs or min(max(math.ceil(_STEPS[self.encoder] / max(batches, 1)), least), most)

    @property
    def peak_rate(self) -> float:
        """The highest step of the optimiser."""
        return self.rate or _RATES[self.encoder]

    @property
    def tokens_per_batch(self) -> int:
        """Tokens of a batch, padding included."""
        return self.batch_tokens or (2_048 if self.encoder == "subword" else 4_096)
