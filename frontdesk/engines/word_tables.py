"""The fast engine for single rows: numpy over folded tables.

A convolution over embedded words is linear before its maximum, so what each word adds to each tap of each filter is
computed once, when the bundle is loaded: ``table[word] = embedding[word] @ kernels``. A text then costs a gather of its
words' rows, one addition per shift, and a maximum. Categories fold into rows of the combiner and of the logits alike,
and the reply's view of the contact type folds into one matrix where that is smaller. The algebra is exact; only the
order of float32 additions differs from the network's.

Shapes: N rows, n words of a text, E embedding, F filters, H hidden, R rank of the wide path, K labels of all heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frontdesk.engines.network_files import WEIGHTS, read_config, read_weights
from frontdesk.errors import BundleError
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import Spec
from frontdesk.ticket.recipe import HEADS
from frontdesk.ticket.terms import NORM_EPSILON, NUMBER_LIMIT, phrase_codes, term_weights

MAX_TABLE_BYTES = 1_500_000_000
"""Above, a text's words are multiplied with the kernels when it arrives, as a convolution would do."""
_CHUNK = 256


class WordTablesEngine:
    """The network of a bundle as tables and small matrices."""

    name = "word-tables"

    def __init__(self, folder: Path, spec: Spec) -> None:
        """Fold the weights of a bundle. Raises `BundleError` where they do not fit the spec."""
        network = read_config(folder, spec)
        weights = read_weights(folder)
        self._spec = spec
        self._encoder = Encoder(spec)
        try:
            self._words = Words(weights, network["widths"], spec)
            self._dense = _Dense(weights, network, spec)
        except (KeyError, ValueError) as error:
            raise BundleError("the weights do not fit the network of config.json", where=WEIGHTS) from error

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return calibrated probabilities; see `frontdesk.engines.Engine`."""
        parts = [self._chunk(columns, range(start, min(start + _CHUNK, rows))) for start in range(0, rows, _CHUNK)]
        if len(parts) == 1:
            return parts[0]
        return {
            head: np.concatenate([np.zeros((0, len(labels)), np.float32), *(part[head] for part in parts)])
            for head, labels in self._spec.labels.items()
        }

    def _chunk(self, columns: Mapping[str, Sequence[Any]], rows: range) -> dict[str, np.ndarray]:
        encoder, spec = self._encoder, self._spec
        texts = np.empty((len(rows), self._words.width), np.float32)
        bags = np.empty((len(rows), self._words.rank), np.float32)
        for place, row in enumerate(rows):
            self._words.read(encoder.word_ids(encoder.text(columns, row)), texts[place], bags[place])
        levels = [
            [encoder.category(name, columns[name][row]) if name in columns else 0 for row in rows]
            for name in spec.categorical
        ]
        numbers = np.array(
            [
                [encoder.numeric(name, columns[name][row]) if name in columns else np.nan for name in spec.numeric]
                for row in rows
            ],
            np.float64,
        )
        return self._dense(texts, bags, levels, numbers)


class Words:
    """What a text comes to: its mean embedding and the peaks of its convolutions, and its bag of wide features."""

    def __init__(self, weights: Mapping[str, np.ndarray], widths: Sequence[int], spec: Spec) -> None:
        embedding = weights["words.weight"]  # [V, E]
        # The widest convolution comes first, so that the filters that reach a shift are a prefix of all filters.
        order = sorted(range(len(widths)), key=lambda place: -widths[place])
        kernels = [weights[f"convolutions.{place}.weight"] for place in order]  # [F, E, width]
        self._bias = np.concatenate([weights[f"convolutions.{place}.bias"] for place in order])
        blocks = []
        for shift in range(max(widths)):
            blocks += [kernel[:, :, kernel.shape[2] - 1 - shift].T for kernel in kernels if kernel.shape[2] > shift]
        self._reaches = [
            sum(kernel.shape[0] for kernel in kernels if kernel.shape[2] > shift) for shift in range(max(widths))
        ]
        self._embedding = embedding
        # The identity makes the embedding itself the last columns of the product.
        self._kernel = np.concatenate([*blocks, np.eye(embedding.shape[1], dtype=np.float32)], axis=1)
        size = embedding.shape[0] * self._kernel.shape[1] * embedding.itemsize
        self._table = embedding @ self._kernel if size <= MAX_TABLE_BYTES else None
        self.width = embedding.shape[1] + len(self._bias)

        self._codes, self._idf = phrase_codes(spec), term_weights(spec)
        self._size = spec.vocabulary_size
        self._wide = np.concatenate([weights[f"wide_tables.{head}.weight"] for head in spec.labels], axis=1)
        self.rank = self._wide.shape[1]

    def read(self, words: list[int], text: np.ndarray, bag: np.ndarray) -> None:
        """Write a text's vector [E + filters] and its summed wide features [R]."""
        if not words:
            text[:] = 0
            np.maximum(self._bias, 0, out=text[len(text) - len(self._bias) :])
            bag[:] = 0
            return
        ids = np.array(words)
        shares = self._embedding[ids] @ self._kernel if self._table is None else self._table.take(ids, axis=0)
        filters = len(self._bias)
        sums = np.zeros((len(ids) + len(self._reaches) - 1, filters), np.float32)
        start = 0
        for shift, reach in enumerate(self._reaches):
            sums[shift : shift + len(ids), :reach] += shares[:, start : start + reach]
            start += reach
        shares[:, start:].sum(axis=0, out=text[:-filters])
        text[:-filters] /= len(ids)
        peaks = sums.max(axis=0)
        np.maximum(peaks, 0, out=peaks)  # a window over padding alone gives the bias
        peaks += self._bias
        np.maximum(peaks, 0, out=text[-filters:])
        self._sum_terms(ids, bag)

    def _sum_terms(self, ids: np.ndarray, bag: np.ndarray) -> None:
        terms = ids
        if len(self._codes):
            codes = ids[:-1] * self._size + ids[1:]
            places = self._codes.searchsorted(codes)
            np.minimum(places, len(self._codes) - 1, out=places)
            terms = np.concatenate([ids, places[self._codes[places] == codes] + self._size])
        terms, counts = np.unique(terms, return_counts=True)
        weights = self._idf[terms] * (1 + np.log(counts.astype(np.float32)))
        norm = np.sqrt(max(np.dot(weights, weights), np.float32(1e-12)))
        np.dot(weights / norm, self._wide.take(terms, axis=0), out=bag)


