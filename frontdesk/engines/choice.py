"""Which engine answers: the one that is named, or the fastest of those that tell the truth.

Speed is measured when a bundle is loaded, on golden rows, one at a time and, where batches are asked for, together. An
engine is true when it gives the golden rows their probabilities.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from frontdesk.errors import BundleError, FrontdeskError, UsageError
from frontdesk.golden import GOLDEN, Golden
from frontdesk.logs import event

PORTABLE = "portable"
"""Names the engine of a kind of model that runs wherever the library does, whatever is faster on one machine. Jobs
answer with it, so that their figures do not hang on which engine was faster in that moment."""
REFERENCE = "eager"
"""Name of the reference, which is never chosen by itself."""
TOLERANCE = 1e-4
"""Largest difference of a probability from the golden one at load. The job that makes a bundle allows 1e-5; the machine
that loads it may add in another order."""
_MARGIN = 0.9
"""An engine stays chosen unless a later one takes less than this share of its time."""
_ROWS = 16
_ROUNDS = 3
_log = logging.getLogger(__name__)


class Engine(Protocol):
    """A model with its weights, ready to answer. Safe to share between threads."""

    name: str

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities of raw columns: ``{head: float32 [rows, K]}``, K as in spec.labels."""
        ...


Chosen = TypeVar("Chosen", bound=Engine)


def choose_engine(
    openers: Mapping[str, Callable[[], Chosen]],
    name: str,
    golden: Golden | None,
    *,
    portable: str,
    batches: bool = True,
    tolerances: Mapping[str, float] | None = None,
) -> Chosen:
    """Open the engine of a name, or the fastest.

    ``auto`` opens every engine but the reference and leaves out those that decline (a runtime that is not installed, a
    number format that the chip lacks, tables too large) or differ from the golden rows.

    Args:
        openers: by name, in the order of preference.
        name: of an engine, ``auto`` or ``portable``.
        golden: golden rows; None for a folder that has none yet, where nothing is checked or timed.
        portable: the engine that ``portable`` names.
        batches: whether the time of many rows together counts beside that of single ones.
        tolerances: `TOLERANCE` of engines that compute in fewer bits.

    Raises:
        UsageError: there is no engine of that name.
        BundleError: no engine is left, or the named one declines or differs.
    """

    def opened(one: str) -> Chosen:
        engine = openers[one]()
        if golden is not None and not (difference := golden.difference(engine)) <= (tolerances or {}).get(
            one, TOLERANCE
        ):
            words = f"engine {one} differs from the golden rows by {difference:.1e}"
            raise BundleError(words, where=GOLDEN, remedy="Name another engine, or make the bundle again")
        return engine

    if name != "auto":
        name = portable if name == PORTABLE else name
        if name not in openers:
            raise UsageError(f"there is no engine {name!r}", remedy=f"Engines: auto, {', '.join(openers)}")
        return opened(name)
    engines: list[Chosen] = []
    refusals: list[FrontdeskError] = []
    for candidate in openers:
        if candidate == REFERENCE:
            continue
        try:
            engines.append(opened(candidate))
        except FrontdeskError as error:
            event(_log, "engine_refused", logging.WARNING, engine=candidate, reason=error.message)
            refusals.append(error)
        except ImportError as error:
            event(_log, "engine_refused", logging.WARNING, engine=candidate, reason=f"{error.name} is not installed")
    if not engines:
        raise refusals[0] if refusals else BundleError("no engine can run here", remedy="Install onnxruntime")
    if len(engines) == 1 or golden is None:
        return engines[0]
    return _fastest(engines, golden, batches)


def _fastest(engines: Sequence[Chosen], golden: Golden, batches: bool) -> Chosen:
    """Return the engine with the shortest time; engines take turns, so that a busy moment meets all of them."""
    count = min(_ROWS, golden.rows)
    together = {field: values[:count] for field, values in golden.columns.items()}
    alone = [{field: [values[row]] for field, values in together.items()} for row in range(count)]
    seconds = [float("inf")] * len(engines)
    for _ in range(_ROUNDS):
        for place, engine in enumerate(engines):
            began = time.perf_counter()
            if batches:
                engine.probabilities(together, count)
            for row in alone:
                engine.probabilities(row, 1)
            seconds[place] = min(seconds[place], time.perf_counter() - began)
    chosen = 0
    for place in range(1, len(engines)):
        if seconds[place] < seconds[chosen] * _MARGIN:
            chosen = place
    rounded = {engine.name: round(value, 4) for engine, value in zip(engines, seconds, strict=True)}
    event(_log, "engine_chosen", engine=engines[chosen].name, seconds=rounded)
    return engines[chosen]
