"""The files that training leaves and a bundle carries: the network's sizes and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load_file

from frontdesk.errors import BundleError
from frontdesk.preprocessing.spec import Spec

CONFIG, WEIGHTS = "config.json", "weights.safetensors"


def read_config(folder: Path, spec: Spec) -> Mapping[str, Any]:
    """Return the sizes of the network. Raises `BundleError` where the file cannot be read or is of another spec."""
    try:
        content = orjson.loads((folder / CONFIG).read_bytes())
        network: Mapping[str, Any] = content["network"]
        heads, trained_on = network["heads"], content["spec"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BundleError("the network's sizes cannot be read", where=CONFIG) from error
    if trained_on != spec.digest:
        raise BundleError("the network was trained with another spec.json", where=CONFIG)
    if heads != {head: len(labels) for head, labels in spec.labels.items()}:
        raise BundleError("the network's heads are not those of spec.json", where=CONFIG)
    return network


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Return the weights by name. Raises `BundleError` where the file cannot be read."""
    try:
        weights: dict[str, np.ndarray] = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise BundleError("the weights cannot be read", where=WEIGHTS) from error
    return weights
