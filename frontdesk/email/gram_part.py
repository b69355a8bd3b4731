"""The linear path of a mail model, taken apart: what each word of a mail adds to a difference of two logits.

A gram's weight in the mail is shared evenly by the places where it stands, a pair's by its two words. What the linear
path says is divided by its temperature, weighed, and divided by the head's temperature, as `combination` does; the
normalisers in between take the same from both labels. What the other heads add is no part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from frontdesk.email.combination import Combination
from frontdesk.email.encoding import EmailEncoder
from frontdesk.email.files import GramPath
from frontdesk.email.grams import placed_grams, text_of


class GramPart:
    """What is linear in the words; see `frontdesk.bundle.explaining.LinearPart`.

    Args:
        encoder: text to pieces.
        path: the grams and their weights.
        combination: fitted values of each head.
        heads: ``{head: K}``, in the order of the weights.
    """

    def __init__(
        self,
        encoder: EmailEncoder,
        path: GramPath,
        combination: Mapping[str, Combination],
        heads: Mapping[str, int],
    ) -> None:
        self._encoder, self._path, self._combination, self._heads = encoder, path, combination, dict(heads)

    def shares(
        self, columns: Mapping[str, Sequence[Any]], head: str, label: int, against: int
    ) -> list[tuple[str, float]]:
        """Return the words of a mail with their shares."""
        tokens = self._encoder.tokens(columns, 1)
        text = text_of(tokens[0], self._encoder.pieces.strings())
        bags = self._path.grams.bags(tokens)
        before = list(self._heads)[: list(self._heads).index(head)]
        begin = sum(self._heads[other] for other in before)
        weights = self._path.weights.grams
        fitted = self._combination[head]
        factor = float(fitted.weights[1] / (fitted.temperatures[1] * fitted.temperature))
        adds = {
            self._path.grams.names[feature]: float(weight)
            * factor
            * float(weights[feature, begin + label] - weights[feature, begin + against])
            for feature, weight in zip(bags.features.tolist(), bags.weights, strict=True)
        }
        placed = [(name, places) for name, places in placed_grams(text) if name in adds]
        counts = Counter(name for name, _ in placed)
        words = text.split()
        found = [0.0] * len(words)
        for name, places in placed:
            for place in places:
                found[place] += adds[name] / counts[name] / len(places)
        return list(zip(words, found, strict=True))
