"""Inference engines of the ticket network behind one interface; the fastest that tells the truth is chosen at load.

==============  ==============================================================================================
``word-tables``  numpy over tables that hold every word's share of every convolution: the fast one for single rows
``graph``        ONNX Runtime over ``model.onnx``: the portable one, and the fast one for batches
``eager``        torch over ``weights.safetensors``: the reference, never chosen by itself
==============  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from frontdesk.engines.choice import PORTABLE, REFERENCE, TOLERANCE, Engine, choose_engine
from frontdesk.golden import read_golden
from frontdesk.preprocessing.spec import Spec

__all__ = ["ENGINES", "ORDER", "PORTABLE", "TOLERANCE", "Engine", "open_engine"]


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
ORDER = tuple(name for name in ENGINES if name != REFERENCE)
"""Candidates of ``auto``."""


def open_engine(folder: Path, spec: Spec, name: str = "auto") -> Engine:
    """Open an engine over the files of a bundle, and check it against the golden rows; see `choose_engine`.

    Raises:
        UsageError: there is no engine of that name.
        BundleError: no engine is left, or the named one declines or differs.
    """
    openers = {one: partial(opener, folder, spec) for one, opener in ENGINES.items()}
    # A desk asks ticket by ticket.
    return choose_engine(openers, name, read_golden(folder), portable="graph", batches=False)
