"""v1 of the ticket recipe, ready to answer: features, candidates, ranker. Needs numpy, scipy and LightGBM.

`frontdesk.ticket.classical` trains it and says how it works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from frontdesk.errors import BundleError
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import CREATED_AT, Spec
from frontdesk.storage import canonical_json
from frontdesk.ticket.candidates import Comparison, Profiles, Tickets
from frontdesk.ticket.topics import TextVectors, fit_topics, unit_rows

FORMAT = 1
ARRAYS, CONFIG = "classical.safetensors", "config.json"
_CELLS = 1_000_000
"""Pairs of ticket and label that are compared at once."""

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Knobs:
    """Fixed sizes of v1.

    Attributes:
        rows: training tickets read; of a larger snapshot, a seeded sample.
        topics: directions of the topic model.
        candidates: labels ranked for one ticket.
        negatives: wrong candidates per training ticket.
        folds: a training ticket is compared with means over the other folds; the first fold fits the temperature.
        pairs: training pairs of the ranker; more tickets than that allows are sampled.
        rounds, rate, leaves: trees of the ranker, their shrinkage and size.
    """

    rows: int = 200_000
    topics: int = 128
    candidates: int = 64
    negatives: int = 40
    folds: int = 10
    pairs: int = 1_500_000
    rounds: int = 300
    rate: float = 0.05
    leaves: int = 31


class Features:
    """Turns raw fields into `Tickets`.

    Args:
        spec: the fitted values of preprocessing.
        topics: directions of the topic model, float32 [words, T].
    """

    def __init__(self, spec: Spec, topics: np.ndarray) -> None:
        self.topics = topics
        self._vectors = TextVectors(spec)
        self._fields = fields_of(spec)

    @classmethod
    def fit(cls, vectors: Any, spec: Spec, knobs: Knobs, seed: int) -> Features:
        """Learn topics from TF-IDF vectors (CSR [N, width])."""
        return cls(spec, fit_topics(vectors[:, : len(spec.vocabulary)], knobs.topics, seed))

    def __call__(self, columns: Columns, rows: int) -> Tickets:
        """Return the records' features. Raises ValueError for a number that is none."""
        return self.combine(self._vectors(columns, rows), *categories_and_numbers(self._fields, columns, rows))

    def combine(self, vectors: Any, categories: np.ndarray, numbers: np.ndarray) -> Tickets:
        """Return the features of records whose fields are encoded already."""
        scaled = np.empty(numbers.shape, np.float32)
        for place, fitted in enumerate(self._fields.spec.numeric.values()):
            with np.errstate(over="ignore"):
                scaled[:, place] = np.clip((numbers[:, place] - fitted.mean) / fitted.scale, -1e6, 1e6)
        topics = unit_rows(np.asarray(vectors[:, : len(self.topics)] @ self.topics))
        return Tickets(vectors, topics, categories, scaled)


def fields_of(spec: Spec) -> Encoder:
    """Return an encoder of everything but the text."""
    return Encoder(replace(spec, text=(), vocabulary=(), max_tokens=1))


