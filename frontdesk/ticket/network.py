"""The second-generation ticket model (v2): one network over text, categories and numbers, with two decoders.

After COTA v2 (Molino, Zheng, Wang, KDD 2018): word embeddings and parallel convolutions over the text (Kim 2014),
learnt embeddings for categories, batch-normalised numbers, a combiner, a decoder per head, and the reply decoder sees
the contact type's state. Beside it runs a wide path (Cheng et al. 2016): words and phrases, weighted by TF-IDF, go
straight to the logits. Desks have thousands of tickets before they have millions, and there the wide path carries the
model; the convolutions add word order when the data can teach it.

Shapes: N rows, L tokens, E embedding, F filters per width, C categorical fields, D numeric fields, H hidden, K labels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frontdesk.distributed import Part
from frontdesk.preprocessing.spec import FIRST_WORD, Number, Spec
from frontdesk.ticket.terms import NORM_EPSILON, NUMBER_LIMIT, phrase_codes, term_weights

CONTACT_TYPE, REPLY = "contact_type", "reply"
_CONSTANT = 1e-9
WIDE_LABELS = 256
"""Heads with more labels get a factorised wide path: features -> `wide_rank` -> labels."""


@dataclass(frozen=True)
class NetworkConfig:
    """What rebuilds the network, apart from its weights.

    Attributes:
        vocabulary_size: rows of the word embedding (padding, unknown, words).
        phrases: number of phrases of the wide path.
        max_tokens: L.
        levels: levels per categorical field, the missing one included.
        numbers: names of the numeric fields, in order.
        knots: indicator inputs per numeric field.
        heads: ``{head: K}``; contact type first.
        temperature: ``{head: T}``, divides the logits; fitted after training.
    """

    vocabulary_size: int
    phrases: int
    max_tokens: int
    levels: tuple[int, ...]
    numbers: tuple[str, ...]
    knots: tuple[int, ...]
    heads: dict[str, int]
    embedding: int = 64
    filters: int = 64
    widths: tuple[int, ...] = (2, 3, 4, 5)
    hidden: int = 256
    wide_rank: int = 256
    temperature: dict[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> NetworkConfig:
        """Rebuild the config from plain values."""
        sequences = {name: tuple(content[name]) for name in ("levels", "numbers", "knots", "widths")}
        return cls(**{**content, **sequences})

    @classmethod
    def of(cls, spec: Spec, **sizes: Any) -> NetworkConfig:
        """Return the config that fits a spec."""
        return cls(
            vocabulary_size=spec.vocabulary_size,
            phrases=len(spec.phrases),
            max_tokens=spec.max_tokens,
            levels=tuple(len(levels) + 1 for levels in spec.categorical.values()),
            numbers=tuple(spec.numeric),
            knots=tuple(len(number.knots) for number in spec.numeric.values()),
            heads={head: len(labels) for head, labels in spec.labels.items()},
            **sizes,
        )


class Numbers(nn.Module):
    """Fill, clamp, standardise (float64), clip, then batch-normalise.

    Args:
        numbers: fitted values per field.
    """

    fill: Tensor
    low: Tensor
    high: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, numbers: list[Number]) -> None:
        super().__init__()
        for name in ("fill", "low", "high", "mean", "scale"):
            values = torch.tensor([getattr(number, name) for number in numbers], dtype=torch.float64)
            self.register_buffer(name, values)
        self.knots = [list(number.knots) for number in numbers]
        self.width = 2 * len(numbers) + sum(map(len, self.knots))
        # Averages over all of training (momentum None), not over its last batches, which a rare indicator may miss.
        self.norm = nn.BatchNorm1d(self.width, eps=NORM_EPSILON, momentum=None)

    @torch.no_grad()
    def silence_constant(self) -> None:
        """Take out inputs that training saw with one value only, such as "missing" where nothing was.

        Nothing was learnt about their other value, and a variance of zero would let it drown everything else.
        """
        constant = self.norm.running_var < _CONSTANT  # type: ignore[operator]
        self.norm.weight[constant] = 0.0

    def forward(self, numbers: Tensor) -> Tensor:
        """Float64 [N, D] (NaN = missing) -> float32 [N, 2 D + knots]."""
        missing = torch.isnan(numbers)
        filled = torch.where(missing, self.fill, numbers)
        clamped = torch.minimum(torch.maximum(filled, self.low), self.high)
        scaled = ((clamped - self.mean) / self.scale).clamp(-NUMBER_LIMIT, NUMBER_LIMIT)
        parts = [scaled.float(), missing.float()]
        for place, knots in enumerate(self.knots):
            if knots:
                steps = torch.tensor(knots, dtype=torch.float64, device=numbers.device)
                parts.append((clamped[:, place : place + 1] > steps).float())
        normed: Tensor = self.norm(torch.cat(parts, 1))
        return normed


class Wide(nn.Module):
    """Words and phrases of a text as TF-IDF weights, ``idf * (1 + ln tf)``, of unit length per row."""

    codes: Tensor
    idf: Tensor

    def __init__(self, config: NetworkConfig, spec: Spec) -> None:
        super().__init__()
        self.vocabulary_size = config.vocabulary_size
        self.register_buffer("codes", torch.from_numpy(phrase_codes(spec)), persistent=False)
        self.register_buffer("idf", torch.from_numpy(term_weights(spec)), persistent=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Int64 [N, L] -> bags: features int64 [B], where each row's begin int64 [N], and weights float32 [B]."""
        rows = torch.arange(len(ids), device=ids.device)[:, None] * len(self.idf)
        known = ids >= FIRST_WORD
        codes = [(rows + ids)[known]]
        if len(self.codes) and ids.shape[1] > 1:
            pair = ids[:, :-1] * self.vocabulary_size + ids[:, 1:]  # [N, L - 1]
            place = torch.searchsorted(self.codes, pair).clamp(max=len(self.codes) - 1)
            listed = (self.codes[place] == pair) & known[:, :-1] & known[:, 1:]
            codes.append((rows + self.vocabulary_size + place)[listed])
        code, count = torch.unique(torch.cat(codes), return_counts=True)  # sorted: row by row
        row, feature = code // len(self.idf), code % len(self.idf)
        weight = self.idf[feature] * (1 + count.log())
        square = weight.new_zeros(len(ids)).index_add(0, row, weight.square())
        size = torch.bincount(row, minlength=len(ids))
        return feature, size.cumsum(0) - size, weight / square[row].sqrt()


