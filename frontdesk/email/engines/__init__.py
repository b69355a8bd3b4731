"""Inference engines of a mail model behind one interface; the fastest that tells the truth is chosen at load.

=================  ===============================================================================================
``numpy``          the subword encoder: its network is two small products, which need no runtime
``onnxruntime``    ``hub``: ONNX Runtime over ``model.onnx``
``openvino``       ``hub``: OpenVINO over the same file, float32
``openvino-bf16``  ``hub``: OpenVINO in bfloat16, where the chip computes in it
``eager``          torch over ``weights.safetensors``: the reference, never chosen by itself
=================  ===============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from frontdesk.email.engines.engine import MailEngine, Runtime
from frontdesk.email.files import read_config
from frontdesk.engines.choice import choose_engine
from frontdesk.golden import read_golden
from frontdesk.preprocessing.spec import Spec

TOLERANCE = {"openvino-bf16": 1e-2}
"""Largest difference of a probability from the golden one at load, of engines that compute in fewer bits."""
_Opener = Callable[[Path, Mapping[str, Any]], Runtime]


def _numpy(folder: Path, network: Mapping[str, Any]) -> Runtime:
    from frontdesk.email.engines.arrays import ArrayRuntime

    return ArrayRuntime(folder, network)


def _onnxruntime(folder: Path, network: Mapping[str, Any]) -> Runtime:
    from frontdesk.email.engines.onnx_runtime import OnnxRuntime

    return OnnxRuntime(folder, network)


def _openvino(folder: Path, network: Mapping[str, Any]) -> Runtime:
    from frontdesk.email.engines.openvino_runtime import OpenVinoRuntime

    return OpenVinoRuntime(folder, network, "f32")


def _openvino_bf16(folder: Path, network: Mapping[str, Any]) -> Runtime:
    from frontdesk.email.engines.openvino_runtime import OpenVinoRuntime

    return OpenVinoRuntime(folder, network, "bf16")


def _eager(folder: Path, network: Mapping[str, Any]) -> Runtime:
    from frontdesk.email.engines.eager import EagerRuntime

    return EagerRuntime(folder, network)


ENGINES: dict[str, dict[str, _Opener]] = {
    "subword": {"numpy": _numpy, "eager": _eager},
    "hub": {
        "onnxruntime": _onnxruntime,
        "openvino": _openvino,
        "openvino-bf16": _openvino_bf16,
        "eager": _eager,
    },
}
"""The engines of each encoder, the reference last."""


def open_email_engine(folder: Path, spec: Spec, name: str = "auto", *, golden: bool = True) -> MailEngine:
    """Open an engine over the files of a bundle, and check it against the golden rows; see `choose_engine`.

    Args:
        folder: of a bundle, or of a finished training.
        spec: the fitted values.
        name: of the engine, ``auto`` or ``portable``.
        golden: check against the golden rows; False for a folder that has none yet.

    Raises:
        UsageError: there is no engine of that name.
        BundleError: no engine is left, or the named one declines or differs.
    """
    network = read_config(folder, spec)["network"]
    engines = ENGINES.get(network["encoder"], {})
    openers = {one: partial(_opened, folder, spec, network, one, opener) for one, opener in engines.items()}
    rows = read_golden(folder) if golden else None
    return choose_engine(openers, name, rows, portable=next(iter(openers), ""), tolerances=TOLERANCE)


def _opened(folder: Path, spec: Spec, network: Mapping[str, Any], name: str, opener: _Opener) -> MailEngine:
    return MailEngine(name, folder, spec, opener(folder, network))
