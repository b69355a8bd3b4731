"""Golden questions: instances to ask a server over HTTP, with the answers that the bundle itself gives them.

A server checks its own golden rows when it loads. These ask the whole way instead: the address, the name, the version
behind it, and everything between the network and the model. They are made from the bundle's golden rows, so no text of
a customer is in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow.parquet as pq

from frontdesk.bundle import Bundle
from frontdesk.bundle.folder import local_copy
from frontdesk.golden import GOLDEN, INPUT

QUESTIONS = 16
_CLEAR = 1e-3
"""Engines agree to 1e-5: an answer that leads by this much is the same in all of them."""


def golden_questions(location: str, *, policy: str | None = None, taxonomy: str | None = None) -> list[dict[str, Any]]:
    """Return ``[{"instance": {...}, "expected": {...}}]`` of a bundle; only answers that are clear are expected.

    Args:
        location: of the bundle.
        policy: the policy file that servers use; None for the bundle's own.
        taxonomy: the label file that servers answer by; None for the bundle's own labels.

    Raises:
        BundleError: the bundle does not load.
        BadTaxonomy, UsageError: a file does not fit it.
    """
    bundle = Bundle.load(location, policy=policy, taxonomy=taxonomy)
    with pq.ParquetFile(local_copy(location) / GOLDEN) as file:
        rows = file.read().slice(0, QUESTIONS).to_pylist()
    instances = [_instance(row) for row in rows]
    if bundle.feature_columns is not None:
        _complete(instances, bundle.feature_columns.names)
    answers = orjson.loads(bundle.dump(bundle.predict(instances)))
    return [
        {"instance": instance, "expected": expected_of(answer)}
        for instance, answer in zip(instances, answers, strict=True)
    ]


def expected_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return ``{HEAD: label}``, or the first intent, of an answer where it is clear."""
    if "labels" in answer:
        return {head: one["label"] for head, one in answer["labels"].items() if _leads(one["alternatives"], one)}
    first = answer["intents"][:2]
    if not first or (len(first) > 1 and first[0]["score"] - first[1]["score"] < _CLEAR):
        return {}
    return {"intents": first[0]["id"]}


def count_wrong(questions: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> int:
    """Return how many questions are answered otherwise than expected."""
    wrong = 0
    for question, answer in zip(questions, answers, strict=True):
        given = {head: one.get("label") for head, one in answer.get("labels", {}).items()}
        if answer.get("intents"):
            given["intents"] = answer["intents"][0].get("id")
        wrong += any(given.get(name) != value for name, value in question["expected"].items())
    return wrong


def _complete(instances: Sequence[dict[str, Any]], features: Sequence[str]) -> None:
    """Give instances the features that they lack, those of another one: a server would ask its store for them."""
    for name in features:
        known = next((one[name] for one in instances if one.get(name) is not None), None)
        for one in instances:
            if one.get(name) is None and known is not None:
                one[name] = known


def _leads(alternatives: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> bool:
    others = [one["confidence"] for one in alternatives if one["label"] != answer["label"]]
    return bool(answer["confidence"] - max(others, default=0.0) >= _CLEAR)


def _instance(row: Mapping[str, Any]) -> dict[str, Any]:
    if "request" in row:
        found: dict[str, Any] = orjson.loads(row["request"])
        return found
    given = {name.removeprefix(INPUT): value for name, value in row.items() if name.startswith(INPUT)}
    return {name: value for name, value in given.items() if not (isinstance(value, float) and not math.isfinite(value))}
