"""OpenVINO over ``model.onnx``: float32, or bfloat16 where the chip computes in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from frontdesk.email.files import MODEL
from frontdesk.errors import BundleError
from frontdesk.settings import settings


class OpenVinoRuntime:
    """A compiled model; every thread has an inference request of its own.

    Args:
        folder: holds the graph.
        network: names the heads.
        precision: ``f32`` or ``bf16``.
    """

    def __init__(self, folder: Path, network: Mapping[str, Any], precision: str) -> None:
        """Compile the graph. Raises `BundleError` where the runtime does not take it, or the chip lacks the format."""
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise BundleError("the chip does not compute in bfloat16", where=MODEL)
        settings_of_plugin = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": settings().threads,
        }
        try:
            self._model = core.compile_model(str(folder / MODEL), "CPU", settings_of_plugin)
        except RuntimeError as error:
            raise BundleError(
                "OpenVINO does not take the graph", where=MODEL, remedy="Make the bundle again"
            ) from error
        self._heads = list(network["heads"])
        self._inputs = [given.get_any_name() for given in self._model.inputs]
        self._requests = threading.local()

    def logits(self, ids: np.ndarray, categories: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Answer a batch; see `Runtime`."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._model.create_infer_request()
        feeds = {"ids": ids, "categories": categories}
        found = request.infer({name: feeds[name] for name in self._inputs}, share_inputs=True)
        return {head: np.array(found[head]) for head in self._heads}
