"""Keys of the Markov table: hashes of the last one to five tokens of a context.

A key is 64 bits, so two contexts among ten million share one with a chance of about 3 in a million. The same function
makes keys in Spark, in training and for a request.
"""

from __future__ import annotations

import numpy as np

from frontdesk.intent.sessions import Session, SessionSet

ORDER = 5
NO_KEY = np.uint64(0)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_FEW, _BITS = 16, (1 << 64) - 1
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def windows(sessions: SessionSet, places: np.ndarray, rows: np.ndarray, *, intents_only: bool = False) -> np.ndarray:
    """Return the last tokens before rows, int32 [N, ORDER], newest first, -1 where the session has no more.

    Args:
        places: the session of each context, [N].
        rows: the row that each context ends before, [N]; at most one past the session's last.
        intents_only: events of the interface do not enter the context.
    """
    tokens, begin = sessions.tokens, sessions.offsets[places]
    if intents_only:  # the same walk, among the intents
        before = np.concatenate([[0], np.cumsum(sessions.is_intent)])
        tokens, begin, rows = tokens[sessions.is_intent], before[begin], before[rows]
    at = rows[:, None] - 1 - np.arange(ORDER)
    inside = at >= begin[:, None]
    padded = np.append(tokens, -1)  # the last place stands for "no token"
    return np.asarray(padded[np.where(inside, at, -1)], np.int32)


def window_of(session: Session, *, intents_only: bool = False) -> np.ndarray:
    """Return the last tokens of a live session, int32 [1, ORDER], as `windows` does."""
    tokens = session.tokens[session.is_intent] if intents_only else session.tokens
    result = np.full((1, ORDER), -1, np.int32)
    newest = tokens[::-1][:ORDER]
    result[0, : len(newest)] = newest
    return result


def recent_tokens(session: Session, *, intents_only: bool = False) -> list[int]:
    """Return the last tokens of a live session, newest first, at most `ORDER`."""
    tokens = session.tokens[session.is_intent] if intents_only else session.tokens
    recent: list[int] = tokens[: -ORDER - 1 : -1].tolist()
    return recent


def asked_keys(recent: list[int], backoff: str) -> list[int]:
    """Return what `backoff_keys` says of one context, without `NO_KEY`.

    Args:
        recent: tokens, newest first.
    """
    if backoff == "oldest":
        return _suffix_keys(recent)[::-1]
    return [_suffix_keys(recent[dropped:])[-1] for dropped in range(len(recent))]


def suffix_keys(window: np.ndarray) -> np.ndarray:
    """Return the keys of the last 1, 2, ... `ORDER` tokens, uint64 [N, ORDER]; `NO_KEY` beyond the context's start.

    Args:
        window: int32 [N, ORDER], newest first, -1 padded.
    """
    if len(window) <= _FEW:
        return np.array([_suffix_keys(row) for row in window.tolist()], np.uint64).reshape(window.shape)
    keys = np.zeros(window.shape, np.uint64)
    running = np.full(len(window), _SEED)
    for place in range(window.shape[1]):
        running = _mix(running + (window[:, place].astype(np.int64) + 2).astype(np.uint64) * _SEED)
        keys[:, place] = np.where(window[:, place] >= 0, np.maximum(running, np.uint64(1)), NO_KEY)
    return keys


def _suffix_keys(window: list[int]) -> list[int]:
    """Return the keys of one window in plain integers: a request is answered before arrays are warm."""
    keys, running = [0] * len(window), int(_SEED)
    for place, token in enumerate(window):
        if token < 0:
            break
        running = (running + (token + 2) * int(_SEED)) & _BITS
        running = ((running ^ (running >> 30)) * int(_FIRST_FACTOR)) & _BITS
        running = ((running ^ (running >> 27)) * int(_SECOND_FACTOR)) & _BITS
        running ^= running >> 31
        keys[place] = max(running, 1)
    return keys


def backoff_keys(window: np.ndarray, backoff: str) -> np.ndarray:
    """Return the keys to ask, the longest context first, uint64 [N, ORDER]; `NO_KEY` where there is none.

    Args:
        window: int32 [N, ORDER], newest first, -1 padded.
        backoff: which end of the context is given up: ``oldest`` asks the last 5, 4, ... 1 tokens; ``newest`` asks the
            last 5 without the newest 0, 1, ... 4, as the article's figure does.
    """
    if backoff == "oldest":
        keys = suffix_keys(window)[:, ::-1]
    else:
        keys = np.zeros(window.shape, np.uint64)
        length = (window >= 0).sum(1)
        for dropped in range(ORDER):
            rest = np.full(window.shape, -1, np.int32)
            rest[:, : ORDER - dropped] = window[:, dropped:]
            left = length - dropped
            some = np.flatnonzero(left > 0)
            keys[some, dropped] = suffix_keys(rest[some])[np.arange(len(some)), left[some] - 1]
    return np.take_along_axis(keys, np.argsort(keys == NO_KEY, axis=1, kind="stable"), 1)


def _mix(value: np.ndarray) -> np.ndarray:
    """Return the finaliser of splitmix64 (Steele, Lea and Flood 2014), wrapping at 64 bits."""
    value = (value ^ (value >> np.uint64(30))) * _FIRST_FACTOR
    value = (value ^ (value >> np.uint64(27))) * _SECOND_FACTOR
    return np.asarray(value ^ (value >> np.uint64(31)))