class _Dense:
    """Everything behind the text: the combiner, the decoders, the temperatures."""

    def __init__(self, weights: Mapping[str, np.ndarray], network: Mapping[str, Any], spec: Spec) -> None:
        heads = list(spec.labels)
        hidden = len(weights["combiner.bias"])
        labels = [len(spec.labels[head]) for head in heads]
        self._labels = sum(labels)
        ends = np.cumsum(labels)
        self._slices = {head: slice(end - size, end) for head, end, size in zip(heads, ends, labels, strict=True)}
        self._temperature = {head: np.float32((network["temperature"] or {}).get(head, 1.0)) for head in heads}

        combiner = weights["combiner.weight"].T  # [inputs, H]
        filters = [len(weights[f"convolutions.{place}.bias"]) for place in range(len(network["widths"]))]
        text = weights["words.weight"].shape[1] + sum(filters)
        self._text = np.ascontiguousarray(combiner[_widest_first(network["widths"], filters, text - sum(filters))])
        # A level's row: its part of the hidden layer, then of every head's logits.
        self._levels = []
        start = text
        for place in range(len(spec.categorical)):
            embedded = weights[f"categories.{place}.weight"]
            parts = [embedded @ combiner[start : start + embedded.shape[1]]]
            parts += [weights[f"category_logits.{head}.{place}.weight"] for head in heads]
            self._levels.append(np.concatenate(parts, axis=1))
            start += embedded.shape[1]
        logits = np.concatenate([weights[f"outputs.{head}.bias"] for head in heads])
        self._bias = np.concatenate([weights["combiner.bias"], logits])
        self._numbers = _Numbers(weights, spec) if spec.numeric else None
        if self._numbers is not None:
            parts = [combiner[start:]] + [weights[f"number_logits.{head}.weight"].T for head in heads]
            self._number_weights = np.concatenate(parts, axis=1)
        self._hidden = hidden
        self._outputs = np.ascontiguousarray(np.concatenate([weights[f"outputs.{head}.weight"] for head in heads]).T)
        self._wide = self._wide_outputs(weights, heads)
        self._chain: list[np.ndarray] = []
        if set(HEADS) <= set(heads):
            state, reply = weights["state.weight"].T, weights[f"outputs.{HEADS[1]}.weight"].T
            folded = state.shape[0] * reply.shape[1] <= state.size + reply.size
            self._chain = [state @ reply] if folded else [np.ascontiguousarray(state), np.ascontiguousarray(reply)]

    @staticmethod
    def _wide_outputs(
        weights: Mapping[str, np.ndarray], heads: list[str]
    ) -> list[tuple[slice, str, np.ndarray | None]]:
        """Return per head its columns of the bag, and the matrix behind them where the wide path is factorised."""
        found: list[tuple[slice, str, np.ndarray | None]] = []
        start = 0
        for head in heads:
            rank = weights[f"wide_tables.{head}.weight"].shape[1]
            output = weights.get(f"wide_outputs.{head}.weight")
            found.append((slice(start, start + rank), head, None if output is None else np.ascontiguousarray(output.T)))
            start += rank
        return found

    def __call__(
        self, texts: np.ndarray, bags: np.ndarray, levels: list[list[int]], numbers: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return probabilities of texts [N, E + filters], bags [N, R], levels C x [N], numbers float64 [N, D]."""
        sums = np.empty((len(texts), len(self._bias)), np.float32)  # [N, H + K]
        sums[:] = self._bias
        for table, level in zip(self._levels, levels, strict=True):
            sums += table[level]
        if self._numbers is not None:
            sums += self._numbers(numbers) @ self._number_weights
        hidden = sums[:, : self._hidden]
        hidden += texts @ self._text
        np.maximum(hidden, 0, out=hidden)
        logits = sums[:, self._hidden :]
        logits += hidden @ self._outputs
        for columns, head, output in self._wide:
            logits[:, self._slices[head]] += bags[:, columns] if output is None else bags[:, columns] @ output
        if self._chain:
            seen = _softmax(logits[:, self._slices[HEADS[0]]])
            for matrix in self._chain:
                seen = seen @ matrix
            logits[:, self._slices[HEADS[1]]] += seen
        return {head: _softmax(logits[:, place] / self._temperature[head]) for head, place in self._slices.items()}


class _Numbers:
    """Fill, clamp, scale in float64, clip, batch-normalise; as `frontdesk.ticket.network.Numbers`."""

    def __init__(self, weights: Mapping[str, np.ndarray], spec: Spec) -> None:
        self._fitted = {name: weights[f"numbers.{name}"] for name in ("fill", "low", "high", "mean", "scale")}
        self._knots = [
            (place, np.array(number.knots, np.float64))
            for place, number in enumerate(spec.numeric.values())
            if number.knots
        ]
        deviation = np.sqrt(weights["numbers.norm.running_var"] + np.float32(NORM_EPSILON))
        self._mean, self._bias = weights["numbers.norm.running_mean"], weights["numbers.norm.bias"]
        self._scale = weights["numbers.norm.weight"] / deviation

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Float64 [N, D] (NaN = missing) -> float32 [N, 2 D + knots]."""
        fitted = self._fitted
        missing = np.isnan(numbers)
        clamped = np.minimum(np.maximum(np.where(missing, fitted["fill"], numbers), fitted["low"]), fitted["high"])
        scaled = np.clip((clamped - fitted["mean"]) / fitted["scale"], -NUMBER_LIMIT, NUMBER_LIMIT)
        parts = [scaled, missing, *(clamped[:, place : place + 1] > knots for place, knots in self._knots)]
        joined = np.concatenate([part.astype(np.float32) for part in parts], axis=1)
        normed: np.ndarray = (joined - self._mean) * self._scale + self._bias
        return normed


def _widest_first(widths: Sequence[int], filters: Sequence[int], embedding: int) -> np.ndarray:
    """Return the combiner's text inputs in the order of `Words`: the embedding, then the widest convolution first."""
    starts = np.cumsum([embedding, *filters])
    order = sorted(range(len(widths)), key=lambda place: -widths[place])
    places = [np.arange(embedding), *(np.arange(starts[place], starts[place + 1]) for place in order)]
    return np.concatenate(places)


def _softmax(logits: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    values /= values.sum(axis=1, keepdims=True)
    return values
