"""Sessions as the rectangles that the network reads, and what stands at each of their positions.

A session of L rows has P = L + 1 positions: position p stands behind its first p rows and asks for the next intent.
Sessions of a `SessionSet` are laid out one after the other, so that all of its positions are T + S flat places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from frontdesk.intent.sessions import Session, SessionSet
from frontdesk.intent.tokens import UNSEEN


@dataclass(frozen=True)
class Padded:
    """N sessions, padded to the longest of them.

    Attributes:
        tokens: int64 [N, L], 0 is padding.
        is_intent: bool [N, L].
        operator, line: int64 [N], who opened the session; `UNSEEN` for unknown ones.
        weekday, hour: int64 [N], of the start.
        asking_operator, asking_line: int64 [N, P], who asks at each position.
        lengths: int64 [N], rows of each.
        features: int64 [N, F], levels of the tokeniser's features.
    """

    tokens: np.ndarray
    is_intent: np.ndarray
    operator: np.ndarray
    line: np.ndarray
    weekday: np.ndarray
    hour: np.ndarray
    asking_operator: np.ndarray
    asking_line: np.ndarray
    lengths: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Positions:
    """What is known at the flat positions of a set of sessions.

    Attributes:
        offsets: int64 [S + 1]; the positions of session s are ``offsets[s]:offsets[s + 1]``.
        operators, lines: int32 [T + S], who asks. Before an opened intent it is that row's (the request carried it),
            elsewhere the newest row's: the owner of a coming event is not known yet.
        targets: int32 [T + S], the next intent, however many events come before it; `UNSEEN` behind the last one and
            where training does not know it.
        before_target: bool [T + S], the next row is that intent.
        features: int32 [T + S, F], levels of the tokeniser's features, of who asks.
        ended: bool [T + S], no intent comes any more. Nowhere in a piece of a session that goes on in the next one.
    """

    offsets: np.ndarray
    operators: np.ndarray
    lines: np.ndarray
    features: np.ndarray
    targets: np.ndarray
    before_target: np.ndarray
    ended: np.ndarray

    @classmethod
    def of(cls, sessions: SessionSet) -> Positions:
        """Lay out the positions of sessions."""
        rows, count = len(sessions.tokens), len(sessions)
        offsets = sessions.offsets + np.arange(count + 1)
        before = np.arange(rows) + sessions.session_of  # the position that stands before each row
        after = before + 1
        operators, lines = np.full((2, rows + count), UNSEEN, np.int32)
        targets = np.full(rows + count, UNSEEN, np.int32)
        features = np.zeros((rows + count, sessions.features.shape[1]), np.int32)
        asking = ((operators, sessions.operators), (lines, sessions.lines), (features, sessions.features))
        for asks, owners in asking:
            asks[after] = owners
            first = np.diff(sessions.offsets) > 0
            asks[offsets[:-1][first]] = owners[sessions.offsets[:-1][first]]
            asks[before[sessions.is_intent]] = owners[sessions.is_intent]
        # The first target row at or behind each row, of the same session.
        coming = np.where(sessions.is_target, np.arange(rows), rows)
        coming = np.minimum.accumulate(coming[::-1])[::-1]
        ends = sessions.offsets[1:][sessions.session_of]
        has = coming < ends
        targets[before[has]] = sessions.intents[coming[has]]
        before_target = np.zeros(rows + count, bool)
        before_target[before] = sessions.is_target
        ended = np.ones(rows + count, bool)
        ended[before[has]] = False
        goes_on = [one == following for one, following in pairwise(sessions.session_ids)]
        ended &= np.repeat(~np.array([*goes_on, False][:count], bool), np.diff(offsets))
        return cls(offsets, operators, lines, features, targets, before_target, ended)


def pad(sessions: SessionSet, positions: Positions, places: np.ndarray) -> Padded:
    """Lay some sessions of a set into rectangles.

    Args:
        sessions: S sessions.
        positions: theirs.
        places: int [N], which.
    """
    lengths = sessions.offsets[places + 1] - sessions.offsets[places]
    longest = int(lengths.max(initial=0))
    steps = np.arange(longest + 1)
    inside = steps[:-1] < lengths[:, None]  # [N, L]
    rows = np.where(inside, sessions.offsets[places][:, None] + steps[:-1], 0)
    standing = steps <= lengths[:, None]  # [N, P]
    flat = np.where(standing, positions.offsets[places][:, None] + steps, 0)
    first = sessions.offsets[places]
    return Padded(
        np.where(inside, sessions.tokens[rows] if longest else 0, 0).astype(np.int64),
        inside & (sessions.is_intent[rows] if longest else False),
        sessions.operators[first].astype(np.int64),
        sessions.lines[first].astype(np.int64),
        sessions.weekday[places].astype(np.int64),
        sessions.hour[places].astype(np.int64),
        np.where(standing, positions.operators[flat], UNSEEN).astype(np.int64),
        np.where(standing, positions.lines[flat], UNSEEN).astype(np.int64),
        lengths,
        sessions.features[first].astype(np.int64),
    )


def pad_requests(requests: Sequence[Session]) -> Padded:
    """Lay requests into rectangles; the request's operator and line opened the session and ask at every position."""
    lengths = np.array([len(request.tokens) for request in requests], np.int64)
    longest = int(lengths.max(initial=0))
    tokens = np.zeros((len(requests), longest), np.int64)
    is_intent = np.zeros((len(requests), longest), bool)
    for place, request in enumerate(requests):
        tokens[place, : lengths[place]] = request.tokens
        is_intent[place, : lengths[place]] = request.is_intent
    who = np.array([[request.operator, request.line] for request in requests], np.int64).reshape(-1, 2)
    when = np.array([[request.weekday, request.hour] for request in requests], np.int64).reshape(-1, 2)
    return Padded(
        tokens,
        is_intent,
        who[:, 0],
        who[:, 1],
        when[:, 0],
        when[:, 1],
        np.repeat(who[:, :1], longest + 1, 1),
        np.repeat(who[:, 1:], longest + 1, 1),
        lengths,
        np.array([request.features for request in requests], np.int64).reshape(len(requests), -1),
    )


def batches(lengths: np.ndarray, order: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Divide sessions into batches of at most `budget` tokens with their padding, one session at least.

    Args:
        lengths: int [S], rows of every session.
        order: int [N], places in the order in which they are taken.
        budget: tokens of a batch, first tokens included.
    """
    start = longest = 0
    for place, session in enumerate(order):
        grown = max(longest, int(lengths[session]) + 1)
        if place > start and grown * (place - start + 1) > budget:
            yield order[start:place]
            start, grown = place, int(lengths[session]) + 1
        longest = grown
    if start < len(order):
        yield order[start:]
