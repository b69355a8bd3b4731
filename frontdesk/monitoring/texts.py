"""What can be told of texts without a model: lengths, signs, language, words that are new or became frequent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontdesk.monitoring import phrases
from frontdesk.monitoring.bags import bag_distance, counted
from frontdesk.monitoring.measures import DISTANCE_FLOORS, Measured, Pair, enough, of_numbers
from frontdesk.monitoring.statistics import Floats, chance_of_counts, jensen_shannon, total_variation
from frontdesk.text.cleaning import clean
from frontdesk.text.language import languages

TEXT_ROWS = 5_000
LANGUAGE_ROWS = 500
STATISTICS = 6
WORDS = 200
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Described:
    """Texts as numbers; NaN for rows without a text.

    Attributes:
        tokens: the words of every row, cleaned as for a model.
        characters, words: lengths.
        non_letters: share of the signs that are neither letters nor spaces.
    """

    tokens: list[list[str]]
    characters: Floats
    words: Floats
    non_letters: Floats


def describe(texts: Sequence[str | None]) -> Described:
    """Describe texts."""
    tokens = [clean(text).split() for text in texts]
    there = [text is not None and bool(text.strip()) for text in texts]
    values = np.full((3, len(texts)), np.nan)
    for row, text in enumerate(texts):
        if text is not None and there[row]:
            signs = len(text) - sum(map(str.isspace, text))
            values[:, row] = len(text), len(tokens[row]), 1 - len(_LETTER.findall(text)) / max(signs, 1)
    return Described(tokens, values[0], values[1], values[2])


def text_measures(pair: Pair, name: str) -> list[Measured]:
    """Compare texts by `STATISTICS` statistics.

    Words that are new are counted against the vocabulary of one half of the reference's texts, and compared with the
    other half: so their share is the same on both sides where nothing changed.
    """
    columns = [window.sample(name).column(name).slice(0, TEXT_ROWS) for window in (pair.reference, pair.current)]
    texts = [column.to_pylist() for column in columns]
    reference, current = describe(texts[0]), describe(texts[1])
    enough(*(int((~np.isnan(each.words)).sum()) for each in (reference, current)))
    parts = pair.parts(name)
    found = [
        of_numbers(pair, a, b, parts, f"wasserstein({what})")
        for what, a, b in (
            ("characters", reference.characters, current.characters),
            ("words", reference.words, current.words),
            ("share of non-letters", reference.non_letters, current.non_letters),
        )
    ]
    named = ("characters per text", "words per text", "share of signs that are no letters")
    found = [_titled(measured, words) for measured, words in zip(found, named, strict=True)]
    half = len(texts[0]) // 2
    known = {word for words in reference.tokens[:half] for word in words}
    strange = [_strange(words, known) for words in (reference.tokens[half:], current.tokens)]
    unknown = of_numbers(pair, strange[0], strange[1], None, "wasserstein(share of unknown words)")
    return [
        *found,
        _titled(
            unknown, f"words that the reference does not know ({_newest(reference, current)}), their share of a text"
        ),
        _vocabulary(pair, reference, current, name),
        _languages(pair, texts[0], texts[1]),
    ]


def new_words(before: Sequence[Sequence[str]], now: Sequence[Sequence[str]]) -> list[tuple[str, int]]:
    """Return the words of many texts that no text of the reference holds, and the number of texts that hold each."""
    known = {word for words in before for word in words}
    counts = Counter(word for words in now for word in set(words) - known)
    least = max(2, len(now) // 200)
    return sorted(((word, count) for word, count in counts.items() if count >= least), key=lambda x: (-x[1], x[0]))


def _newest(reference: Described, current: Described) -> str:
    """Name the words of many texts that no text of the reference holds."""
    new = new_words(reference.tokens, current.tokens)
    return phrases.unknown_words([(word, count / len(current.tokens)) for word, count in new]) or "none of them often"


def _titled(measured: Measured, title: str) -> Measured:
    words = measured.words
    return Measured(**{**vars(measured), "words": lambda: f"{title}: {words()}"})


def _strange(tokens: Sequence[Sequence[str]], known: set[str]) -> Floats:
    return np.array([np.mean([word not in known for word in words]) if words else np.nan for words in tokens])


def _vocabulary(pair: Pair, reference: Described, current: Described, name: str) -> Measured:
    """Compare which words texts hold: the most frequent ones of both windows together, one vote per text."""
    held = [[sorted(set(words)) for words in each.tokens] for each in (reference, current)]
    top = frequent(held[0], held[1])
    before, now = (counted(words, top)[:, :-1] for words in held)
    shares = [each.mean(0, dtype=np.float64) for each in (before, now)]
    return bag_distance(
        pair,
        before,
        now,
        pair.parts(name),
        "jensenshannon(frequent words)",
        lambda: phrases.frequent_words(top, shares[0], shares[1]),
    )


def frequent(before: Sequence[Sequence[str]], now: Sequence[Sequence[str]]) -> list[str]:
    """Return the words that most of both windows' texts hold."""
    counts = Counter(word for words in (before, now) for bag in words for word in bag)
    return [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:WORDS]]


def _languages(pair: Pair, reference: Sequence[str | None], current: Sequence[str | None]) -> Measured:
    """Compare the languages of the first texts."""
    found = [Counter(languages(text for text in each[:LANGUAGE_ROWS] if text)) for each in (reference, current)]
    names = sorted(found[0] | found[1])
    # A language of a few short texts is mostly a mistake of the identifier.
    frequent = [code for code in names if max(each[code] / max(each.total(), 1) for each in found) >= 0.02]
    before, now = (_counts(each, frequent) for each in found)
    return Measured(
        "jensenshannon(language)",
        float(jensen_shannon(before, now)),
        chance_of_counts(before, now, pair.rng),
        0.0,
        DISTANCE_FLOORS,
        total_variation(before, now),
        lambda: "language: " + phrases.moved([*frequent, "others"], before, now),
    )


def _counts(found: Counter[str], names: Sequence[str]) -> npt.NDArray[np.int64]:
    of = [found[name] for name in names]
    return np.array([*of, found.total() - sum(of)], np.int64)
