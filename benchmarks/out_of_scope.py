"""How well strangeness tells questions that a model knows nothing of: CLINC150, whose rows are marked.

    .venv/bin/python -m benchmarks.out_of_scope ../shared/data/clinc150.parquet

The model is logistic regression over TF-IDF of words, so that it has logits and the energy score (Liu et al.
2020) can be compared. Usual is what the validation rows in scope are; figures are on the test rows.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.special import logsumexp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from frontdesk.preprocessing.spec import Spec
from frontdesk.scope import UnknownWords, doubt, learn_scope
from frontdesk.text.cleaning import clean


def main() -> None:
    """Measure and print JSON."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("data", type=Path)
    print(json.dumps(measure(arguments.parse_args().data), indent=2))


def measure(data: Path) -> dict[str, object]:
    """Return the area under the ROC curve of every score, and what the limit of 0.01 holds back."""
    table = pq.read_table(data).to_pydict()
    rows = range(len(table["text"]))
    parts = {
        name: [row for row in rows if table["split"][row] == name and not (name == "train" and table["oos"][row])]
        for name in ("train", "val", "test")
    }
    texts = {name: [clean(table["text"][row]) for row in some] for name, some in parts.items()}
    strange = {name: np.array([table["oos"][row] for row in some]) for name, some in parts.items()}
    vectors = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    model = LogisticRegression(C=10.0, max_iter=200)
    model.fit(vectors.fit_transform(texts["train"]), [table["intent"][row] for row in parts["train"]])
    logits = {name: model.decision_function(vectors.transform(texts[name])) for name in ("val", "test")}
    doubts = {
        name: doubt({"intent": np.exp(values - logsumexp(values, axis=1, keepdims=True))})
        for name, values in logits.items()
    }
    words = UnknownWords(_spec(texts["train"]))
    unknown = {name: words.shares({"text": texts[name]}, len(texts[name])) for name in ("val", "test")}
    usual = ~strange["val"]
    scope = learn_scope(doubts["val"][usual], unknown["val"][usual])
    share, odd = scope.share(doubts["test"], unknown["test"]), strange["test"]
    scores = {
        "largest probability": doubts["test"],
        "energy": -logsumexp(logits["test"], axis=1),
        "unknown words": unknown["test"],
        "scope (both)": 1 - share,
    }
    return {
        "rows": {name: len(some) for name, some in parts.items()},
        "out_of_scope_test_rows": int(odd.sum()),
        "auroc": {name: round(float(roc_auc_score(odd, score)), 4) for name, score in scores.items()},
        "held_back_at_limit": {
            str(limit): {
                "in_scope": round(float((share[~odd] < limit).mean()), 4),
                "out_of_scope": round(float((share[odd] < limit).mean()), 4),
            }
            for limit in (0.01, 0.05, 0.1)
        },
    }


def _spec(texts: list[str]) -> Spec:
    """Return fitted values with the words that occur in two texts or more."""
    counts = Counter(word for text in texts for word in set(text.split()))
    known = sorted(word for word, count in counts.items() if count > 1)
    return Spec(
        recipe="ticket",
        text=("text",),
        categorical={},
        numeric={},
        vocabulary=tuple(known),
        word_documents=tuple(counts[word] for word in known),
        phrases=(),
        phrase_documents=(),
        documents=len(texts),
        labels={},
        label_counts={},
        separator=" > ",
        max_tokens=64,
        trees=(),
    )


if __name__ == "__main__":
    main()
