"""Words, word pairs and character sequences of a mail as TF-IDF weights: the input of the linear path.

They are read off the pieces of the tokeniser, which joined give back the text, so that a row of ids is all that any
form of the model needs. Sparse rows are bags: the features of all rows one after the other, and where each row begins.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from frontdesk.preprocessing.spec import inverse_document_frequency

_WORD = re.compile(r"\w\w+")
_CHARACTERS = (2, 3, 4, 5)
_MIN_DOCUMENTS = 2
"""Training rows that hold a gram: what one row alone holds tells of no other."""
WORDS, SEQUENCES = "w", "c"
"""First letter of a gram: both kinds are weighted to unit length on their own."""


@dataclass(frozen=True)
class Bags:
    """Sparse rows.

    Attributes:
        features: int64 [B], of all rows one after the other.
        begins: int64 [N + 1], where each row begins, and B.
        weights: float32 [B].
    """

    features: np.ndarray
    begins: np.ndarray
    weights: np.ndarray


def text_of(tokens: Sequence[int], strings: Sequence[str]) -> str:
    """Return the text of a row's shifted ids."""
    return "".join([strings[token] for token in tokens])


def grams_of(text: str) -> Iterator[tuple[str, Counter[str]]]:
    """Yield both kinds of a text's grams with their counts."""
    words = _WORD.findall(text)
    yield WORDS, Counter(words + [f"{first} {second}" for first, second in itertools.pairwise(words)])
    counts: list[str] = []
    for word in text.split():
        padded = f" {word} "
        for width in _CHARACTERS:
            if len(padded) <= width:
                counts.append(padded)
                break
            counts += [padded[at : at + width] for at in range(len(padded) - width + 1)]
    yield SEQUENCES, Counter(counts)


def placed_grams(text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield every gram of `grams_of`, its kind's letter first, once per place where it stands.

    With it come the words of ``text.split()`` that it stands in: one, or the two of a pair.
    """
    begins = [found.start() for found in re.finditer(r"\S+", text)]
    words = [(found[0], bisect_right(begins, found.start()) - 1) for found in _WORD.finditer(text)]
    for word, place in words:
        yield WORDS + word, (place,)
    for (first, one), (second, other) in itertools.pairwise(words):
        yield f"{WORDS}{first} {second}", (one, other)
    for place, word in enumerate(text.split()):
        for gram in grams_of(word):
            if gram[0] == SEQUENCES:
                yield from ((SEQUENCES + name, (place,)) for name in gram[1].elements())


class Grams:
    """The fitted grams.

    Args:
        names: grams, their kind's letter first, sorted.
        documents: training rows that hold each.
        rows: training rows.
        strings: what each shifted id stands for.
    """

    def __init__(self, names: Sequence[str], documents: Sequence[int], rows: int, strings: Sequence[str]) -> None:
        self.names, self.documents, self.rows = tuple(names), tuple(documents), rows
        self._strings = strings
        self._idf = inverse_document_frequency(rows, self.documents)
        self._places: dict[str, dict[str, int]] = {WORDS: {}, SEQUENCES: {}}
        for place, name in enumerate(names):
            self._places[name[0]][name[1:]] = place

    @classmethod
    def fit(cls, ids: Iterable[Sequence[int]], strings: Sequence[str], most: int) -> Grams:
        """Count the grams of training rows and keep the ``most`` frequent, half of them of either kind.

        A gram that one row alone holds is left out.

        Args:
            ids: shifted ids of every row, padded with 0 or not.
            strings: what each shifted id stands for.
            most: grams kept.
        """
        documents: dict[str, Counter[str]] = {WORDS: Counter(), SEQUENCES: Counter()}
        rows = 0
        for tokens in ids:
            rows += 1
            for kind, counts in grams_of(text_of(tokens, strings)):
                documents[kind].update(counts.keys())
        kept = {
            kind + name: count
            for kind, counts in documents.items()
            for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: most // 2]
            if count >= _MIN_DOCUMENTS
        }
        names = sorted(kept)
        return cls(names, [kept[name] for name in names], rows, strings)

    def bags(self, ids: Iterable[Sequence[int]]) -> Bags:
        """Return the TF-IDF weights of rows of shifted ids; each kind's have unit length.

        A gram counts by one plus the logarithm of how often it occurs.
        """
        features: list[np.ndarray] = []
        weights: list[np.ndarray] = []
        begins = [0]
        for tokens in ids:
            length = 0
            for kind, counts in grams_of(text_of(tokens, self._strings)):
                places = self._places[kind]
                found = [(place, count) for name, count in counts.items() if (place := places.get(name)) is not None]
                if not found:
                    continue
                feature, count = np.array(found, np.int64).T
                weight = self._idf[feature] * (1 + np.log(count)).astype(np.float32)
                features.append(feature)
                weights.append(weight / np.sqrt(weight @ weight))
                length += len(found)
            begins.append(begins[-1] + length)
        return Bags(
            np.concatenate([np.zeros(0, np.int64), *features]),
            np.array(begins, np.int64),
            np.concatenate([np.zeros(0, np.float32), *weights]),
        )
