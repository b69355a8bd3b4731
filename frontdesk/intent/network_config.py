"""The sizes of an EvGen network, which training, the engines and the cached step share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

PATH = 5
"""Tokens whose order a position knows exactly: itself and the four before."""


@dataclass(frozen=True)
class NetworkConfig:
    """What rebuilds the network, apart from its weights.

    Attributes:
        tokens: number of token ids, padding included.
        intents: K; the tokens from `FIRST_TOKEN` on are the intents.
        operators, lines: how many training knows.
        width: D.
        window, memory: see `attention_mask`.
        end_of_session: whether training scores the end of a session beside the intents; no engine reads it.
        features: number of levels of each feature of who asks.
    """

    tokens: int
    intents: int
    operators: int
    lines: int
    width: int = 64
    layers: int = 2
    heads: int = 4
    window: int = 5
    memory: int = 256
    end_of_session: bool = False
    features: tuple[int, ...] = ()

    @property
    def first_levels(self) -> list[int]:
        """Where each feature's levels begin in the table of all features' levels."""
        return [0, *accumulate(self.features)][:-1]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> NetworkConfig:
        """Rebuild the config from plain values."""
        return cls(**{**content, "features": tuple(content.get("features", ()))})
