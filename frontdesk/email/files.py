"""The files of a trained mail model, apart from the network's: read and written without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from frontdesk.email.combination import Combination
from frontdesk.email.grams import Grams
from frontdesk.email.linear import Linear
from frontdesk.errors import BundleError
from frontdesk.preprocessing.spec import Spec
from frontdesk.storage import canonical_json
from frontdesk.taxonomy import Prototypes

CONFIG, WEIGHTS, MODEL = "config.json", "weights.safetensors", "model.onnx"
COMBINATION, LINEAR, GRAMS = "combination.safetensors", "linear.safetensors", "grams.json"
PROTOTYPES = "prototypes.safetensors"
_FORMAT = 1


def read_config(folder: Path, spec: Spec) -> Mapping[str, Any]:
    """Return ``config.json``. Raises `BundleError` where it cannot be read or is of another spec."""
    try:
        content: dict[str, Any] = orjson.loads((folder / CONFIG).read_bytes())
        heads, trained_on, form = content["network"]["heads"], content["spec"], content["format"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BundleError("the model's description cannot be read", where=CONFIG) from error
    if form != _FORMAT:
        raise BundleError(f"mail model format {form} is not {_FORMAT}", where=CONFIG)
    if trained_on != spec.digest:
        raise BundleError("the model was trained with another spec.json", where=CONFIG)
    if heads != {head: len(labels) for head, labels in spec.labels.items()}:
        raise BundleError("the model's heads are not those of spec.json", where=CONFIG)
    return content


def write_config(folder: Path, network: Mapping[str, Any], spec: Spec, parameters: Mapping[str, Any]) -> None:
    """Write ``config.json``."""
    content = {"format": _FORMAT, "network": network, "spec": spec.digest, "parameters": parameters}
    (folder / CONFIG).write_bytes(canonical_json(content))


@dataclass(frozen=True)
class GramPath:
    """What the subword encoder reads off the grams.

    Attributes:
        grams: the fitted grams.
        weights: of all heads side by side, in the order of the heads.
        directions: of the latent space, float16 [G, D].
    """

    grams: Grams
    weights: Linear
    directions: np.ndarray

    def save(self, folder: Path) -> None:
        """Write ``grams.json`` and ``linear.safetensors``."""
        content = {"rows": self.grams.rows, "names": self.grams.names, "documents": self.grams.documents}
        (folder / GRAMS).write_bytes(canonical_json(content))
        weights = {"grams": self.weights.grams, "levels": self.weights.levels, "bias": self.weights.bias}
        weights["directions"] = self.directions
        save_file({name: np.ascontiguousarray(array) for name, array in weights.items()}, folder / LINEAR)

    @classmethod
    def load(cls, folder: Path, strings: list[str]) -> GramPath | None:
        """Read both files; None where the model has no linear path. Raises `BundleError` where they do not fit."""
        if not (folder / GRAMS).is_file():
            return None
        try:
            content = orjson.loads((folder / GRAMS).read_bytes())
            grams = Grams(content["names"], content["documents"], content["rows"], strings)
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BundleError("the grams cannot be read", where=GRAMS) from error
        arrays = _load(folder, LINEAR, {"grams", "levels", "bias", "directions"})
        directions = arrays.pop("directions")
        if not len(arrays["grams"]) == len(directions) == len(grams.names):
            raise BundleError("the weights do not fit the grams", where=LINEAR)
        return cls(grams, Linear(**arrays), directions)


def save_combination(folder: Path, fitted: dict[str, Combination]) -> None:
    """Write ``combination.safetensors``."""
    arrays = {f"{head}.{name}": array for head, one in fitted.items() for name, array in one.arrays().items()}
    save_file(arrays, folder / COMBINATION)


def load_combination(folder: Path, heads: Mapping[str, Any]) -> dict[str, Combination]:
    """Read ``combination.safetensors``. Raises `BundleError` where it does not fit the heads."""
    names = {"temperatures", "weights", "bias", "cross", "cross_weight", "temperature"}
    arrays = _load(folder, COMBINATION, {f"{head}.{name}" for head in heads for name in names})
    return {head: Combination.of({name: arrays[f"{head}.{name}"] for name in names}) for head in heads}


def save_prototypes(folder: Path, fitted: Mapping[str, Prototypes]) -> None:
    """Write ``prototypes.safetensors``: the labels' places in the latent space."""
    arrays = {f"{head}.{name}": array for head, one in fitted.items() for name, array in one.arrays().items()}
    save_file(arrays, folder / PROTOTYPES)


def load_prototypes(folder: Path, heads: Mapping[str, Sequence[str]]) -> dict[str, Prototypes]:
    """Read ``prototypes.safetensors``; empty where the model has none. Raises `BundleError` where it does not fit."""
    if not (folder / PROTOTYPES).is_file():
        return {}
    names = ("centre", "directions", "temperature")
    arrays = _load(folder, PROTOTYPES, {f"{head}.{name}" for head in heads for name in names})
    found = {
        head: Prototypes.of(sorted(labels), {name: arrays[f"{head}.{name}"] for name in names})
        for head, labels in heads.items()
    }
    if any(len(one.directions) != len(one.labels) for one in found.values()):
        raise BundleError("the prototypes are not of the labels of spec.json", where=PROTOTYPES)
    return found


def _load(folder: Path, name: str, wanted: set[str]) -> dict[str, np.ndarray]:
    try:
        arrays: dict[str, np.ndarray] = load_file(folder / name)
    except (OSError, SafetensorError) as error:
        raise BundleError("the weights cannot be read", where=name) from error
    if arrays.keys() != wanted:
        raise BundleError("weights are missing or too many", where=name)
    return arrays
