"""Golden rows of the intent recipe: requests and the probabilities that every form of the network must give them.

The requests are made from the tokeniser with a fixed seed; no session of an operator enters a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from frontdesk.errors import BundleError, InvalidRequest
from frontdesk.golden import GOLDEN
from frontdesk.intent.levels import MISSING, FeatureLevels
from frontdesk.intent.requests import parse_requests
from frontdesk.intent.sessions import Session, live_session
from frontdesk.intent.tokens import Tokenizer

_ROWS = 24
_SEED = 20
_START = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)

Scores = Callable[[Sequence[Session]], np.ndarray]
"""Sessions -> probabilities of the next intent, float32 [N, K]."""


def golden_requests(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Return request instances: sessions of 0 to 40 rows, known and unknown names; the same for the same tokeniser."""
    random = np.random.default_rng(_SEED)
    requests: list[dict[str, Any]] = []
    for number in range(_ROWS):
        moment, events = _START + timedelta(hours=7 * number), []
        for place in range(int(random.integers(0, 41)) if number else 0):
            events.append(_row(tokenizer, random, moment + timedelta(seconds=3 * place)))
        requests.append(
            {
                "session": f"golden-{number}",
                "operator": _one(tokenizer.operators, random),
                "line": _one(tokenizer.lines, random),
                "events": events,
                "now": moment.isoformat(),
            }
            | {feature.name: _value(feature, random) for feature in tokenizer.features}
        )
    return requests


def _row(tokenizer: Tokenizer, random: np.random.Generator, moment: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"timestamp": moment.isoformat()}
    if random.random() < 0.4 or not tokenizer.events:
        return row | {"kind": "intent", "name": _one(tokenizer.intents, random)}
    name, *values = tokenizer.events[int(random.integers(len(tokenizer.events)))]
    fields = dict(zip(tokenizer.fields, values, strict=False))
    return row | {"kind": "event", "name": name, "fields": fields}


def _one(names: Sequence[str], random: np.random.Generator) -> str:
    """Return a name, one in ten of them unknown."""
    if not names or random.random() < 0.1:
        return "no such name"
    return names[int(random.integers(len(names)))]


def _value(feature: FeatureLevels, random: np.random.Generator) -> Any:
    """Return a value of any level of a feature; None is a missing one."""
    level = int(random.integers(feature.size))
    if level == MISSING:
        return None
    if feature.cuts is None:
        return feature.values[level - 1]
    return feature.cuts[level - 2] if level > 1 else (feature.cuts[0] if feature.cuts else 0.0) - 1.0


def sessions_of(requests: Sequence[dict[str, Any]], tokenizer: Tokenizer) -> list[Session]:
    """Return the requests' sessions as the served models read them."""
    return [
        live_session(
            one.events,
            tokenizer,
            session_id=str(one.session),
            operator=one.operator,
            line=one.line,
            now=one.now,
            features=one.features,
        )
        for one in parse_requests(list(requests), tokenizer)
    ]


def golden_table(tokenizer: Tokenizer, scores: Scores) -> pa.Table:
    """Return the table of golden rows; ``scores`` is the reference."""
    requests = golden_requests(tokenizer)
    expected = scores(sessions_of(requests, tokenizer)).astype(np.float32)
    return pa.table(
        {
            "request": pa.array([orjson.dumps(request).decode() for request in requests]),
            "probabilities": pa.FixedSizeListArray.from_arrays(pa.array(expected.reshape(-1)), expected.shape[1]),
        }
    )


def golden_difference(folder: Path, tokenizer: Tokenizer, scores: Scores) -> float:
    """Return the largest difference of a form's probabilities from those of a bundle's golden rows.

    Raises:
        BundleError: the file is not what `golden_table` makes of this tokeniser.
    """
    try:
        with pq.ParquetFile(folder / GOLDEN) as file:
            table = file.read()
        requests = [orjson.loads(text) for text in table["request"].to_pylist()]
        expected = np.array(table["probabilities"].to_pylist(), np.float32)
        sessions = sessions_of(requests, tokenizer)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException, InvalidRequest) as error:
        raise BundleError("the golden rows cannot be read", where=GOLDEN) from error
    found = scores(sessions)
    if found.shape != expected.shape:
        raise BundleError("the golden rows have another number of intents", where=GOLDEN)
    return float(np.abs(found - expected).max(initial=0.0))
