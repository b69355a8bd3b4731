"""Small made sessions and networks of the intent recipe, which several tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from frontdesk.intent.mapped import write_arrays
from frontdesk.intent.network import EvGenNetwork
from frontdesk.intent.network_config import NetworkConfig
from frontdesk.intent.sessions import Session, SessionSet
from frontdesk.intent.stacking import Stacking, opening_counts
from frontdesk.intent.tokens import FIRST_TOKEN, UNKNOWN_EVENT, UNKNOWN_INTENT, Tokenizer
from frontdesk.storage import canonical_json

INTENTS, EVENTS, OPERATORS, LINES = 7, 5, 4, 3
TOKENS = FIRST_TOKEN + INTENTS + EVENTS
_HOUR = 3_600_000_000


def small_tokenizer() -> Tokenizer:
    """Return a tokeniser with `INTENTS` intents and `EVENTS` events."""
    return Tokenizer(
        (),
        tuple(f"intent {place}" for place in range(INTENTS)),
        tuple((f"event {place}",) for place in range(EVENTS)),
        tuple(f"operator {place}" for place in range(OPERATORS)),
        tuple(f"line {place}" for place in range(LINES)),
    )


def small_config(**sizes: int) -> NetworkConfig:
    """Return a config that fits `small_tokenizer`."""
    wanted = {"width": 8, "layers": 2, "heads": 2} | sizes
    return NetworkConfig(TOKENS, INTENTS, OPERATORS, LINES, **wanted)


def small_network(config: NetworkConfig, seed: int = 0) -> EvGenNetwork:
    """Return a network whose every weight is drawn, those too that training starts at zero."""
    torch.manual_seed(seed)
    network = EvGenNetwork(config)
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(torch.randn_like(value) * 0.5 + (1.0 if name.endswith("norm.weight") else 0.0))
        network.token.weight[0] = 0
    return network.eval()


def saved(folder: Path, network: EvGenNetwork, sessions: SessionSet, stacking: Stacking | None = None) -> Path:
    """Write a network as training leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach() for name, value in network.state_dict().items()}, folder / "weights.safetensors")
    write_arrays(folder / "counts.safetensors", opening_counts(sessions).arrays())
    content = {"network": network.config.to_json(), "stacking": (stacking or Stacking()).to_json()}
    (folder / "config.json").write_bytes(canonical_json(content))
    return folder


def is_intent(tokens: np.ndarray) -> np.ndarray:
    """Return which tokens of `small_tokenizer` are intents."""
    return (tokens == UNKNOWN_INTENT) | ((tokens >= FIRST_TOKEN) & (tokens < FIRST_TOKEN + INTENTS))


def made_session(tokens: list[int], *, name: str = "s", operator: int = 0, line: int = 0, start: int = 0) -> Session:
    """Return a session of token ids."""
    ids = np.array(tokens, np.int32)
    opened = is_intent(ids)
    intents = np.where(opened & (ids != UNKNOWN_INTENT), ids - FIRST_TOKEN, -1).astype(np.int32)
    return Session(name, operator, line, start, ids, opened, intents, start + np.arange(len(ids)) * 1_000_000)


def made_sessions(count: int, seed: int = 0, *, longest: int = 12, handovers: bool = False) -> SessionSet:
    """Return sessions whose next intent follows from the intent before it; some intents ended in an error."""
    draw = np.random.default_rng(seed)
    chosen, lengths = [], draw.integers(2, longest + 1, count)
    for length in lengths:
        intent = int(draw.integers(INTENTS))
        for _ in range(length):
            if draw.random() < 0.5:
                chosen.append(FIRST_TOKEN + intent)
                intent = (3 * intent + 1) % INTENTS
            else:
                chosen.append(int(draw.choice([UNKNOWN_EVENT, *range(FIRST_TOKEN + INTENTS, TOKENS)])))
    tokens = np.array(chosen, np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    opened = is_intent(tokens)
    rows = len(tokens)
    sessions = np.repeat(np.arange(count), lengths)
    owners = draw.integers(-1, OPERATORS, count)[sessions]
    if handovers:
        owners = np.where(draw.random(rows) < 0.3, draw.integers(-1, OPERATORS, rows), owners)
    return SessionSet(
        tuple(f"session {place}" for place in range(count)),
        offsets,
        tokens,
        opened,
        opened & (draw.random(rows) > 0.05),
        np.where(opened, tokens - FIRST_TOKEN, -1).astype(np.int32),
        (sessions * 5 * _HOUR + np.arange(rows) * 1_000_000).astype(np.int64),
        owners.astype(np.int32),
        draw.integers(-1, LINES, count)[sessions].astype(np.int32),
        np.zeros(rows + 1, np.int64),
        np.zeros(0, np.int32),
        np.zeros((rows, 0), np.int32),
    )
