"""Maps of what the network learnt: words and labels as points of a plane, neighbours where the network sees them alike.

t-SNE: van der Maaten and Hinton, "Visualizing Data using t-SNE" (2008).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from frontdesk.preprocessing.spec import FIRST_WORD, Spec, parents

MOST_WORDS = 600
MOST_LABELS = 600
FEWEST_POINTS = 10
_EVERYWHERE = 0.3
"""Words in more than this share of the documents say nothing of their subject."""


def maps(network: Path, spec: Spec, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Return the coordinates of the most telling words and of every label of a tree.

    A word stands by its weights in the wide path, that is, by the labels it speaks for; its branch is that of the label
    for which it speaks most. The embeddings of the convolutions stay near their random start on a few thousand rows.

    Args:
        network: the finished folder of training, with ``weights.safetensors``.
        spec: names the words and labels.
        seed: of t-SNE.

    Returns:
        ``{"words" | "labels": [{"name", "x", "y", "branch", "n"}]}``; no points where there are too few for a map.
    """
    weights = load_file(network / "weights.safetensors")
    head = next((head for head in spec.trees if head in spec.labels), next(iter(spec.labels), ""))
    labels, counts = spec.labels.get(head, ()), spec.label_counts.get(head, ())
    # A flat head has no branches; one colour then.
    branches, branch_of = parents(labels, spec.separator) if head in spec.trees else (("",), np.zeros(len(labels), int))
    label_names = [branches[place] for place in branch_of]

    shown = _telling_words(spec)
    vectors = _rows(weights, f"wide_tables.{head}.weight", shown + FIRST_WORD)
    affinity = _affinity(weights, head, vectors)
    word_branches = [""] * len(shown) if affinity is None else [label_names[place] for place in affinity.argmax(axis=1)]
    words = [spec.vocabulary[place] for place in shown]
    documents = [spec.word_documents[place] for place in shown]

    order = np.argsort(-np.asarray(counts, np.int64), kind="stable")[:MOST_LABELS]
    return {
        "words": _map(vectors, words, word_branches, documents, seed),
        "labels": _map(
            _rows(weights, f"outputs.{head}.weight", order),
            [labels[place] for place in order],
            [label_names[place] for place in order],
            [counts[place] for place in order],
            seed,
        ),
    }


def _telling_words(spec: Spec) -> np.ndarray:
    """Return the places of the most frequent words that are neither everywhere, nor a letter, nor a number."""
    places = [
        place
        for place, (word, documents) in enumerate(zip(spec.vocabulary, spec.word_documents, strict=True))
        if documents <= _EVERYWHERE * spec.documents and len(word) > 2 and not word.isdigit()
    ]
    return np.array(places[:MOST_WORDS], np.int64)


def _rows(weights: dict[str, np.ndarray], name: str, rows: np.ndarray) -> np.ndarray | None:
    """Return some rows of a weight as float64, None for a network that has no such weight."""
    return weights[name][rows].astype(np.float64) if name in weights else None


def _affinity(weights: dict[str, np.ndarray], head: str, vectors: np.ndarray | None) -> np.ndarray | None:
    """Return how much each word speaks for each label in the wide path, float64 [words, K]."""
    outputs = weights.get(f"wide_outputs.{head}.weight")
    return vectors if vectors is None or outputs is None else np.asarray(vectors @ outputs.T.astype(np.float64))


def _map(
    vectors: np.ndarray | None, names: list[str], branches: list[str], counts: list[int], seed: int
) -> list[dict[str, Any]]:
    if vectors is None or len(names) < FEWEST_POINTS:
        return []
    return [
        {"name": name, "x": round(float(x), 2), "y": round(float(y), 2), "branch": branch, "n": int(count)}
        for name, (x, y), branch, count in zip(names, plane(vectors, seed), branches, counts, strict=True)
    ]


def plane(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Return t-SNE coordinates of the directions of some vectors, float64 [N, 2].

    Args:
        vectors: float64 [N, E], N at least 4.
        seed: of the start.
    """
    from sklearn.manifold import TSNE

    directions = vectors - vectors.mean(axis=0)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    start = np.random.default_rng(seed).normal(scale=1e-4, size=(len(vectors), 2))
    tsne = TSNE(perplexity=min(30.0, (len(vectors) - 1) / 3), init=start, random_state=seed, n_jobs=1)
    return np.asarray(tsne.fit_transform(directions), np.float64)
