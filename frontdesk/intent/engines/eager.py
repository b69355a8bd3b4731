"""The reference engine: the network as training had it. Serving never loads it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import orjson
import torch
from safetensors.torch import load_file

from frontdesk.intent.batches import Padded
from frontdesk.intent.network import EvGenNetwork, SessionBatch
from frontdesk.intent.network_config import NetworkConfig


class EagerEngine:
    """Torch on the CPU, in float32.

    Args:
        folder: made by `frontdesk.intent.training.train_evgen`.
    """

    def __init__(self, folder: Path) -> None:
        content = orjson.loads((folder / "config.json").read_bytes())
        self.network = EvGenNetwork(NetworkConfig.from_json(content["network"]))
        self.network.load_state_dict(load_file(folder / "weights.safetensors"))
        self.network.eval()

    @torch.inference_mode()
    def logits(self, padded: Padded) -> np.ndarray:
        """Return the logits of the next intent at every position, float32 [N, P, K]."""
        names = [field.name for field in fields(SessionBatch)]
        batch = SessionBatch(*(torch.from_numpy(getattr(padded, name)) for name in names))
        return np.asarray(self.network(batch).numpy())