def categories_and_numbers(fields: Encoder, columns: Columns, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return levels, int32 [rows, C], and clamped numbers, float64 [rows, D].

    A missing number is NaN, a missing `created_at` is its fill: a request is now.
    """
    arrays = fields.encode(columns, rows)
    for place, (name, fitted) in enumerate(fields.spec.numeric.items()):
        value = np.clip(arrays.numbers[:, place], fitted.low, fitted.high)
        arrays.numbers[:, place] = np.where(np.isnan(value), fitted.fill, value) if name == CREATED_AT else value
    return arrays.categories, arrays.numbers


@dataclass(frozen=True)
class Head:
    """One fitted head.

    Attributes:
        profiles: its candidates.
        ranker: the LightGBM booster over `Comparison.pairs`; None where there is nothing to rank.
        temperature: divides the scores.
        outside: probability that the label is none of the candidates, spread over the others by their priors.
    """

    profiles: Profiles
    ranker: Any
    temperature: float
    outside: float

    def probabilities(self, tickets: Tickets, most: int) -> np.ndarray:
        """Return calibrated probabilities, float32 [N, K]."""
        labels = len(self.profiles.rows)
        if self.ranker is None:
            return np.tile(np.exp(self.profiles.log_prior).astype(np.float32), (len(tickets), 1))
        result = np.empty((len(tickets), labels), np.float32)
        for piece in pieces(len(tickets), labels):
            comparison = Comparison(self.profiles, tickets.take(piece))
            candidates = comparison.candidates(most)
            result[piece] = self.spread(scores_of(self.ranker, comparison, candidates), candidates)
        return result

    def spread(self, scores: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Turn the scores of candidates (both [N, M]) into probabilities of all labels, float32 [N, K]."""
        chance = np.exp((scores - scores.max(axis=1, keepdims=True)) / self.temperature)
        chance /= chance.sum(axis=1, keepdims=True)
        result = np.tile(np.exp(self.profiles.log_prior), (len(scores), 1))
        np.put_along_axis(result, candidates, 0.0, axis=1)
        result *= self.outside / np.maximum(result.sum(axis=1, keepdims=True), 1e-300)
        np.put_along_axis(result, candidates, chance * (1 - self.outside), axis=1)
        return result.astype(np.float32)


def pieces(rows: int, labels: int) -> Iterator[np.ndarray]:
    """Yield the row numbers of pieces that fit into `_CELLS`."""
    step = max(1, _CELLS // labels)
    for start in range(0, rows, step):
        yield np.arange(start, min(start + step, rows))


def scores_of(ranker: Any, comparison: Comparison, candidates: np.ndarray) -> np.ndarray:
    """Return the ranker's log-odds, float64 [N, M]."""
    scores = ranker.predict(comparison.pairs(candidates), raw_score=True, num_threads=1)
    result: np.ndarray = np.asarray(scores).reshape(candidates.shape)
    return result


class ClassicalModel:
    """v1, ready to answer. Needs numpy, scipy and LightGBM.

    Args:
        features: from raw fields to what v1 sees.
        heads: in the order of the spec's.
        knobs: the sizes that it was trained with.
    """

    name = "classical"

    def __init__(self, features: Features, heads: dict[str, Head], knobs: Knobs) -> None:
        self._features = features
        self._heads = heads
        self._knobs = knobs

    def probabilities(self, columns: Columns, rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities per head, float32 [rows, K], in the order of ``spec.labels[head]``.

        Args:
            columns: raw values by field; an absent field is missing in every row.
            rows: how many.

        Raises:
            ValueError: a number that is none. Callers that face a user validate first.
        """
        tickets = self._features(columns, rows)
        return {head: fitted.probabilities(tickets, self._knobs.candidates) for head, fitted in self._heads.items()}

    def topics(self, columns: Columns, rows: int) -> np.ndarray:
        """Return the topics of texts, float32 [rows, T], each row of length one."""
        return self._features(columns, rows).topics

    def save(self, folder: Path) -> None:
        """Write ``classical.safetensors``, ``config.json`` and ``HEAD.ranker.txt`` into a folder."""
        arrays = {"topics": self._features.topics}
        for head, fitted in self._heads.items():
            profiles = fitted.profiles
            arrays |= {f"{head}.rows": profiles.rows, f"{head}.topics": profiles.topics}
            arrays |= _sparse_arrays(f"{head}.words", profiles.words)
            if fitted.ranker is not None:
                (folder / f"{head}.ranker.txt").write_text(fitted.ranker.model_to_string(num_iteration=-1), "utf-8")
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        content = {
            "format": FORMAT,
            "knobs": asdict(self._knobs),
            "heads": {
                head: {
                    "temperature": fitted.temperature,
                    "outside": fitted.outside,
                    "ranked": fitted.ranker is not None,
                }
                for head, fitted in self._heads.items()
            },
        }
        (folder / CONFIG).write_bytes(canonical_json(content))

    @classmethod
    def load(cls, folder: Path, spec: Spec) -> ClassicalModel:
        """Read what `save` wrote.

        Raises:
            BundleError: a file is missing, of another format, or does not fit the spec.
        """
        import lightgbm

        try:
            content = orjson.loads((folder / CONFIG).read_bytes())
            if content["format"] != FORMAT:
                raise BundleError(f"format {content['format']} is not {FORMAT}", where=CONFIG)
            arrays = load_file(folder / ARRAYS)
            features = Features(spec, arrays["topics"])
            width = len(spec.vocabulary) + len(spec.phrases)
            heads = {}
            for head, labels in spec.labels.items():
                fitted = content["heads"][head]
                words = _sparse(arrays, f"{head}.words", (width, len(labels)))
                profiles = Profiles(arrays[f"{head}.rows"], words, arrays[f"{head}.topics"])
                ranker = None
                if fitted["ranked"]:
                    ranker = lightgbm.Booster(model_str=(folder / f"{head}.ranker.txt").read_text("utf-8"))
                heads[head] = Head(profiles, ranker, fitted["temperature"], fitted["outside"])
        except (OSError, KeyError, TypeError, ValueError, SafetensorError, lightgbm.basic.LightGBMError) as error:
            raise BundleError(f"v1 cannot be read ({type(error).__name__})", where=folder.name) from error
        return cls(features, heads, Knobs(**content["knobs"]))


def _sparse_arrays(name: str, matrix: Any) -> dict[str, np.ndarray]:
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.indices": matrix.indices.astype(np.int64),
        f"{name}.indptr": matrix.indptr.astype(np.int64),
    }


def _sparse(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, int]) -> Any:
    matrix = sparse.csr_matrix(tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr")), shape)
    matrix.check_format()
    return matrix
