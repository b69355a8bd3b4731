"""Inference engines of the ticket network behind one interface; the fastest that tells the truth is chosen at load.

==============  ==============================================================================================
``word-tables``  numpy over tables that hold every word's share of every convolution: the fast one for single rows
``graph``        ONNX Runtime over ``model.onnx``: the portable one, and the fast one for batches
``eager``        torch over ``weights.safetensors``: the reference, never chosen by itself
==============  ==============================================================================================
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from frontdesk.errors import BundleError, FrontdeskError, UsageError
from frontdesk.golden import GOLDEN, Golden, read_golden
from frontdesk.logs import event
from frontdesk.preprocessing.spec import Spec

TOLERANCE = 1e-4
"""Largest difference of a probability from the golden one at load. The job that makes a bundle allows 1e-5; the machine
that loads it may add in another order."""
PORTABLE = "portable"
"""Names the engine of a kind of model that runs wherever the library does, whatever is faster on one machine."""
ORDER = ("word-tables", "graph")
"""Candidates of ``auto``. An earlier one stays unless a later one is faster by `_MARGIN`."""
_MARGIN = 0.8
_CALIBRATION_ROWS = 12
_CALIBRATION_ROUNDS = 3
_log = logging.getLogger(__name__)


class Engine(Protocol):
    """A network with its weights, ready to answer. Safe to share between threads."""

    name: str

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities of raw columns: ``{head: float32 [rows, K]}``, K as in spec.labels."""
        ...


def _graph(folder: Path, spec: Spec) -> Engine:
    from frontdesk.engines.graph import GraphEngine

    return GraphEngine(folder, spec)


def _word_tables(folder: Path, spec: Spec) -> Engine:
    from frontdesk.engines.word_tables import WordTablesEngine

    return WordTablesEngine(folder, spec)


def _eager(folder: Path, spec: Spec) -> Engine:
    from frontdesk.engines.eager import EagerEngine

    return EagerEngine(folder, spec)


ENGINES: dict[str, Callable[[Path, Spec], Engine]] = {"word-tables": _word_tables, "graph": _graph, "eager": _eager}


def open_engine(folder: Path, spec: Spec, name: str = "auto") -> Engine:
    """Open an engine over the files of a bundle, and check it against the golden rows.

    ``auto`` opens every candidate of `ORDER`, leaves out those that decline (tables too large, a runtime that is not
    installed) or differ from the golden rows by more than `TOLERANCE`, and times the rest on single golden rows.

    Raises:
        UsageError: there is no engine of that name.
        BundleError: no engine is left, or the named one declines or differs.
    """
    golden = read_golden(folder)
    if name == PORTABLE:
        name = "graph"
    if name != "auto":
        if name not in ENGINES:
            raise UsageError(f"there is no engine {name!r}", remedy=f"Engines: auto, {', '.join(ENGINES)}")
        return _checked(ENGINES[name](folder, spec), golden)
    engines: list[Engine] = []
    refusals: list[FrontdeskError] = []
    for candidate in ORDER:
        try:
            engines.append(_checked(ENGINES[candidate](folder, spec), golden))
        except FrontdeskError as error:
            event(_log, "engine_refused", logging.WARNING, engine=candidate, reason=error.message)
            refusals.append(error)
        except ImportError as error:
            event(_log, "engine_refused", logging.WARNING, engine=candidate, reason=f"{error.name} is not installed")
    if not engines:
        raise refusals[0] if refusals else BundleError("no engine can run here", remedy="Install onnxruntime")
    chosen, best = engines[0], _seconds(engines[0], golden)
    for other in engines[1:]:
        if (seconds := _seconds(other, golden)) < best * _MARGIN:
            chosen, best = other, seconds
    event(_log, "engine_chosen", engine=chosen.name, row_milliseconds=round(best * 1e3, 3))
    return chosen


def _checked(engine: Engine, golden: Golden) -> Engine:
    difference = golden.difference(engine)
    if not difference <= TOLERANCE:
        words = f"engine {engine.name} differs from the golden rows by {difference:.1e}"
        raise BundleError(words, where=GOLDEN, remedy="Name another engine, or make the bundle again")
    return engine


def _seconds(engine: Engine, golden: Golden) -> float:
    """Return the median time of one golden row."""
    rows = [{field: [values[row]] for field, values in golden.columns.items()} for row in range(_CALIBRATION_ROWS)]
    times = []
    for _ in range(_CALIBRATION_ROUNDS):
        for row in rows:
            began = time.perf_counter()
            engine.probabilities(row, 1)
            times.append(time.perf_counter() - began)
    return statistics.median(times)
