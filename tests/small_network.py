"""A ticket network with random weights: every path of it carries weight, and no training is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from frontdesk.preprocessing.spec import FIRST_WORD, Number, Spec
from frontdesk.storage import canonical_json
from frontdesk.ticket.network import NetworkConfig, TicketNetwork

LEVELS = ("web", "phone", "1.0", "é")


def small_spec(
    *,
    words: int = 60,
    phrases: int = 40,
    contact_types: int = 30,
    text: tuple[str, ...] = ("subject", "body"),
    categorical: tuple[str, ...] = ("product", "channel"),
    numeric: tuple[str, ...] = ("order_total", "created_at"),
    heads: tuple[str, ...] = ("contact_type", "reply"),
    max_tokens: int = 24,
) -> Spec:
    """Return a spec over ``word0``, ``word1``, ... whose fields are not in the order of their names."""
    draw = np.random.default_rng(5)
    pairs = {(int(a), int(b)) for a, b in draw.integers(FIRST_WORD, words + FIRST_WORD, (2 * phrases, 2))}
    chosen = tuple(sorted(pairs, key=lambda pair: (pair[1], -pair[0])))[:phrases]
    numbers = {
        "order_total": Number(fill=50.0, mean=60.0, scale=25.0),
        "created_at": Number(20_000.0, 19_500.0, 300.0, 19_000.0, 20_000.0, (19_200.0, 19_500.0, 19_800.0)),
    }
    labels = {
        "contact_type": tuple(sorted(f"branch {place % 4} > leaf {place}" for place in range(contact_types))),
        "reply": tuple(f"reply {place}" for place in range(7)),
    }
    return Spec(
        recipe="ticket",
        text=text,
        categorical=dict.fromkeys(categorical, LEVELS),
        numeric={name: numbers[name] for name in numeric},
        vocabulary=tuple(f"word{place}" for place in range(words)),
        word_documents=tuple(range(words, 0, -1)),
        phrases=chosen,
        phrase_documents=tuple(range(len(chosen), 0, -1)),
        documents=2 * words,
        labels={head: labels[head] for head in heads},
        label_counts={head: tuple(range(1, len(labels[head]) + 1)) for head in heads},
        separator=" > ",
        max_tokens=max_tokens,
        columns={"text": list(text)},
    )


def write_network(folder: Path, spec: Spec, seed: int = 0, spread: float = 0.3, **sizes: Any) -> Path:
    """Write what training leaves: weights (``spread``: how far from a fresh network), sizes, held-out probabilities."""
    chosen = {"embedding": 8, "filters": 6, "hidden": 12} | sizes
    config = NetworkConfig.of(spec, temperature=dict.fromkeys(spec.labels, 1.3), **chosen)
    generator = torch.manual_seed(seed)
    network = TicketNetwork(config, spec)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)
        network.words.weight[0] = 0.0
        if network.numbers is not None:
            network.numbers.norm.running_mean.normal_(generator=generator)
            network.numbers.norm.running_var.uniform_(0.5, 2.0, generator=generator)
    folder.mkdir(parents=True)
    save_file(network.state_dict(), folder / "weights.safetensors")
    content = {"network": config.to_json(), "parameters": {}, "spec": spec.digest}
    (folder / "config.json").write_bytes(canonical_json(content))
    draw = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for head, labels in spec.labels.items():
        arrays[f"{head}.labels"] = draw.integers(0, len(labels), 200).astype(np.int32)
        chance = np.full((200, len(labels)), 0.02 / len(labels), np.float32)
        chance[np.arange(200), arrays[f"{head}.labels"]] = 0.98
        arrays[f"{head}.probabilities"] = chance
    save_arrays(arrays, folder / "validation.safetensors")
    return folder
