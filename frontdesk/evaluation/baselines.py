"""TF-IDF and a linear support vector machine over the raw text: what a ticket model has to beat.

Text only, and none of this library's cleaning: words 1-2 and characters 2-4 within words, 50,000 of each, weighted as
scikit-learn does by default (counts as they are, not their logarithms), and ``LinearSVC(C=0.5)``; as a practitioner
would write it in an afternoon. What bounds its work is a constant here and is told in its result.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.parameters import RunParameters
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import NO_LABEL, Spec
from frontdesk.progress import report
from frontdesk.storage import Store
from frontdesk.text.cleaning import MAX_CHARACTERS

MAX_ROWS = 50_000
"""Training rows of a head; of more, a seeded sample."""
MAX_LABELS = 1_000
"""Labels of a head that it can answer, the most frequent ones: each costs a float64 weight per feature."""
MAX_WORK = 8_000_000
"""Training rows times labels: one binary problem per label over all rows; some five minutes on one core."""
FEATURES = 50_000
"""Words and word pairs kept, and as many character sequences."""
NOTHING = -3
"""Stands in a list of three where there are fewer labels."""
_STAGE = "baselines"


@dataclass(frozen=True)
class Answers:
    """What the baseline says of one head's test rows.

    Attributes:
        top: the three best labels by index, best first, int64 [N, 3], padded with `NOTHING`.
        rows: training rows used.
        rows_labelled: training rows that have a label.
        labels: labels that it can answer.
        seconds: of fitting and answering; the vectorisers, which the heads share, are not in it.
    """

    top: np.ndarray
    rows: int
    rows_labelled: int
    labels: int
    seconds: float


def tfidf_svc(store: Store, snapshot_id: str, spec: Spec, parameters: RunParameters) -> dict[str, Answers]:
    """Fit on a snapshot's training rows and answer its test rows.

    Args:
        store, snapshot_id: where the rows are.
        spec: names the text columns and the labels; fitted on the same training rows.
        parameters: give the seed of the samples.

    Returns:
        ``{head: Answers}`` for every head of the spec, over all test rows in their order.
    """
    from frontdesk.snapshots import read_rows

    encoder = Encoder(spec)
    found: dict[str, list[np.ndarray]] = {head: [] for head in spec.labels}
    for batch in read_rows(store, snapshot_id, "train", ["row", *spec.labels]):
        for head, parts in found.items():
            parts.append(encoder.labels(head, batch.column(head).to_pylist()))
    labels = {head: np.concatenate([np.zeros(0, np.int32), *parts]) for head, parts in found.items()}
    chosen = {head: choose(index, parameters.seed) for head, index in labels.items()}
    used = np.zeros(max((len(index) for index in labels.values()), default=0), bool)
    for index in chosen.values():
        used |= index >= 0
    answers = fit_and_answer(
        list(_texts(read_rows(store, snapshot_id, "train", ["row", *spec.text]), spec.text, used)),
        {head: index[used] for head, index in chosen.items()},
        list(_texts(read_rows(store, snapshot_id, "test", ["row", *spec.text]), spec.text)),
    )
    return {
        head: Answers(answer.top, answer.rows, int((labels[head] >= 0).sum()), answer.labels, answer.seconds)
        for head, answer in answers.items()
    }


def _texts(batches: Iterable[Any], columns: Sequence[str], used: np.ndarray | None = None) -> Iterator[str]:
    """Yield the raw text of the rows that are used, its columns joined; cut like the models' to bound the work."""
    start = 0
    for batch in batches:
        if used is not None:
            start, end = start + batch.num_rows, start
            batch = batch.filter(pa.array(used[end:start]))
        fields = [batch.column(name).to_pylist() for name in columns]
        for parts in zip(*fields, strict=True) if fields else [()] * batch.num_rows:
            yield " ".join(part for part in parts if part)[:MAX_CHARACTERS]


def choose(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a head's training labels (int32 [N]) with `NO_LABEL` where the bounds leave a row out."""
    counts = np.bincount(labels[labels >= 0])
    frequent = np.zeros(len(counts), bool)
    frequent[np.argsort(-counts, kind="stable")[:MAX_LABELS]] = True
    rows = np.flatnonzero((labels >= 0) & frequent[labels]) if len(counts) else np.zeros(0, np.int64)
    most = min(MAX_ROWS, MAX_WORK // max(1, min(MAX_LABELS, int((counts > 0).sum()))))
    if len(rows) > most:
        rows = np.random.default_rng(seed).choice(rows, most, replace=False)
    result = np.full(len(labels), NO_LABEL, np.int32)
    result[rows] = labels[rows]
    return result


def fit_and_answer(
    train_texts: Sequence[str], train_labels: Mapping[str, np.ndarray], test_texts: Sequence[str]
) -> dict[str, Answers]:
    """Fit one classifier per head over shared TF-IDF features, and answer the test texts.

    A head with one training label always answers it; where no text has a word, the most frequent labels are the answer.

    Args:
        train_texts: raw texts.
        train_labels: ``{head: labels}``, int [len(train_texts)], negative where a row has none.
        test_texts: raw texts.
    """
    steps, done = len(train_labels) + 1, 0
    report(_STAGE, done, steps, "TF-IDF")
    train, test = _tfidf(train_texts, test_texts)
    result = {}
    for head, labels in train_labels.items():
        done += 1
        report(_STAGE, done, steps, f"SVC: {head}")
        began = time.perf_counter()
        rows = np.flatnonzero(labels >= 0)
        top = _top_labels(train[rows], labels[rows], test)
        distinct = len(np.unique(labels[rows]))
        result[head] = Answers(top, len(rows), len(rows), distinct, time.perf_counter() - began)
    report(_STAGE, steps, steps, "SVC")
    return result


def _tfidf(train_texts: Sequence[str], test_texts: Sequence[str]) -> tuple[Any, Any]:
    """Return the TF-IDF matrices of training and test texts, CSR float32; without columns where there is no word."""
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    train, test = [sparse.csr_matrix((len(train_texts), 0))], [sparse.csr_matrix((len(test_texts), 0))]
    for analyser, span in (("word", (1, 2)), ("char_wb", (2, 4))):
        vectoriser = TfidfVectorizer(analyzer=analyser, ngram_range=span, max_features=FEATURES, dtype=np.float32)
        try:
            train.append(vectoriser.fit_transform(train_texts))
        except ValueError:  # scikit-learn's word for an empty vocabulary
            continue
        if len(test_texts):
            test.append(vectoriser.transform(test_texts))
    return sparse.hstack(train, "csr", np.float32), sparse.hstack(test, "csr", np.float32)


def _top_labels(train: Any, labels: np.ndarray, test: Any) -> np.ndarray:
    """Return the three best labels of each test row, int64 [N, 3]."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    names, counts = np.unique(labels, return_counts=True)
    top = np.full((test.shape[0], 3), NOTHING, np.int64)
    if len(names) < 2 or train.shape[1] == 0:
        frequent = names[np.argsort(-counts, kind="stable")[:3]]
        top[:, : len(frequent)] = frequent
        return top
    classifier = LinearSVC(C=0.5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(train, labels)
    step = max(1, 8_000_000 // len(names))
    for start in range(0, len(top), step):
        scores = classifier.decision_function(test[start : start + step])
        if scores.ndim == 1:  # two labels: one score, of the second
            scores = np.column_stack([-scores, scores])
        best = names[np.argsort(-scores, axis=1, kind="stable")[:, :3]]
        top[start : start + step, : best.shape[1]] = best
    return top
