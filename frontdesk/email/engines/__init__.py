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

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from frontdesk.email.engines.engine import MailEngine, Runtime
from frontdesk.email.files import read_config
from frontdesk.engines import PORTABLE
from frontdesk.errors import BundleError, FrontdeskError, UsageError
from frontdesk.golden import GOLDEN, Golden, read_golden
from frontdesk.logs import event
from frontdesk.preprocessing.spec import Spec

TOLERANCE = {"openvino-bf16": 1e-2}
"""Largest difference of a probability from the golden one at load; `_EXACT` where an engine is not named."""
_EXACT = 1e-4
_CALIBRATION_ROWS = 16
_ROUNDS = 3
_log = logging.getLogger(__name__)
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
    """Open an engine over the files of a bundle, and check it against the golden rows.

    ``auto`` opens every engine but the reference, leaves out those that decline (a runtime that is not installed, a
    number format that the chip lacks) or differ from the golden rows by more than `TOLERANCE`, and times the rest on
    golden rows, one at a time and together.

    Args:
        folder: of a bundle, or of a finished training.
        spec: the fitted values.
        name: of the engine, or ``auto``.
        golden: check against the golden rows; False for a folder that has none yet.

    Raises:
        UsageError: there is no engine of that name.
        BundleError: no engine is left, or the named one declines or differs.
    """
    config = read_config(folder, spec)
    openers = ENGINES.get(config["network"]["encoder"], {})
    rows = read_golden(folder) if golden else None
    if name == PORTABLE:
        name = next(iter(openers), name)
    if name != "auto":
        if name not in openers:
            raise UsageError(f"there is no engine {name!r}", remedy=f"Engines: auto, {', '.join(openers)}")
        return _opened(folder, spec, config["network"], name, openers[name], rows)
    engines: list[MailEngine] = []
    refusals: list[FrontdeskError] = []
    for candidate, opener in openers.items():
        if candidate == "eager":
            continue
        try:
            engines.append(_opened(folder, spec, config["network"], candidate, opener, rows))
        except FrontdeskError as error:
            event(_log, "engine_refused", logging.WARNING, engine=candidate, reason=error.message)
            refusals.append(error)
        except ImportError as error:
            event(_log, "engine_refused", logging.WARNING, engine=candidate, reason=f"{error.name} is not installed")
    if not engines:
        raise refusals[0] if refusals else BundleError("no engine can run here", remedy="Install onnxruntime")
    if len(engines) == 1 or rows is None:
        return engines[0]
    seconds = {engine.name: _seconds(engine, rows) for engine in engines}
    chosen = min(engines, key=lambda engine: seconds[engine.name])
    event(_log, "engine_chosen", engine=chosen.name, seconds={name: round(value, 4) for name, value in seconds.items()})
    return chosen


def _opened(
    folder: Path, spec: Spec, network: Mapping[str, Any], name: str, opener: _Opener, golden: Golden | None
) -> MailEngine:
    engine = MailEngine(name, folder, spec, opener(folder, network))
    if golden is not None:
        difference = golden.difference(engine)
        if not difference <= TOLERANCE.get(name, _EXACT):
            words = f"engine {name} differs from the golden rows by {difference:.1e}"
            raise BundleError(words, where=GOLDEN, remedy="Name another engine, or make the bundle again")
    return engine


def _seconds(engine: MailEngine, golden: Golden) -> float:
    """Return the shortest time of some golden rows, alone and together."""
    count = min(_CALIBRATION_ROWS, golden.rows)
    together = {field: values[:count] for field, values in golden.columns.items()}
    alone = [{field: [values[row]] for field, values in together.items()} for row in range(count)]
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        engine.probabilities(together, count)
        for row in alone:
            engine.probabilities(row, 1)
        times.append(time.perf_counter() - began)
    return min(times)
