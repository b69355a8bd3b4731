"""A quick honest guess of what a model will reach: a hashed linear classifier on a small sample."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from frontdesk.records import Columns
from frontdesk.splits import NO_TIME

PROBE_ROWS = 5_000
_LEAST_ROWS = 50
_TEST_SHARE = 0.2
_MOST_LABELS = 200
_FEATURES = 2**17
_DOUBLINGS = 3.0


@dataclass(frozen=True)
class Expectation:
    """What to expect of a head.

    Attributes:
        accuracy: of the probe on held-out rows: the newest fifth of the sample, or a random fifth without time stamps.
        majority: of the most frequent label on the same rows.
        low: lower end of the 95 % interval of the probe's accuracy.
        high: upper end, plus what more rows may bring by the probe's own learning curve.
        rows: rows that the probe saw.
    """

    accuracy: float
    majority: float
    low: float
    high: float
    rows: int


def probe(sample: pa.Table, texts: list[str], columns: Columns, head: str, total: int) -> Expectation | None:
    """Train on part of a sample and judge on the rest; None where there are too few labelled rows or one label.

    Args:
        sample: rows with the columns of the mapping, in random order.
        texts: cleaned text of the first rows of the sample; only these rows are used.
        columns: the mapping.
        head: the label.
        total: labelled rows of the whole table, for the reach of the learning curve.
    """
    rows = np.flatnonzero(sample.column(head).is_valid().to_numpy()[: len(texts)])
    if len(rows) < _LEAST_ROWS:
        return None
    if columns.created_at is not None:
        times = sample.column("created_at").cast(pa.int64()).fill_null(NO_TIME).to_numpy()[rows]
        rows = rows[np.argsort(times, kind="stable")]
    labels = np.unique(sample.column(head).take(rows).to_numpy().astype(str), return_inverse=True)[1]
    train = len(rows) - max(1, round(len(rows) * _TEST_SHARE))
    if len(np.unique(labels[:train])) < 2:
        return None
    features = _features(sample.take(pa.array(rows)), [texts[row] for row in rows], columns, train)
    truth = labels[train:]
    shuffled = np.random.default_rng(0).permutation(train)
    whole = _accuracy(features, labels, shuffled, truth)
    half = _accuracy(features, labels, shuffled[: train // 2], truth)
    low, high = _wilson(whole, len(truth))
    doublings = min(max(math.log2(total * (1 - _TEST_SHARE) / train), 0.0), _DOUBLINGS)
    high = min(high + max(whole - half, 0.0) * doublings, 1.0)
    majority = float((truth == np.bincount(labels[:train]).argmax()).mean())
    return Expectation(round(whole, 4), round(majority, 4), round(low, 4), round(high, 4), len(rows))


def _features(sample: pa.Table, texts: list[str], columns: Columns, train: int) -> object:
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.preprocessing import OneHotEncoder

    parts = []
    if columns.text:
        words = HashingVectorizer(n_features=_FEATURES, ngram_range=(1, 2), alternate_sign=False, lowercase=False)
        counts = words.transform(texts)
        parts.append(TfidfTransformer(sublinear_tf=True).fit(counts[:train]).transform(counts))
    if columns.categorical:
        values = np.stack([sample.column(name).fill_null("").to_numpy().astype(str) for name in columns.categorical], 1)
        encoder = OneHotEncoder(handle_unknown="ignore", max_categories=500)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an unseen level is encoded as zeros: what is wanted
            parts.append(encoder.fit(values[:train]).transform(values))
    for name in columns.numeric:
        numbers = sample.column(name).to_numpy()
        known = numbers[:train][~np.isnan(numbers[:train])]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, 11)[1:-1])) if len(known) else np.zeros(1)
        level = np.where(np.isnan(numbers), len(edges) + 1, np.digitize(numbers, edges))
        parts.append(sparse.csr_matrix(np.eye(len(edges) + 2)[level]))
    return sparse.hstack(parts).tocsr()


def _accuracy(features: object, labels: np.ndarray, chosen: np.ndarray, truth: np.ndarray) -> float:
    """Train on the chosen rows and judge on the rows behind training."""
    from sklearn.svm import LinearSVC

    frequent = np.argsort(-np.bincount(labels[chosen]), kind="stable")[:_MOST_LABELS]
    chosen = chosen[np.isin(labels[chosen], frequent)]
    if len(np.unique(labels[chosen])) < 2:
        return float((truth == labels[chosen[0]]).mean())
    model = LinearSVC(C=0.5, max_iter=100, tol=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe need not converge
        model.fit(features[chosen], labels[chosen])  # type: ignore[index]
    guesses = model.predict(features[len(labels) - len(truth) :])  # type: ignore[index]
    return float((guesses == truth).mean())


def _wilson(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
