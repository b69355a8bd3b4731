"""Live sessions: what the network remembers of each, so that a new token costs one step and not a full pass.

What a token may see depends on its place only (`attention_mask`), so the keys and values of earlier tokens never
change. A session keeps those of its first token, of its opened intents, and of the events that the window still sees;
older events are overwritten. The kept ones lie in pages of one common pool, as in PagedAttention (Kwon et al. 2023), so
that sessions of any length are stepped together in one call and memory has a bound: what was idle longest goes first.

A session that comes back after it was forgotten, or whose rows arrived in another order, is read again by a full pass:
a cache may cost time, never an answer.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frontdesk.intent.batches import pad_requests
from frontdesk.intent.engines.arrays import ArrayNetwork
from frontdesk.intent.network_config import PATH
from frontdesk.intent.sessions import Session
from frontdesk.intent.tokens import FIRST_TOKEN

_PAGE = 8
_NO_PAGE = 0
"""The first page is never given away: places that hold nothing point to it."""
_PAGES_PER_SESSION = 2
_SESSIONS_AT_ONCE = 256
LONGEST_PASS = 1_024
"""Tokens of a full pass; what comes after them is stepped, because a full pass costs the square of its length."""
_CELLS_AT_ONCE = 2_000_000


@dataclass
class _Known:
    """A remembered session: its place in the arrays, its first token, its tokens so far (int32), last use."""

    slot: int
    first: tuple[int, ...]
    tokens: bytes
    used: float


class LiveSessions:
    """The network's memory of live sessions.

    Args:
        network: the served engine.
        max_sessions: sessions remembered at once; fewer where they are very long. A session of ten opened intents
            takes 12 KiB at the default width.
    """

    def __init__(self, network: ArrayNetwork, *, max_sessions: int = 4_096) -> None:
        self.network = network
        config = network.config
        entry = (config.layers, 2, config.width)
        per_session = -(-(1 + config.memory) // _PAGE)
        self._at_once = min(max_sessions, _SESSIONS_AT_ONCE)
        pages = 1 + max(_PAGES_PER_SESSION * max_sessions, per_session * self._at_once)
        # Memory costs nothing until it is written.
        self._pool = np.empty((pages, _PAGE, *entry), np.float32)
        self._pool[_NO_PAGE] = 0
        self._free_pages = list(range(pages - 1, _NO_PAGE, -1))
        self._free_slots = list(range(max_sessions - 1, -1, -1))
        self._table = np.zeros((max_sessions, per_session), np.int32)
        self._ring = np.zeros((max_sessions, config.window - 1, *entry), np.float32)
        self._ring_alive = np.zeros((max_sessions, config.window - 1), bool)
        self._position = np.zeros(max_sessions, np.int64)  # of the newest token; the first token has 0
        self._intents = np.zeros(max_sessions, np.int64)
        self._recent = np.zeros((max_sessions, PATH), np.int64)
        self._opened = np.zeros((max_sessions, config.intents), bool)
        self._stream = np.zeros((max_sessions, config.width), np.float32)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._known

    def logits(self, requests: Sequence[Session], now: float | None = None) -> np.ndarray:
        """Return the logits of the next intent, float32 [N, K]: those of the full pass.

        A session that is remembered is stepped over the tokens that are new; any other is read by a full pass.

        Args:
            requests: sessions so far. One session may come more than once.
            now: seconds on the caller's clock; default: the monotonic clock.
        """
        now = time.monotonic() if now is None else now
        found = np.empty((len(requests), self.network.config.intents), np.float32)
        waiting = list(range(len(requests)))
        while waiting:
            taken: dict[str, int] = {}
            for place in waiting:
                if len(taken) == self._at_once:
                    break
                taken.setdefault(requests[place].session_id, place)
            places = list(taken.values())
            found[places] = self._answer([requests[place] for place in places], now)
            done = set(places)
            waiting = [place for place in waiting if place not in done]
        return found

    def forget(self, session_id: str) -> None:
        """Drop a session; one that is not remembered is no error."""
        if (known := self._known.pop(session_id, None)) is not None:
            self._free(known.slot)

    def _answer(self, requests: list[Session], now: float) -> np.ndarray:
        cold = []
        for request in requests:
            known = self._known.get(request.session_id)
            tokens = request.tokens.astype(np.int32).tobytes()
            if known is not None and known.first == _first(request) and tokens.startswith(known.tokens):
                known.used = now
                self._known.move_to_end(request.session_id)
            else:
                self.forget(request.session_id)
                cold.append(request)
        # What is asked about now is the newest in the order of use, so that room is made at the expense of others.
        for request in cold:
            self._open(request, now)
        self._read(cold)
        while True:
            behind = [r for r in requests if len(self._known[r.session_id].tokens) < 4 * len(r.tokens)]
            if not behind:
                break
            self._step(behind)
        slots = np.array([self._known[request.session_id].slot for request in requests])
        who = np.array([[request.operator, request.line] for request in requests])
        return self.network.read(self._stream[slots], who[:, 0], who[:, 1], self._opened[slots])

    def _open(self, request: Session, now: float) -> None:
        while not self._free_slots:
            self.forget(next(iter(self._known)))
        self._known[request.session_id] = _Known(self._free_slots.pop(), _first(request), b"", now)

    def _read(self, requests: list[Session]) -> None:
        """Fill the memory of new sessions by a full pass over their first tokens; `_step` does what is left."""
        begin = 0
        while begin < len(requests):
            end, longest = begin, 0
            while end < len(requests):
                longest = max(longest, min(len(requests[end].tokens), LONGEST_PASS) + 1)
                if end > begin and (end - begin + 1) * longest * longest > _CELLS_AT_ONCE:
                    break
                end += 1
            self._fill([request.head(LONGEST_PASS) for request in requests[begin:end]])
            begin = end

    def _fill(self, requests: list[Session]) -> None:
        padded = pad_requests(requests)
        stream, kept = self.network.full(padded)
        window, memory = self.network.config.window, self.network.config.memory
        for row, request in enumerate(requests):
            known = self._known[request.session_id]
            slot, length = known.slot, len(request.tokens)
            opened = np.flatnonzero(request.is_intent) + 1
            count = len(opened)
            newest = opened[-memory:]
            self._grow(slot, 1 + len(newest))
            entries = np.concatenate([[0], 1 + np.arange(count - len(newest), count) % memory])
            self._pool[self._table[slot, entries // _PAGE], entries % _PAGE] = kept[row, np.append(0, newest)]
            for position in range(max(1, length - window + 2), length + 1):  # none where the window is the token alone
                self._ring[slot, position % (window - 1)] = kept[row, position]
                self._ring_alive[slot, position % (window - 1)] = not request.is_intent[position - 1]
            self._position[slot], self._intents[slot] = length, count
            recent = request.tokens[::-1][:PATH]
            self._recent[slot, : len(recent)] = recent
            inside = request.intents[request.intents >= 0]
            self._opened[slot, inside] = True
            self._stream[slot] = stream[row, length]
            known.tokens = request.tokens.astype(np.int32).tobytes()

    def _step(self, requests: list[Session]) -> None:
        """Add one token to each of some sessions."""
        config = self.network.config
        slots = np.array([self._known[request.session_id].slot for request in requests])
        places = [len(self._known[request.session_id].tokens) // 4 for request in requests]
        tokens = np.array([request.tokens[place] for request, place in zip(requests, places, strict=True)], np.int64)
        is_intent = np.array([request.is_intent[place] for request, place in zip(requests, places, strict=True)], bool)
        self._recent[slots, 1:] = self._recent[slots, :-1]
        self._recent[slots, 0] = tokens
        self._position[slots] += 1
        kept, seen, target = self._remembered(slots, is_intent)
        stream, own = self.network.step(self.network.embed(self._recent[slots]), kept, seen)
        self._stream[slots] = stream
        opened = np.flatnonzero(is_intent)
        for row in opened:
            self._grow(int(slots[row]), int(target[row]) + 1)
        self._pool[self._table[slots[opened], target[opened] // _PAGE], target[opened] % _PAGE] = own[opened]
        self._intents[slots[opened]] += 1
        inside = is_intent & (tokens >= FIRST_TOKEN)
        self._opened[slots[inside], tokens[inside] - FIRST_TOKEN] = True
        if config.window > 1:
            ring = self._position[slots] % (config.window - 1)
            self._ring[slots, ring] = own
            self._ring_alive[slots, ring] = ~is_intent
        for request, place in zip(requests, places, strict=True):
            known = self._known[request.session_id]
            known.tokens = request.tokens[: place + 1].astype(np.int32).tobytes()

    def _remembered(self, slots: np.ndarray, is_intent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return keys and values [N, S, layers, 2, D], what the new token sees of them [N, S], and the entry that it
        takes if it is an intent [N]."""
        memory = self.network.config.memory
        count = self._intents[slots]
        entries = 1 + np.minimum(count, memory)
        target = 1 + count % memory
        pages = -(-int(entries.max()) // _PAGE)
        pool = self._pool[self._table[slots, :pages]].reshape(len(slots), pages * _PAGE, *self._pool.shape[2:])
        place = np.arange(pages * _PAGE)
        seen = place < entries[:, None]
        seen &= ~(is_intent[:, None] & (place == target[:, None]))  # the oldest intent makes room for a new one
        # The event that leaves the window now lies where the new token will be written.
        alive = self._ring_alive[slots]
        return np.concatenate([pool, self._ring[slots]], 1), np.concatenate([seen, alive], 1), target

    def _grow(self, slot: int, entries: int) -> None:
        for place in range(-(-entries // _PAGE)):
            if self._table[slot, place] == _NO_PAGE:
                while not self._free_pages:  # the sessions being answered are the last in the order of use
                    self.forget(next(iter(self._known)))
                self._table[slot, place] = self._free_pages.pop()
                self._pool[self._table[slot, place]] = 0

    def _free(self, slot: int) -> None:
        self._free_pages += [int(page) for page in self._table[slot] if page != _NO_PAGE]
        self._free_slots.append(slot)
        self._table[slot] = _NO_PAGE
        self._ring_alive[slot] = False
        self._opened[slot] = False
        self._recent[slot] = 0


def _first(request: Session) -> tuple[int, ...]:
    """Return what the first token is made of: where it changes, the session is read again."""
    return request.operator, request.line, request.weekday, request.hour, *request.features
