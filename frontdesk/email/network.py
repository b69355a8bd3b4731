"""The subword encoder: a small network over a mail's place in the latent space, that trains on a few thousand mails.

One hidden layer shared by the heads, to which the embedded bank is added, and a decoder per head. A convolutional
network over the pieces, trained from scratch, was ten points behind on two thousand mails: word order is learnt from
more than a small desk has. The linear path (`linear`) stands beside this network, and `combination` weighs both.

The hidden layer is divided among members that share nothing but the batches: each learns to answer alone, and their
mean answers (an ensemble; Hansen and Salamon 1990). On two thousand mails, three were better than one by a point.

Shapes: N rows, D latent directions, C categorical fields, M members, H hidden of each, K labels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
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
        members: M.
        dropout: of the hidden layer, in training.
    """

    def __init__(
        self,
        directions: int,
        levels: tuple[int, ...],
        heads: dict[str, int],
        hidden: int,
        members: int,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout, self.members = dropout, members
        self.hidden = nn.Linear(directions, members * hidden)
        self.categories = nn.ModuleList(nn.Embedding(count, members * hidden) for count in levels)
        self.outputs = nn.ModuleDict({head: nn.Linear(members * hidden, labels) for head, labels in heads.items()})
        for table in self.categories:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]
        for output in self.outputs.values():
            bound = 1 / math.sqrt(hidden)  # of a member's inputs, not of all members'
            nn.init.uniform_(output.weight, -bound, bound)  # type: ignore[arg-type]

    def forward(self, ids: Tensor, categories: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Int64 [N, L] (not read), int64 [N, C], float32 [N, D] -> ``{head: float [N, K]}``.

        In training, every member's own answer: ``{head: float [N, M, K]}``.
        """
        if not self.training:
            hidden = F.relu(self._with_categories(self.hidden(latent), categories))
            return {
                head: F.linear(hidden, output.weight / self.members, output.bias)  # type: ignore[arg-type, operator]
                for head, output in self.outputs.items()
            }
        weight = self.hidden.weight.view(self.members, -1, latent.shape[1])  # [M, H, D]
        seen = F.dropout(latent.unsqueeze(1).expand(-1, self.members, -1), INPUT_DROPOUT)
        hidden = torch.einsum("nmd,mhd->nmh", seen, weight).flatten(1) + self.hidden.bias
        hidden = F.dropout(F.relu(self._with_categories(hidden, categories)), self.dropout)
        parts = hidden.view(len(hidden), self.members, -1)  # [N, M, H]
        return {head: self._apart(parts, output) for head, output in self.outputs.items()}

    def _apart(self, parts: Tensor, output: nn.Module) -> Tensor:
        """Return every member's logits, [N, M, K], of its part of the hidden layer, [N, M, H]."""
        weight: Tensor = output.weight  # type: ignore[assignment]
        bias: Tensor = output.bias  # type: ignore[assignment]
        return torch.einsum("nmh,kmh->nmk", parts, weight.view(-1, *parts.shape[1:])) + bias

    def _with_categories(self, hidden: Tensor, categories: Tensor) -> Tensor:
        for place, table in enumerate(self.categories):
            hidden = hidden + table(categories[:, place])
        return hidden

    def operations(self, tokens: float) -> float:
        """Floating-point operations of one row's forward pass, whatever its length."""
        layers: list[Any] = [self.hidden, *self.outputs.values()]
        return 2.0 * float(sum(layer.weight.numel() for layer in layers))
