"""Mails as tensors on the training node, as jobs 2 and 3 would leave them, made in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frontdesk.email.encoding import EmailEncoder
from frontdesk.email.tokens import TOKENIZER, fit_tokenizer
from frontdesk.preprocessing.spec import Spec
from frontdesk.storage import MANIFEST, canonical_json, describe

WORDS = {
    "Zahlungen": "ueberweisung lastschrift betrag buchung iban zahlung konto dauerauftrag",
    "Karten": "karte pin geldautomat sperre kreditkarte limit ersatzkarte chip",
    "Depot": "depot aktie fonds order dividende kurs wertpapier handel",
}
FILLER = "guten tag ich habe eine frage bitte um antwort danke mit gruss wann kann das sein heute gestern"


def made_mails(rows: int, seed: int = 0) -> tuple[dict[str, list[Any]], dict[str, list[str | None]]]:
    """Return columns and labels: the line follows the words, the queue the line and the bank, the topic one word."""
    draw = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {"subject": [], "body": [], "custodian_bank": []}
    labels: dict[str, list[str | None]] = {"business_line": [], "queue": [], "topic": []}
    for _ in range(rows):
        line = str(draw.choice(list(WORDS)))
        said = [str(word) for word in draw.choice(WORDS[line].split(), 3)]
        bank = [None, "Nordbank", "Südbank"][int(draw.integers(3))]
        body = [str(word) for word in draw.choice(FILLER.split(), int(draw.integers(3, 20)))] + said[1:]
        columns["subject"].append(said[0] if draw.random() < 0.8 else None)
        columns["body"].append(" ".join(str(word) for word in draw.permutation(body)))
        columns["custodian_bank"].append(bank)
        labels["business_line"].append(line if draw.random() < 0.9 else None)
        labels["queue"].append(f"{line} {bank or 'Zentrale'}")
        labels["topic"].append(said[-1])
    return columns, labels


def put_mails(
    folder: Path,
    columns: Mapping[str, Sequence[Any]],
    labels: Mapping[str, Sequence[str | None]],
    *,
    tokenizer: bytes | None = None,
    max_tokens: int = 64,
    size: int = 400,
) -> Spec:
    """Write ``folder/tensors``, as a transfer leaves them, and ``folder/tokenizer.json``; return the spec."""
    rows = len(columns["body"])
    counts = {head: Counter(value for value in values if value is not None) for head, values in labels.items()}
    words = Counter(word for body in columns["body"] for word in set(body.lower().split()))
    vocabulary = sorted(words, key=lambda word: (-words[word], word))
    spec = Spec(
        recipe="email",
        text=tuple(name for name in ("subject", "body") if name in columns),
        categorical={
            name: tuple(sorted({value for value in columns[name] if value}))
            for name in columns
            if name.startswith("cust")
        },
        numeric={},
        vocabulary=tuple(vocabulary),
        word_documents=tuple(words[word] for word in vocabulary),
        phrases=(),
        phrase_documents=(),
        documents=rows,
        labels={head: tuple(sorted(found)) for head, found in counts.items()},
        label_counts={head: tuple(found[label] for label in sorted(found)) for head, found in counts.items()},
        separator=" > ",
        max_tokens=max_tokens,
        trees=(),
    )
    if tokenizer is None:
        texts = [
            " ".join(str(field[row]) for name in spec.text if (field := columns[name])[row]) for row in range(rows)
        ]
        tokenizer = fit_tokenizer(texts, size)
    encoder = EmailEncoder(spec, tokenizer)
    arrays = encoder.encode(columns, rows)
    tensors = folder / "tensors"
    tensors.mkdir(parents=True)
    (folder / TOKENIZER).write_bytes(tokenizer)
    np.save(tensors / "train.ids.npy", arrays.ids)
    np.save(tensors / "train.categories.npy", arrays.categories)
    np.save(tensors / "train.numbers.npy", arrays.numbers)
    for head, values in labels.items():
        np.save(tensors / f"train.label.{head}.npy", encoder.labels(head, values))
    (tensors / "spec.json").write_bytes(canonical_json(spec.to_json()))
    content = {"rows": {"train": rows, "test": 0}, "files": describe(tensors)}
    (tensors / MANIFEST).write_bytes(canonical_json(content))
    return spec
