"""The fitted values of preprocessing: the contract between Spark, training, the bundle and the server.

Ids: 0 is padding, 1 a word outside the vocabulary, words start at 2. Category 0 is missing or unseen, levels start at
1. Label -1 is "no label" (masked), -2 "a label that training never saw" (an error in every metric).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from frontdesk.errors import BundleError
from frontdesk.storage import digest
from frontdesk.text.cleaning import CLEANING_VERSION

SPEC_FORMAT = 1
PAD, UNKNOWN, FIRST_WORD = 0, 1, 2
NO_LABEL, UNSEEN_LABEL = -1, -2
CREATED_AT = "created_at"


@dataclass(frozen=True)
class Number:
    """Fitted values of a numeric field.

    Attributes:
        fill: what stands for a missing value: the median; for `created_at` the newest day, because a request is now.
        low, high: values are clamped to this range (the training range for `created_at`, infinite otherwise).
        mean, scale: standardisation ``(x - mean) / scale`` in float64.
        knots: thresholds of indicator inputs ``x > knot``; only `created_at` has them.
    """

    fill: float
    mean: float
    scale: float
    low: float = -1e300
    high: float = 1e300
    knots: tuple[float, ...] = ()


@dataclass(frozen=True)
class Spec:
    """Everything that turns a raw record into tensors, and an output index into a label.

    Attributes:
        text: names of the text columns, joined in this order after cleaning.
        categorical: ``{field: levels}``, most frequent first.
        numeric: ``{field: Number}``; `created_at` (days since 1970) is one of them when it is an input.
        vocabulary: words by falling document frequency, ties by the word; word ``i`` has id ``i + 2``.
        word_documents: training documents that hold the word, as long as `vocabulary`.
        phrases: pairs of adjacent word ids of the wide path, by falling document frequency.
        phrase_documents: as long as `phrases`.
        documents: training documents.
        labels: ``{head: labels}``, sorted; the index of a label is its place.
        label_counts: training rows per label, aligned with `labels`.
        separator: what divides the levels of a label tree (heads in `trees`).
        max_tokens: words kept of a text.
    """

    recipe: str
    text: tuple[str, ...]
    categorical: dict[str, tuple[str, ...]]
    numeric: dict[str, Number]
    vocabulary: tuple[str, ...]
    word_documents: tuple[int, ...]
    phrases: tuple[tuple[int, int], ...]
    phrase_documents: tuple[int, ...]
    documents: int
    labels: dict[str, tuple[str, ...]]
    label_counts: dict[str, tuple[int, ...]]
    separator: str
    max_tokens: int
    cleaning: int = CLEANING_VERSION
    format: int = SPEC_FORMAT
    trees: tuple[str, ...] = ("contact_type",)
    columns: dict[str, Any] = field(default_factory=dict)
    """The column mapping that the snapshot was read through, so that a bundle can read the same tables."""

    def __post_init__(self) -> None:
        """Sort the fields and heads by name, as canonical JSON does: their order is that of the tensors' columns."""
        for name in ("categorical", "numeric", "labels", "label_counts"):
            object.__setattr__(self, name, dict(sorted(getattr(self, name).items())))

    @property
    def digest(self) -> str:
        """SHA-256 of the spec's canonical JSON."""
        return digest(self.to_json())

    @property
    def fields(self) -> list[str]:
        """Every input field that a request may name."""
        return [*self.text, *self.categorical, *self.numeric]

    @property
    def vocabulary_size(self) -> int:
        """Rows of the word embedding: words, padding and unknown."""
        return len(self.vocabulary) + FIRST_WORD

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `canonical_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Spec:
        """Rebuild a spec. Raises `BundleError` for another format or another cleaning."""
        if content.get("format") != SPEC_FORMAT:
            raise BundleError(f"preprocessing format {content.get('format')} is not {SPEC_FORMAT}", where="spec.json")
        if content.get("cleaning") != CLEANING_VERSION:
            raise BundleError(
                f"the text was cleaned by version {content.get('cleaning')}, this release cleans by {CLEANING_VERSION}",
                where="spec.json",
                remedy="Serve the bundle with the release that made it, or train it again",
            )
        values = dict(content)
        values["numeric"] = {
            name: Number(**{**number, "knots": tuple(number["knots"])}) for name, number in content["numeric"].items()
        }
        for name in ("text", "vocabulary", "word_documents", "phrase_documents", "trees"):
            values[name] = tuple(content[name])
        values["phrases"] = tuple((int(a), int(b)) for a, b in content["phrases"])
        for name in ("categorical", "labels", "label_counts"):
            values[name] = {key: tuple(items) for key, items in content[name].items()}
        return cls(**values)


def inverse_document_frequency(documents: int, counts: tuple[int, ...]) -> np.ndarray:
    """Return ``ln((1 + documents) / (1 + count)) + 1``, float32 [len(counts)], the smoothed form of scikit-learn."""
    return (np.log((1 + documents) / (1 + np.asarray(counts, np.float64))) + 1).astype(np.float32)


def parents(labels: tuple[str, ...], separator: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the top-level branches of a label tree (sorted), and each label's branch, int64 [len(labels)]."""
    tops = [label.split(separator)[0] for label in labels]
    names = tuple(sorted(set(tops)))
    place = {name: index for index, name in enumerate(names)}
    return names, np.array([place[top] for top in tops], np.int64)
