"""EvGen: the session network that scores the operator's next intent.

Causal self-attention over the rows of a session without positional encoding. The first token holds who opened the
session (line and operator), what a feature store knows of them (each feature's level; level 0 is unknown), and when
(weekday, start hour), so that every position sees it; what each position sees is `attention_mask.visible`. Order comes
from the tokens: each is embedded with the four before it, so that a position knows the path it stands at the end of, as
a Markov chain does, and attention adds everything that the chain forgets. Who asks now is added after attention,
because an operator who takes over a session changes nothing of what happened before.

Shapes: N sessions, L rows, P = L + 1 positions (the first token, then the rows), D width, K intents. Position p scores
the request after its token; position 0 the request before any row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frontdesk.intent.attention_mask import visible
from frontdesk.intent.levels import MISSING
from frontdesk.intent.network_config import PATH, NetworkConfig
from frontdesk.intent.tokens import FIRST_TOKEN, UNKNOWN_EVENT, UNKNOWN_INTENT

_FIRST_STD = 0.05
_HIDDEN = 4


@dataclass(frozen=True)
class Dropouts:
    """What training hides.

    Attributes:
        values: share of hidden values.
        operators, lines: share of sessions whose operator or line is unknown.
        tokens: share of tokens that are shown as unknown ones of their kind.
        features: share of a session's features that are missing.
    """

    values: float = 0.0
    operators: float = 0.0
    lines: float = 0.0
    tokens: float = 0.0
    features: float = 0.0


@dataclass(frozen=True)
class SessionBatch:
    """Sessions on one device.

    Attributes:
        tokens: int64 [N, L], 0 is padding.
        is_intent: bool [N, L].
        operator, line: int64 [N], who opened the session; -1 is unknown.
        weekday, hour: int64 [N], of the start.
        asking_operator, asking_line: int64 [N, P], who asks at each position; -1 is unknown.
        features: int64 [N, F], level of each feature; 0 is unknown.
    """

    tokens: Tensor
    is_intent: Tensor
    operator: Tensor
    line: Tensor
    weekday: Tensor
    hour: Tensor
    asking_operator: Tensor
    asking_line: Tensor
    features: Tensor


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each behind a layer norm and added to the stream."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width)
        self.hidden_in = nn.Linear(width, _HIDDEN * width)
        self.hidden_out = nn.Linear(_HIDDEN * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, stream: Tensor, mask: Tensor) -> Tensor:
        """Float [N, P, D] and bool [N, 1, P, P] -> float [N, P, D]."""
        rows, positions, width = stream.shape
        parts = self.query_key_value(self.attention_norm(stream))
        parts = parts.view(rows, positions, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each [N, heads, P, D / heads]
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        stream = stream + self.dropout(self.attention_out(seen.transpose(1, 2).reshape(rows, positions, width)))
        hidden = F.gelu(self.hidden_in(self.hidden_norm(stream)), approximate="tanh")
        out: Tensor = stream + self.dropout(self.hidden_out(hidden))
        return out


class EvGenNetwork(nn.Module):
    """The network; the module's text says how it works.

    Args:
        config: sizes.
        dropouts: what training hides.
    """

    def __init__(self, config: NetworkConfig, dropouts: Dropouts | None = None) -> None:
        super().__init__()
        self.config, self.dropouts = config, dropouts or Dropouts()
        width = config.width
        self.token = nn.Embedding(config.tokens, width, padding_idx=0)
        # Row 0 of the tables of operators and lines is the unknown one.
        self.operator = nn.Embedding(config.operators + 1, width)
        self.line = nn.Embedding(config.lines + 1, width)
        self.weekday = nn.Embedding(7, width)
        self.hour = nn.Embedding(24, width)
        self.asking_operator = nn.Embedding(config.operators + 1, width)
        self.asking_line = nn.Embedding(config.lines + 1, width)
        nn.init.normal_(self.token.weight, std=2 * _FIRST_STD)
        with torch.no_grad():
            self.token.weight[0] = 0
        for table in (self.operator, self.line, self.weekday, self.hour, self.asking_operator, self.asking_line):
            nn.init.normal_(table.weight, std=_FIRST_STD)
        self.path = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(PATH - 1))
        self.blocks = nn.ModuleList(Block(width, config.heads, self.dropouts.values) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(config.intents))
        self.line_bias = nn.Embedding(config.lines + 1, config.intents)
        nn.init.zeros_(self.line_bias.weight)
        self.opened_bias = nn.Parameter(torch.zeros(config.intents))
        self.dropout = nn.Dropout(self.dropouts.values)
        self.end = nn.Linear(width, 1) if config.end_of_session else None
        self.feature = nn.Embedding(sum(config.features), width) if config.features else None
        if self.feature is not None:
            nn.init.normal_(self.feature.weight, std=_FIRST_STD)

    def forward(self, batch: SessionBatch) -> Tensor:
        """Return the logits of the next intent at every position, float [N, P, K].

        A network that learns the end of sessions has it in one more column, the last.
        """
        batch = self._hide(batch) if self.training else batch
        positions = torch.arange(batch.tokens.shape[1] + 1, device=batch.tokens.device)
        is_intent = F.pad(batch.is_intent, (1, 0))  # [N, P]
        mask = visible(positions, is_intent, window=self.config.window, memory=self.config.memory)
        stream = self.dropout(self._embed(batch))  # [N, P, D]
        for block in self.blocks:
            stream = block(stream, mask[:, None])
        stream = stream + self.asking_operator(batch.asking_operator + 1) + self.asking_line(batch.asking_line + 1)
        # The scores are products with the embeddings of the intents' own tokens (weight tying).
        intents = self.token.weight[FIRST_TOKEN : FIRST_TOKEN + self.config.intents]
        stream = self.norm(stream)
        logits = F.linear(self.out(stream), intents, self.bias) + self.line_bias(batch.asking_line + 1)
        scores: Tensor = logits + self._opened(batch) * self.opened_bias
        return scores if self.end is None else torch.cat([scores, self.end(stream)], -1)

    def _embed(self, batch: SessionBatch) -> Tensor:
        first = self.operator(batch.operator + 1) + self.line(batch.line + 1)
        first = first + self.weekday(batch.weekday) + self.hour(batch.hour)  # [N, D]
        if self.feature is not None:
            first = first + self.feature(batch.features + batch.features.new_tensor(self.config.first_levels)).sum(1)
        tokens = self.token(batch.tokens)  # [N, L, D]
        rows = tokens.shape[1]
        stream = tokens
        for back, mix in enumerate(self.path[: rows - 1] if rows > 1 else (), start=1):
            stream = stream + F.pad(mix(tokens[:, : rows - back]), (0, 0, back, 0))
        return torch.cat([first[:, None], stream], 1)

    def _opened(self, batch: SessionBatch) -> Tensor:
        """Return 1 where an intent was opened up to a position, float [N, P, K]."""
        rows, length = batch.tokens.shape
        kinds = self.config.intents
        place = batch.tokens - FIRST_TOKEN
        place = torch.where(batch.is_intent & (place >= 0), place, kinds)  # the last column takes everything else
        opened = torch.zeros(rows, length + 1, kinds + 1, device=place.device, dtype=self.bias.dtype)
        opened[:, 1:].scatter_(2, place[..., None], 1.0)
        return opened.cumsum(1).clamp_(max=1)[..., :kinds]

    def _hide(self, batch: SessionBatch) -> SessionBatch:
        rows, device = len(batch.tokens), batch.tokens.device
        operator = torch.rand(rows, device=device) < self.dropouts.operators
        line = torch.rand(rows, device=device) < self.dropouts.lines
        token = (torch.rand(batch.tokens.shape, device=device) < self.dropouts.tokens) & (batch.tokens > 0)
        unknown = torch.where(batch.is_intent, UNKNOWN_INTENT, UNKNOWN_EVENT)
        features = batch.features
        if self.feature is not None:
            missing = torch.rand(features.shape, device=device) < self.dropouts.features
            features = features.masked_fill(missing, MISSING)
        return SessionBatch(
            torch.where(token, unknown, batch.tokens),
            batch.is_intent,
            batch.operator.masked_fill(operator, -1),
            batch.line.masked_fill(line, -1),
            batch.weekday,
            batch.hour,
            batch.asking_operator.masked_fill(operator[:, None], -1),
            batch.asking_line.masked_fill(line[:, None], -1),
            features,
        )


def next_intent_loss(
    logits: Tensor,
    targets: Tensor,
    valid: Tensor | None = None,
    weights: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the mean cross-entropy over the positions that have a target: a full softmax, no sampled negatives.

    Invalid intents get a large finite penalty, not minus infinity: a position whose target is not valid, or whose
    intents are all invalid, counts as one without a target, and neither loss nor gradient is ever infinite.

    Args:
        logits: float [N, P, K], of any precision; the loss is taken in float32.
        targets: int64 [N, P]; negative = none.
        valid: bool [N, K], the intents that exist while the session runs; None for all.
        weights: float [N, P], not negative; None for 1 everywhere.

    Returns:
        float32 scalar; 0, with zero gradients, where no position has a target.
    """
    has = targets >= 0
    if weights is not None:
        has = has & (weights > 0)
    if valid is not None:
        has = has & valid.gather(1, targets.clamp(min=0))
    picked = logits[has].float()  # [M, K]
    if not len(picked):
        return logits.float().sum() * 0.0
    labels = targets[has]
    counted = torch.ones_like(picked)
    if valid is not None:
        allowed = valid[:, None, :].expand(-1, targets.shape[1], -1)[has]
        picked = picked.masked_fill(~allowed, _NEVER)
        counted = allowed.float()
    log_shares = picked.log_softmax(1)
    loss = -log_shares.gather(1, labels[:, None])[:, 0]
    if label_smoothing:
        even = -(log_shares * counted).sum(1) / counted.sum(1)
        loss = (1 - label_smoothing) * loss + label_smoothing * even
    return loss.mean() if weights is None else (loss * weights[has]).sum() / weights[has].sum()


_NEVER = -1e9
