"""Tokenised sessions as arrays, between a transformer that tokenises and a predictor that holds the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from frontdesk.errors import InvalidRequest
from frontdesk.intent.requests import MAX_NAME, MAX_ROWS
from frontdesk.intent.sessions import Session
from frontdesk.intent.tokens import FIRST_TOKEN, PADDING, UNKNOWN_INTENT, UNSEEN, Tokenizer

_KINDS = {"session": "O", "operator": "i", "line": "i", "start": "i", "tokens": "i", "features": "i"}
_RECTANGLES = ("tokens", "features")
_LATEST = 2**53
"""Microseconds of a start that a predictor takes: beyond any calendar, and far from an overflow."""


def pack(sessions: Sequence[Session]) -> dict[str, np.ndarray]:
    """Return N sessions as arrays.

    Returns:
        ``session`` object [N], "" for one that is not remembered; ``operator``, ``line`` int32 [N]; ``start`` int64
        [N]; ``tokens`` int32 [N, L], oldest first, padded with `PADDING` at the end; for a tokeniser with features
        ``features`` int32 [N, F], their levels.
    """
    names = np.empty(len(sessions), object)
    names[:] = [session.session_id for session in sessions]
    tokens = np.full((len(sessions), max((len(one.tokens) for one in sessions), default=0)), PADDING, np.int32)
    for row, session in enumerate(sessions):
        tokens[row, : len(session.tokens)] = session.tokens
    arrays = {
        "session": names,
        "operator": np.array([session.operator for session in sessions], np.int32),
        "line": np.array([session.line for session in sessions], np.int32),
        "start": np.array([session.start for session in sessions], np.int64),
        "tokens": tokens,
    }
    if any(session.features for session in sessions):
        arrays["features"] = np.array([session.features for session in sessions], np.int32)
    return arrays


def unpack(arrays: Mapping[str, np.ndarray], tokenizer: Tokenizer) -> list[Session]:
    """Return what `pack` packed, but for the rows' times, which no model reads.

    Raises:
        InvalidRequest: an array is missing, of another shape or datatype, or holds an id that there is not.
    """
    kinds = {name: kind for name, kind in _KINDS.items() if tokenizer.features or name != "features"}
    if arrays.keys() != kinds.keys():
        raise InvalidRequest(f"must be {', '.join(kinds)}", where="inputs")
    rows = arrays["tokens"].shape[0] if arrays["tokens"].ndim else 0
    for name, kind in kinds.items():
        array = arrays[name]
        if array.dtype.kind != kind or array.ndim != (2 if name in _RECTANGLES else 1) or len(array) != rows:
            raise InvalidRequest("is of another datatype or shape", where=name)
    if arrays["tokens"].shape[1] > MAX_ROWS:
        raise InvalidRequest(f"more than {MAX_ROWS} rows", where="tokens")
    if any(len(name) > MAX_NAME for name in arrays["session"]):
        raise InvalidRequest(f"is longer than {MAX_NAME} characters", where="session")
    bounds = {
        "tokens": (PADDING, tokenizer.size),
        "operator": (UNSEEN, len(tokenizer.operators)),
        "line": (UNSEEN, len(tokenizer.lines)),
        "start": (-_LATEST, _LATEST),
    }
    for name, (least, beyond) in bounds.items():
        if arrays[name].size and not least <= arrays[name].min() <= arrays[name].max() < beyond:
            raise InvalidRequest("holds an id that the model does not know", where=name)
    sizes = np.array([feature.size for feature in tokenizer.features], np.int64)
    levels = arrays["features"] if tokenizer.features else np.zeros((rows, 0), np.int32)
    if levels.shape[1] != len(sizes) or (levels < 0).any() or (levels >= sizes).any():
        raise InvalidRequest("holds a level that the model does not know", where="features")
    first_event = FIRST_TOKEN + len(tokenizer.intents)
    sessions = []
    for row in range(rows):
        padded = arrays["tokens"][row].astype(np.int32)
        length = int((padded != PADDING).sum())
        tokens = padded[:length]
        if (tokens == PADDING).any():
            raise InvalidRequest("padding stands before a token", where="tokens")
        opened = (tokens >= FIRST_TOKEN) & (tokens < first_event)
        sessions.append(
            Session(
                str(arrays["session"][row]),
                int(arrays["operator"][row]),
                int(arrays["line"][row]),
                int(arrays["start"][row]),
                tokens,
                opened | (tokens == UNKNOWN_INTENT),
                np.where(opened, tokens - FIRST_TOKEN, UNSEEN).astype(np.int32),
                np.zeros(length, np.int64),
                tuple(levels[row].tolist()),
            )
        )
    return sessions
