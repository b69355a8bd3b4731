"""The portable engine: ONNX Runtime over ``model.onnx``, which holds everything behind the cleaning of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frontdesk.engines.session import open_session
from frontdesk.preprocessing.encoding import Encoder, level
from frontdesk.preprocessing.spec import Spec

MODEL = "model.onnx"
TEXT, CATEGORY, NUMBER = "text", "category.", "number."
"""Names of the graph's inputs: one for the cleaned text, one per categorical and per numeric field."""
NO_LEVEL = ""
"""What a missing category is to the graph: `encoding.level` never returns it, so it is no level."""
_CHUNK = 32
"""Rows of one run: bounds the memory of the widest tensor."""


class GraphEngine:
    """ONNX Runtime on one thread per request: a second thread gains little and costs the other requests their core."""

    name = "graph"

    def __init__(self, folder: Path, spec: Spec) -> None:
        """Open ``model.onnx`` of a bundle. Raises `BundleError` where the runtime does not take it."""
        self._session = open_session(folder / MODEL, threads=1)
        self._spec = spec
        self._encoder = Encoder(spec)
        self._heads = list(spec.labels)

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities; see `frontdesk.engines.Engine`."""
        parts = [self._run(columns, range(start, min(start + _CHUNK, rows))) for start in range(0, rows, _CHUNK)]
        return {
            head: np.concatenate([part[place] for part in parts])
            if parts
            else np.zeros((0, len(self._spec.labels[head])), np.float32)
            for place, head in enumerate(self._heads)
        }

    def _run(self, columns: Mapping[str, Sequence[Any]], rows: range) -> list[np.ndarray]:
        feeds = {TEXT: _strings([self._encoder.text(columns, row) for row in rows])}
        for name in self._spec.categorical:
            values = columns.get(name)
            feeds[CATEGORY + name] = _strings([NO_LEVEL if values is None else _level(values[row]) for row in rows])
        for name in self._spec.numeric:
            values = columns.get(name)
            feeds[NUMBER + name] = np.array(
                [np.nan if values is None else self._encoder.numeric(name, values[row]) for row in rows], np.float64
            )
        found: list[np.ndarray] = self._session.run(self._heads, feeds)
        return found


def _level(value: Any) -> str:
    text = level(value)
    if text is None:
        return NO_LEVEL
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: ONNX strings are UTF-8, and no level of a table holds it
        return NO_LEVEL
    return text


def _strings(values: list[str]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
