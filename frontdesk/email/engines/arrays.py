"""The subword encoder's network in numpy: two products and a look-up per row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from frontdesk.email.files import WEIGHTS
from frontdesk.errors import BundleError


class ArrayRuntime:
    """`frontdesk.email.network.SubwordNetwork`, one for all heads or one for each."""

    def __init__(self, folder: Path, network: Mapping[str, Any]) -> None:
        """Load the weights. Raises `BundleError` where they do not fit."""
        try:
            weights = load_file(folder / WEIGHTS)
            fields = len(network["levels"])
            heads = list(network["heads"])
            groups = {f"networks.{head}.": [head] for head in heads} if network["mode"] == "single" else {"": heads}
            self._parts = [
                (
                    weights[f"{prefix}hidden.weight"].T.copy(),
                    weights[f"{prefix}hidden.bias"],
                    [weights[f"{prefix}categories.{field}.weight"] for field in range(fields)],
                    {
                        head: (
                            weights[f"{prefix}outputs.{head}.weight"].T / np.float32(network["members"]),
                            weights[f"{prefix}outputs.{head}.bias"],
                        )
                        for head in members
                    },
                )
                for prefix, members in groups.items()
            ]
        except (OSError, SafetensorError, KeyError) as error:
            raise BundleError("the weights do not fit the network of config.json", where=WEIGHTS) from error

    def logits(self, ids: np.ndarray, categories: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; see `Runtime`. The ids are not read."""
        found = {}
        for weight, bias, tables, outputs in self._parts:
            hidden = latent @ weight + bias
            for place, table in enumerate(tables):
                hidden += table[categories[:, place]]
            np.maximum(hidden, 0.0, out=hidden)
            for head, (output, offset) in outputs.items():
                found[head] = hidden @ output + offset
        return found
