"""The reference engine: the network itself, in torch, over ``weights.safetensors``. Slow to start and to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from frontdesk.engines.network_files import CONFIG, WEIGHTS, read_config
from frontdesk.errors import BundleError
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import PAD, Spec
from frontdesk.ticket.network import NetworkConfig, TicketNetwork

_CHUNK = 64


class EagerEngine:
    """Runs `TicketNetwork` as training does. Threads are torch's own setting."""

    name = "eager"

    def __init__(self, folder: Path, spec: Spec) -> None:
        """Load the weights of a bundle or of a finished training. Raises `BundleError` where they do not fit."""
        config = NetworkConfig.from_json(dict(read_config(folder, spec)))
        self._network = TicketNetwork(config, spec)
        try:
            self._network.load_state_dict(load_file(folder / WEIGHTS))
        except (SafetensorError, RuntimeError) as error:
            raise BundleError("the weights do not fit the network of config.json", where=WEIGHTS) from error
        self._network.eval()
        self._temperature = config.temperature or {}
        if not set(self._temperature) <= set(config.heads):
            raise BundleError("a temperature of a head that does not exist", where=CONFIG)
        self._encoder = Encoder(spec)
        self._heads = {head: len(labels) for head, labels in spec.labels.items()}

    @torch.inference_mode()
    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities; see `frontdesk.engines.Engine`."""
        arrays = self._encoder.encode(columns, rows)
        ids = arrays.ids[
            :, : max(1, int((arrays.ids != PAD).sum(1).max(initial=0)))
        ]  # an answer has no use for padding
        found = {head: np.zeros((rows, labels), np.float32) for head, labels in self._heads.items()}
        for start in range(0, rows, _CHUNK):
            part = slice(start, start + _CHUNK)
            logits = self._network(
                torch.from_numpy(ids[part]).long(),
                torch.from_numpy(arrays.categories[part]).long(),
                torch.from_numpy(arrays.numbers[part]),
            )
            for head, values in logits.items():
                found[head][part] = (values / self._temperature.get(head, 1.0)).softmax(1).numpy()
        return found