class TicketNetwork(nn.Module):
    """Text, categories and numbers to the logits of contact type and reply.

    Args:
        config: sizes.
        spec: fitted values: numbers, phrases, document frequencies.
        dropout: of the combiner's input and of the decoders, in training.
        word_dropout: share of words whose embedding is left out, in training.
        category_dropout: share of categorical values taken as missing, in training; it keeps the network from
            leaning on a level that it saw a few times.

    Attributes:
        part: which rows of a batch the inputs are, in training by several processes; None for all. Numbers are then
            given for the whole batch, over which they are normalised.
    """

    part: Part | None = None

    def __init__(
        self,
        config: NetworkConfig,
        spec: Spec,
        *,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        category_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.config = config
        self.dropout, self.word_dropout, self.category_dropout = dropout, word_dropout, category_dropout
        self.words = nn.Embedding(config.vocabulary_size, config.embedding, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.embedding, config.filters, width, padding=width - 1) for width in config.widths
        )
        self.categories = nn.ModuleList(nn.Embedding(n, category_width(n)) for n in config.levels)
        self.numbers = Numbers(list(spec.numeric.values())) if config.numbers else None
        text = config.embedding + config.filters * len(config.widths)
        side = sum(category_width(n) for n in config.levels)
        numbers = self.numbers.width if self.numbers is not None else 0
        self.combiner = nn.Linear(text + side + numbers, config.hidden)
        self.wide = Wide(config, spec)
        features = config.vocabulary_size + config.phrases
        self.wide_tables = nn.ModuleDict()
        self.wide_outputs = nn.ModuleDict()
        self.category_logits = nn.ModuleDict()
        self.number_logits = nn.ModuleDict()
        self.outputs = nn.ModuleDict()
        for head, labels in config.heads.items():
            rank = config.wide_rank if labels > WIDE_LABELS else labels
            self.wide_tables[head] = nn.EmbeddingBag(features, rank, mode="sum", sparse=True)
            if rank != labels:
                self.wide_outputs[head] = nn.Linear(rank, labels, bias=False)
            self.category_logits[head] = nn.ModuleList(nn.Embedding(n, labels) for n in config.levels)
            if numbers:
                self.number_logits[head] = nn.Linear(numbers, labels, bias=False)
            self.outputs[head] = nn.Linear(config.hidden, labels)
        self.state = nn.Linear(config.heads[CONTACT_TYPE], config.hidden, bias=False) if self._chained else None
        self._initialise(spec)

    @property
    def _chained(self) -> bool:
        return CONTACT_TYPE in self.config.heads and REPLY in self.config.heads

    def _initialise(self, spec: Spec) -> None:
        """Start at the label frequencies: a fresh network answers with the prior."""
        nn.init.normal_(self.words.weight, 0.0, 0.1)
        with torch.no_grad():
            self.words.weight[0] = 0.0
            for head in self.config.heads:
                counts = torch.tensor(spec.label_counts[head], dtype=torch.float32).clamp(min=1)
                output = self.outputs[head]
                assert isinstance(output, nn.Linear)
                output.bias.copy_((counts / counts.sum()).log())
                output.weight.mul_(0.1)
        for module in (self.wide_tables, self.category_logits, self.number_logits):
            for weight in module.parameters():
                nn.init.zeros_(weight)

    def forward(self, ids: Tensor, categories: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """Int64 [N, L], int64 [N, C], float64 [N, D] -> ``{head: logits float32 [N, K]}``."""
        if self.training and self.category_dropout:
            categories = categories * (self._uniform(categories) >= self.category_dropout)
        features, begins, weights = self.wide(ids)
        normed = None if self.numbers is None else self.numbers(numbers)
        if normed is not None and self.part is not None:
            normed = normed[self.part.rows]
        combined = self._combine(ids, categories, normed)  # [N, H]
        logits: dict[str, Tensor] = {}
        for head in self.config.heads:
            hidden = combined
            if head == REPLY and self.state is not None:
                # The decoder of the reply sees what the contact type came to, but does not pull at it.
                hidden = hidden + self.state(logits[CONTACT_TYPE].detach().softmax(1))
            out = self.outputs[head](self._dropped(hidden))
            wide = self.wide_tables[head](features, begins, per_sample_weights=weights)
            out = out + (self.wide_outputs[head](wide) if head in self.wide_outputs else wide)
            for place, table in enumerate(self.category_logits[head].children()):
                out = out + table(categories[:, place])
            if normed is not None:
                out = out + self.number_logits[head](normed)
            logits[head] = out
        return logits

    def _combine(self, ids: Tensor, categories: Tensor, numbers: Tensor | None) -> Tensor:
        embedded = self.words(ids)  # [N, L, E]
        if self.training and self.word_dropout:
            embedded = embedded * (self._uniform(ids) >= self.word_dropout)[:, :, None]
        length = (ids > 0).sum(1, keepdim=True).clamp(min=1)
        parts = [embedded.sum(1) / length]
        channels = embedded.transpose(1, 2)  # [N, E, L]
        # A window over padding alone gives the bias. It always takes part, so that a row's answer does not depend on
        # how far the rows beside it are padded.
        for convolution in self.convolutions:
            peak = convolution(channels).amax(2)  # [N, F]
            parts.append(F.relu(torch.maximum(peak, convolution.bias)))  # type: ignore[arg-type]
        parts += [table(categories[:, place]) for place, table in enumerate(self.categories)]
        if numbers is not None:
            parts.append(numbers)
        hidden: Tensor = self.combiner(self._dropped(torch.cat(parts, 1)))
        return F.relu(hidden)

    def _uniform(self, values: Tensor) -> Tensor:
        """Draw a number for every value; the draws of a part are those of its rows in the whole batch."""
        if self.part is None:
            return torch.rand(values.shape, device=values.device)
        return torch.rand(self.part.of, *values.shape[1:], device=values.device)[self.part.rows]

    def _dropped(self, values: Tensor) -> Tensor:
        """Leave values out at random, in training; likewise."""
        if self.part is None or not self.training:
            return F.dropout(values, self.dropout, self.training)
        whole = values.new_ones(self.part.of, *values.shape[1:])
        return values * F.dropout(whole, self.dropout)[self.part.rows]

    def operations(self, tokens: float) -> float:
        """Floating-point operations of one row's forward pass at a mean number of tokens; twice the multiplications."""
        config = self.config
        convolution = tokens * config.embedding * config.filters * sum(config.widths)
        labels = sum(config.heads.values())
        return 2 * (
            convolution + self.combiner.in_features * config.hidden + config.hidden * labels + 2 * tokens * labels
        )


def category_width(levels: int) -> int:
    """Return the embedding width of a categorical field: ``1.6 levels^0.56``, at most 32 (fast.ai's rule of thumb)."""
    return min(32, int(1.6 * levels**0.56) + 1)
