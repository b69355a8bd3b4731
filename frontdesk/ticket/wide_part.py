"""The wide path of the ticket network, taken apart: what each word of a text adds to a difference of two logits.

The linear expert was added to the same tables, so its words are in it. A term's weight in the text is shared evenly by
the places where it stands, a phrase's by its two words. The tables' rows are read from the bundle when they are asked
for: an explanation is rare, and the engine that answers may hold the tables in another form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from frontdesk.engines.network_files import WEIGHTS, read_config
from frontdesk.errors import BundleError
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import Spec
from frontdesk.ticket.terms import phrase_codes, term_weights


class WidePart:
    """What is linear in the words; see `frontdesk.bundle.explaining.LinearPart`.

    Args:
        folder: of the bundle.
        spec: its fitted values.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        self._folder, self._spec = folder, spec

    def shares(
        self, columns: Mapping[str, Sequence[Any]], head: str, label: int, against: int
    ) -> list[tuple[str, float]]:
        """Return the words of a record with their shares. Raises `BundleError` where the weights are gone."""
        encoder, spec = Encoder(self._spec), self._spec
        cleaned = encoder.text(columns, 0)
        words = [word for word in cleaned.split(" ", spec.max_tokens)[: spec.max_tokens] if word]
        ids = encoder.word_ids(cleaned)
        codes = {int(code): place for place, code in enumerate(phrase_codes(spec))}
        placed: list[tuple[int, tuple[int, ...]]] = [(word, (place,)) for place, word in enumerate(ids)]
        placed += [
            (spec.vocabulary_size + codes[code], (place, place + 1))
            for place in range(len(ids) - 1)
            if (code := ids[place] * spec.vocabulary_size + ids[place + 1]) in codes
        ]
        if not placed:
            return []
        counts = Counter(term for term, _ in placed)
        idf = term_weights(spec)
        weights = {term: float(idf[term]) * (1 + np.log(count)) for term, count in counts.items()}
        norm = max(sum(weight**2 for weight in weights.values()), 1e-12) ** 0.5
        differences = self._differences(sorted(counts), head, label, against)
        found = [0.0] * len(words)
        for term, places in placed:
            share = weights[term] / norm * differences[term] / counts[term]
            for place in places:
                found[place] += share / len(places)
        return list(zip(words, found, strict=True))

    def _differences(self, terms: Sequence[int], head: str, label: int, against: int) -> dict[int, float]:
        """Return how much more each term adds to the one label's logit than to the other's, per unit of its weight."""
        temperature = (read_config(self._folder, self._spec)["temperature"] or {}).get(head, 1.0)
        try:
            with safe_open(self._folder / WEIGHTS, framework="numpy") as file:
                table = file.get_slice(f"wide_tables.{head}.weight")
                rows = np.concatenate([table[term : term + 1] for term in terms]).astype(np.float64)
                if (name := f"wide_outputs.{head}.weight") in set(file.keys()):
                    output = file.get_slice(name)
                    read = rows @ (output[label : label + 1] - output[against : against + 1])[0]
                else:
                    read = rows[:, label] - rows[:, against]
        except (OSError, SafetensorError) as error:
            raise BundleError("the weights cannot be read", where=WEIGHTS) from error
        return dict(zip(terms, (read / temperature).tolist(), strict=True))
