"""What every engine of a mail model shares: tokens, batches by length, the gram path, the combination.

Only the network itself differs between engines; it is a `Runtime`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from frontdesk.email.batches import packed
from frontdesk.email.combination import Scores, combine
from frontdesk.email.encoding import EmailEncoder
from frontdesk.email.files import GramPath, load_combination
from frontdesk.email.gram_part import GramPart
from frontdesk.email.latent import project
from frontdesk.email.linear import level_places
from frontdesk.email.tokens import TOKENIZER
from frontdesk.errors import BundleError
from frontdesk.preprocessing.spec import Spec

_TOKENS = 1_024
"""Most tokens of a batch, padding included: what is computed stays in the cache, and little of it is padding."""
_ROWS = 64


class Runtime(Protocol):
    """A network with its weights. Safe to share between threads."""

    def logits(self, ids: np.ndarray, categories: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Int64 [N, L] (0 = padding), int64 [N, C], float32 [N, D] -> ``{head: float32 [N, K]}``."""
        ...


class MailEngine:
    """A mail model, ready to answer. Safe to share between threads.

    Args:
        name: of the runtime.
        folder: of a bundle, or of a finished training.
        spec: the fitted values.
        runtime: the network.
    """

    def __init__(self, name: str, folder: Path, spec: Spec, runtime: Runtime) -> None:
        self.name = name
        try:
            tokenizer = (folder / TOKENIZER).read_bytes()
        except OSError as error:
            raise BundleError("the tokeniser cannot be read", where=TOKENIZER) from error
        self._encoder = EmailEncoder(spec, tokenizer)
        self._grams = GramPath.load(folder, self._encoder.pieces.strings())
        self._combination = load_combination(folder, spec.labels)
        self._runtime = runtime
        self._levels = tuple(len(levels) + 1 for levels in spec.categorical.values())
        self._heads = {head: len(labels) for head, labels in spec.labels.items()}

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities of raw columns: ``{head: float32 [rows, K]}``, K as in spec.labels."""
        return combine(self.scores(columns, rows), self._combination)

    @property
    def embedding(self) -> Callable[[Mapping[str, Sequence[Any]], int], np.ndarray] | None:
        """What gives prepared texts places in the latent space, float32 [rows, D]; None with a pretrained encoder."""
        if (grams := self._grams) is None:
            return None
        return lambda columns, rows: project(grams.grams.bags(self._encoder.tokens(columns, rows)), grams.directions)

    def linear_part(self) -> GramPart | None:
        """Return what is linear in the words; None with a pretrained encoder."""
        if self._grams is None:
            return None
        return GramPart(self._encoder, self._grams, self._combination, self._heads)

    def scores(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Scores:
        """Return what each model says of raw columns: ``{head: [network's logits, linear path's scores]}``."""
        tokens = self._encoder.tokens(columns, rows)
        categories = self._encoder.categories(columns, rows).astype(np.int64)
        found: Scores = {head: [np.zeros((rows, count), np.float32)] for head, count in self._heads.items()}
        latent = np.zeros((rows, 0), np.float32)
        if self._grams is not None:
            bags = self._grams.grams.bags(tokens)
            latent = project(bags, self._grams.directions)
            side_by_side = self._grams.weights.scores(bags, level_places(categories, self._levels))
            begin = 0
            for head, count in self._heads.items():
                found[head].append(side_by_side[:, begin : begin + count])
                begin += count
        lengths = np.array([len(row) for row in tokens], np.int64)
        for batch in packed(lengths, _TOKENS, _ROWS):
            ids = np.zeros((len(batch), max(int(lengths[batch].max()), 1)), np.int64)
            for place, row in enumerate(batch):
                ids[place, : lengths[row]] = tokens[row]
            for head, logits in self._runtime.logits(ids, categories[batch], latent[batch]).items():
                found[head][0][batch] = logits
        return found
