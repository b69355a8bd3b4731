"""The reference: the network itself, in torch, over ``weights.safetensors``. Slow to start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from frontdesk.email.building import build_network
from frontdesk.email.files import WEIGHTS
from frontdesk.errors import BundleError


class EagerRuntime:
    """Runs the network as training does. Threads are torch's own setting."""

    def __init__(self, folder: Path, network: Mapping[str, Any]) -> None:
        """Load the weights. Raises `BundleError` where they do not fit."""
        self._network = build_network(dict(network))
        try:
            self._network.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise BundleError("the weights do not fit the network of config.json", where=WEIGHTS) from error
        self._network.eval()

    @torch.inference_mode()
    def logits(self, ids: np.ndarray, categories: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; see `Runtime`."""
        found = self._network(torch.from_numpy(ids), torch.from_numpy(categories), torch.from_numpy(latent))
        return {head: values.numpy() for head, values in found.items()}
