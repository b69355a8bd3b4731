"""Where the ticket network puts a text: the mean of its words' embeddings, and the peaks of its convolutions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frontdesk.engines.network_files import read_config, read_weights
from frontdesk.engines.word_tables import Words
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import Spec


class TextPlaces:
    """The network's own view of texts, whichever engine answers. Its weights are read when it is first asked.

    Args:
        folder: of the bundle.
        spec: its fitted values.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        self._folder, self._spec = folder, spec
        self._encoder = Encoder(spec)

    def __call__(self, columns: Mapping[str, Sequence[Any]], rows: int) -> np.ndarray:
        """Return the places of raw columns, float32 [rows, D]. Raises `BundleError` where the weights are gone."""
        words, encoder = self._words, self._encoder
        places = np.empty((rows, words.width), np.float32)
        bag = np.empty(words.rank, np.float32)
        for row in range(rows):
            words.read(encoder.word_ids(encoder.text(columns, row)), places[row], bag)
        return places

    @functools.cached_property
    def _words(self) -> Words:
        return Words(read_weights(self._folder), read_config(self._folder, self._spec)["widths"], self._spec)
