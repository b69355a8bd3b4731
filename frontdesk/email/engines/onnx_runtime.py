"""ONNX Runtime over ``model.onnx``: a ``hub`` encoder with its heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from frontdesk.email.files import MODEL
from frontdesk.engines.session import open_session
from frontdesk.settings import settings


class OnnxRuntime:
    """A session; its threads are the setting's."""

    def __init__(self, folder: Path, network: Mapping[str, Any]) -> None:
        """Open the graph. Raises `BundleError` where the runtime does not take it."""
        self._session = open_session(folder / MODEL, settings().threads)
        self._heads = list(network["heads"])
        self._inputs = {given.name for given in self._session.get_inputs()}

    def logits(self, ids: np.ndarray, categories: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; see `Runtime`."""
        feeds = {"ids": ids, "categories": categories}
        found = self._session.run(self._heads, {name: feeds[name] for name in self._inputs})
        return dict(zip(self._heads, found, strict=True))
