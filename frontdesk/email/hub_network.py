"""A pretrained encoder of the library `transformers` with three heads.

The first token's state goes through one hidden layer to a decoder per head, as in the library's own classifiers for
DistilBERT; the embedded bank is added to it.

Shapes: N rows, L tokens, D the encoder's width, C categorical fields, K labels.
"""

from __future__ import annotations

import json
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig

from frontdesk.email.tokens import SHIFT
from frontdesk.errors import UsageError


class HubNetwork(nn.Module):
    """Shifted ids and categories to logits.

    Args:
        encoder: the pretrained encoder.
        levels: levels per categorical field, the missing one included.
        heads: ``{head: K}``.
        dropout: before the decoders, in training.
    """

    def __init__(self, encoder: Any, levels: tuple[int, ...], heads: dict[str, int], *, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, dropout
        width = encoder.config.hidden_size
        self.hidden = nn.Linear(width, width)
        self.categories = nn.ModuleList(nn.Embedding(count, width) for count in levels)
        self.outputs = nn.ModuleDict({head: nn.Linear(width, labels) for head, labels in heads.items()})
        for module in (self.hidden, *self.outputs.values()):
            nn.init.normal_(module.weight, 0.0, 0.02)  # type: ignore[arg-type]
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for table in self.categories:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]

    def forward(self, ids: Tensor, categories: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Int64 [N, L] (0 = padding), int64 [N, C], float [N, 0] (not read) -> ``{head: float [N, K]}``."""
        mask = (ids > 0).long()
        states = self.encoder(input_ids=(ids - SHIFT).clamp(min=0), attention_mask=mask).last_hidden_state
        hidden = self.hidden(states[:, 0])  # [N, D]
        for place, table in enumerate(self.categories):
            hidden = hidden + table(categories[:, place])
        hidden = F.dropout(F.relu(hidden), self.dropout, self.training)
        return {head: output(hidden) for head, output in self.outputs.items()}

    def operations(self, tokens: float) -> float:
        """Floating-point operations of one row's forward pass at a mean number of tokens, without attention's own."""
        return 2.0 * tokens * float(sum(w.numel() for w in self.encoder.parameters() if w.dim() == 2))


def pretrained(name: str) -> Any:
    """Load an encoder by its name on the hub, or from a local folder, in float32.

    Raises:
        UsageError: it is not here and the hub does not answer, or it is no encoder.
    """
    try:
        return AutoModel.from_pretrained(name, dtype=torch.float32, attn_implementation="sdpa")
    except (OSError, ValueError) as error:
        remedy = "Name a local folder with config.json and model.safetensors, or connect to the hub"
        raise UsageError("the encoder cannot be loaded", where=name, remedy=remedy) from error


def described(encoder: Any) -> dict[str, Any]:
    """Return the encoder's configuration as plain values, without the place that it came from."""
    content: dict[str, Any] = json.loads(encoder.config.to_json_string(use_diff=False))
    content.pop("_name_or_path", None)
    return content


def rebuilt(content: dict[str, Any]) -> Any:
    """Return an encoder of a configuration, its weights not yet loaded."""
    config: PretrainedConfig = AutoConfig.for_model(**content)
    return AutoModel.from_config(config, attn_implementation="sdpa")
