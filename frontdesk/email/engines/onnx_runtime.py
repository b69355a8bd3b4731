"""ONNX Runtime over ``model.onnx``: a ``hub`` encoder with its heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from frontdesk.email.files import MODEL
from frontdesk.errors import BundleError
from frontdesk.settings import settings


class OnnxRuntime:
    """A session; its threads are the setting's."""

    def __init__(self, folder: Path, network: Mapping[str, Any]) -> None:
        """Open the graph. Raises `BundleError` where the runtime does not take it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings().threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises a class of its own for each of its status codes
            words = f"ONNX Runtime does not take the graph ({type(error).__name__})"
            raise BundleError(words, where=MODEL, remedy="Make the bundle again") from error
        self._heads = list(network["heads"])
        self._inputs = {given.name for given in self._session.get_inputs()}

    def logits(self, ids: np.ndarray, categories: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; see `Runtime`."""
        feeds = {"ids": ids, "categories": categories}
        found = self._session.run(self._heads, {name: feeds[name] for name in self._inputs})
        return dict(zip(self._heads, found, strict=True))
