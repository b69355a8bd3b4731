"""The subword encoder: a small network over a mail's place in the latent space, that trains on a few thousand mails.

One hidden layer shared by the heads, to which the embedded bank is added, and a decoder per head. A convolutional
network over the pieces, trained from scratch, was ten points behind on two thousand mails: word order is learnt from
more than a small desk has. The linear path (`linear`) stands beside this network, and `combination` weighs both.

Shapes: N rows, D latent directions, C categorical fields, H hidden, K labels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

INPUT_DROPOUT = 0.3


class SubwordNetwork(nn.Module):
    """A mail's latent vector and categories to logits.

    Args:
        directions: D.
        levels: levels per categorical field, the missing one included.
        heads: ``{head: K}``.
        hidden: H.
        dropout: of the hidden layer, in training.
    """

    def __init__(
        self, directions: int, levels: tuple[int, ...], heads: dict[str, int], hidden: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = nn.Linear(directions, hidden)
        self.categories = nn.ModuleList(nn.Embedding(count, hidden) for count in levels)
        self.outputs = nn.ModuleDict({head: nn.Linear(hidden, labels) for head, labels in heads.items()})
        for table in self.categories:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]

    def forward(self, ids: Tensor, categories: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Int64 [N, L] (not read), int64 [N, C], float32 [N, D] -> ``{head: float [N, K]}``."""
        hidden = self.hidden(F.dropout(latent, INPUT_DROPOUT, self.training))  # [N, H]
        for place, table in enumerate(self.categories):
            hidden = hidden + table(categories[:, place])
        hidden = F.dropout(F.relu(hidden), self.dropout, self.training)
        return {head: output(hidden) for head, output in self.outputs.items()}

    def operations(self, tokens: float) -> float:
        """Floating-point operations of one row's forward pass, whatever its length."""
        layers = (self.hidden, self.outputs)
        weights = [weight for layer in layers for weight in layer.parameters() if weight.dim() == 2]
        return 2.0 * sum(weight.numel() for weight in weights)
