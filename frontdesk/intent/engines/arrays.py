"""The served engine: the network in NumPy, as a full pass over sessions and as a step that adds one token.

What the algebra allows is computed once, when the weights are loaded: the mixing of a token with those before it is
linear, so each becomes a table by token; the scale and shift of every layer norm go into the matrix behind it; the last
matrix goes into the intents' embeddings. What is left of a step is look-ups and small matrix products.

Shapes: N sessions, L rows, P = L + 1 positions, D width, H heads, K intents, S remembered tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from frontdesk.intent.attention_mask import visible
from frontdesk.intent.batches import Padded
from frontdesk.intent.network_config import PATH, NetworkConfig
from frontdesk.intent.tokens import FIRST_TOKEN

_EPSILON = 1e-5
_GELU = np.float32(np.sqrt(2 / np.pi))


@dataclass(frozen=True)
class _Linear:
    weight: np.ndarray  # [in, out]
    bias: np.ndarray  # [out]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        result: np.ndarray = values @ self.weight
        result += self.bias
        return result


@dataclass(frozen=True)
class _Block:
    query_key_value: _Linear
    attention_out: _Linear
    hidden_in: _Linear
    hidden_out: _Linear


def _normalised(values: np.ndarray) -> np.ndarray:
    centred: np.ndarray = values - values.mean(-1, keepdims=True)
    spread = np.einsum("...d,...d->...", centred, centred)[..., None] / np.float32(values.shape[-1])
    centred /= np.sqrt(spread + np.float32(_EPSILON))
    return centred


def _gelu(values: np.ndarray) -> np.ndarray:
    """Return GELU by its tanh form, as the network has it."""
    inner: np.ndarray = values * values
    inner *= np.float32(0.044715)
    inner += 1
    inner *= values
    inner *= _GELU
    np.tanh(inner, out=inner)
    inner += 1
    inner *= values
    inner *= np.float32(0.5)
    return np.asarray(inner)


def _softmax(scores: np.ndarray) -> np.ndarray:
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    return scores


class ArrayNetwork:
    """The network of trained weights.

    Args:
        config: sizes.
        weights: ``weights.safetensors``: names and shapes of `EvGenNetwork`'s state.
    """

    def __init__(self, config: NetworkConfig, weights: Mapping[str, np.ndarray]) -> None:
        self.config = config
        tokens = weights["token.weight"].astype(np.float32)
        mixed = [tokens @ weights[f"path.{back}.weight"].T for back in range(PATH - 1)]
        self.paths = np.stack([tokens, *mixed])  # [PATH, V, D]
        self.operator, self.line = weights["operator.weight"], weights["line.weight"]
        self.weekday, self.hour = weights["weekday.weight"], weights["hour.weight"]
        self.feature, self.first_levels = weights.get("feature.weight"), np.array(config.first_levels, np.int64)
        self.asking_operator, self.asking_line = weights["asking_operator.weight"], weights["asking_line.weight"]
        self.blocks = [self._block(weights, f"blocks.{layer}.") for layer in range(config.layers)]
        last = _after_norm(weights, "norm", "out")
        intents = tokens[FIRST_TOKEN : FIRST_TOKEN + config.intents]
        bias = last.bias @ intents.T + weights["bias"]
        self.out = _Linear(np.ascontiguousarray(last.weight @ intents.T), bias.astype(np.float32))
        self.line_bias, self.opened_bias = weights["line_bias.weight"], weights["opened_bias"]

    def _block(self, weights: Mapping[str, np.ndarray], name: str) -> _Block:
        first = _after_norm(weights, f"{name}attention_norm", f"{name}query_key_value")
        # The scaling of the scores goes into the queries.
        scale = np.ones(3 * self.config.width, np.float32)
        scale[: self.config.width] = (self.config.width // self.config.heads) ** -0.5
        return _Block(
            _Linear(first.weight * scale, first.bias * scale),
            _linear(weights, f"{name}attention_out"),
            _after_norm(weights, f"{name}hidden_norm", f"{name}hidden_in"),
            _linear(weights, f"{name}hidden_out"),
        )

    def first(self, padded: Padded) -> np.ndarray:
        """Return the first tokens, float32 [N, D]."""
        found: np.ndarray = self.operator[padded.operator + 1] + self.line[padded.line + 1]
        found += self.weekday[padded.weekday]
        found += self.hour[padded.hour]
        if self.feature is not None:
            found += self.feature[padded.features + self.first_levels].sum(1)
        return found

    def embed(self, recent: np.ndarray) -> np.ndarray:
        """Return tokens with the path that led to them, float32 [N, D].

        Args:
            recent: int [N, `PATH`], newest first, 0 where the session has no more.
        """
        return np.asarray(self.paths[np.arange(PATH), recent].sum(1))

    def read(self, stream: np.ndarray, operator: np.ndarray, line: np.ndarray, opened: np.ndarray) -> np.ndarray:
        """Return logits, float32 [..., K].

        Args:
            stream: float32 [..., D], behind the last block.
            operator, line: int [...], who asks.
            opened: bool [..., K], the intents opened so far.
        """
        asked = stream + self.asking_operator[operator + 1]
        asked += self.asking_line[line + 1]
        logits = self.out(_normalised(asked))
        logits += self.line_bias[line + 1]
        logits += opened * self.opened_bias
        return logits

    def full(self, padded: Padded) -> tuple[np.ndarray, np.ndarray]:
        """Run whole sessions through the blocks.

        Returns:
            stream float32 [N, P, D] behind the last block; keys and values float32 [N, P, layers, 2, D].
        """
        tokens, (rows, length) = padded.tokens, padded.tokens.shape
        stream = np.empty((rows, length + 1, self.config.width), np.float32)
        stream[:, 0] = self.first(padded)
        stream[:, 1:] = self.paths[0][tokens]
        for back in range(1, min(PATH, length)):
            stream[:, 1 + back :] += self.paths[back][tokens[:, : length - back]]
        is_intent = np.zeros((rows, length + 1), bool)
        is_intent[:, 1:] = padded.is_intent
        seen = visible(np.arange(length + 1), is_intent, window=self.config.window, memory=self.config.memory)
        hidden = np.where(seen, np.float32(0), -np.float32(np.inf))
        kept = np.empty((rows, length + 1, self.config.layers, 2, self.config.width), np.float32)
        for layer, block in enumerate(self.blocks):
            parts = block.query_key_value(_normalised(stream)).reshape(rows, length + 1, 3, self.config.width)
            kept[:, :, layer] = parts[:, :, 1:]
            stream += block.attention_out(self._attend(parts, hidden))
            stream += block.hidden_out(_gelu(block.hidden_in(_normalised(stream))))
        return stream, kept

    def _attend(self, parts: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Queries, keys and values [N, P, 3, D]; 0 where seen and -inf elsewhere [N, P, P] -> [N, P, D]."""
        rows, positions, _, width = parts.shape
        heads = parts.reshape(rows, positions, 3, self.config.heads, -1).transpose(2, 0, 3, 1, 4)
        scores = heads[0] @ heads[1].transpose(0, 1, 3, 2)  # [N, H, P, P]
        scores += hidden[:, None]
        return np.asarray((_softmax(scores) @ heads[2]).transpose(0, 2, 1, 3).reshape(rows, positions, width))

    def step(self, stream: np.ndarray, kept: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run one new token of each session through the blocks.

        Args:
            stream: float32 [N, D], the embedded tokens.
            kept: float32 [N, S, layers, 2, D], keys and values of earlier tokens.
            seen: bool [N, S], which of them this token sees.

        Returns:
            stream float32 [N, D] behind the last block; the token's own keys and values float32 [N, layers, 2, D].
        """
        rows, width = stream.shape
        heads = (self.config.heads, width // self.config.heads)
        own = np.empty((rows, self.config.layers, 2, width), np.float32)
        hidden = np.where(seen, np.float32(0), -np.float32(np.inf))[:, None]  # [N, 1, S]
        for layer, block in enumerate(self.blocks):
            parts = block.query_key_value(_normalised(stream)).reshape(rows, 3, width)
            own[:, layer] = parts[:, 1:]
            query = parts[:, 0].reshape(rows, *heads)
            keys, values = (kept[:, :, layer, which].reshape(rows, -1, *heads) for which in (0, 1))
            earlier = np.einsum("nhd,nshd->nhs", query, keys)
            earlier += hidden
            itself = np.einsum("nhd,nhd->nh", query, parts[:, 1].reshape(rows, *heads))
            weights = _softmax(np.concatenate([earlier, itself[:, :, None]], 2))  # [N, H, S + 1]
            mixed = np.einsum("nhs,nshd->nhd", weights[:, :, :-1], values)
            mixed += weights[:, :, -1:] * parts[:, 2].reshape(rows, *heads)
            stream = stream + block.attention_out(mixed.reshape(rows, width))
            stream += block.hidden_out(_gelu(block.hidden_in(_normalised(stream))))
        return stream, own


def opened_at(tokens: np.ndarray, intents: int) -> np.ndarray:
    """Return which intents were opened up to each position, bool [N, P, K], of token ids int [N, L]."""
    rows, length = tokens.shape
    opened = np.zeros((rows, length + 1, intents), bool)
    row, place = np.nonzero((tokens >= FIRST_TOKEN) & (tokens < FIRST_TOKEN + intents))
    opened[row, place + 1, tokens[row, place] - FIRST_TOKEN] = True
    return np.asarray(np.logical_or.accumulate(opened, 1))


def _linear(weights: Mapping[str, np.ndarray], name: str) -> _Linear:
    return _Linear(np.ascontiguousarray(weights[f"{name}.weight"].T, np.float32), weights[f"{name}.bias"])


def _after_norm(weights: Mapping[str, np.ndarray], norm: str, name: str) -> _Linear:
    """Return a linear layer that takes in the scale and shift of the layer norm before it."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    scale, shift = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
    folded = np.ascontiguousarray((weight * scale).T, np.float32)
    return _Linear(folded, (bias + weight @ shift).astype(np.float32))
