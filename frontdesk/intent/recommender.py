"""From requests to answers: the line's model, what stands in for it, and the list on the screen."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, repeat
from typing import Protocol

import numpy as np

from frontdesk.intent.columns import EVENT, INTENT
from frontdesk.intent.configuration import Configuration, LineConfiguration
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.keys import ORDER, asked_keys, backoff_keys, recent_tokens, window_of
from frontdesk.intent.lists import Access, Candidate, Reason, Validity, assemble
from frontdesk.intent.markov import STEP_BACK, Backoff, Found, Level, MarkovTable, walk
from frontdesk.intent.requests import IntentAnswer, Source, Suggestion, SuggestionRequest
from frontdesk.intent.sessions import Session, live_session
from frontdesk.intent.tokens import Tokenizer
from frontdesk.intent.toppop import KEPT, TopPop

CANDIDATES = KEPT
"""Ranked for a list, so that hidden and outdated intents leave enough; where rights are given, all intents are."""
_WAIT_SECONDS = 0.05
"""For the network's memory; a request that would wait longer is answered by the Markov table."""
_AT_ONCE = 32
"""Sessions that hold the memory together, so that a large batch does not keep it from the screens."""

_Entry = tuple[int, float, Reason]
"""A ranked intent, its score, and where it comes from."""


def sessions_of(asked: Sequence[Asked]) -> list[Session]:
    """Return the sessions of the requests that are for the network, in their order."""
    return [one.session for one in asked if one.settings.model == "evgen"]


class GuardedStore(Protocol):
    """A shared store that falls back by itself and says so; see `frontdesk.intent.redis_store.GuardedTable`."""

    def ask(self, keys: np.ndarray) -> Guarded:
        """Return what followed the keys, uint64 [N, M]."""


class Guarded(Protocol):
    """What a guarded store found, and whether it had to fall back."""

    @property
    def found(self) -> Found:
        """What followed the keys."""

    @property
    def degraded(self) -> bool:
        """Whether the bundle's own table answered."""


@dataclass(frozen=True)
class Asked:
    """One request and what follows from it."""

    request: SuggestionRequest
    session: Session
    settings: LineConfiguration

    @property
    def first(self) -> bool:
        return not self.session.is_intent.any()


@dataclass(frozen=True)
class _Ranked:
    """Candidates for one request, best first, the model that ranked them, and whether it stood in for another one."""

    candidates: Iterator[Candidate]
    source: Source
    degraded: bool = False


class Recommender:
    """The models of a bundle, in the order of their demands. Safe to share between threads.

    Args:
        tokenizer: of all of them.
        configuration: the desk's settings.
        evgen: the network with its counts; None where another server holds it.
        tables: the Markov tables by context: ``all`` rows, or ``intents`` only.
        toppop: for sessions that say nothing yet, and to fill lists.
        validity: when procedures may be opened.
        store: a table shared by several servers in place of ``tables["all"]``, with that one behind it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        configuration: Configuration,
        evgen: EvGen | None,
        tables: dict[str, MarkovTable],
        toppop: TopPop,
        validity: dict[str, Validity],
        store: GuardedStore | None = None,
    ) -> None:
        self.tokenizer, self.configuration = tokenizer, configuration
        self.evgen, self.tables, self.toppop, self.validity = evgen, tables, toppop, validity
        self.store = store
        self.live = None if evgen is None else evgen.live()
        self._memory = threading.Lock()

    def ask(self, requests: Sequence[SuggestionRequest]) -> list[Asked]:
        """Tokenise requests and find out which model each is for."""
        return [self._asked(request) for request in requests]

    def recommend(self, model_id: str, requests: Sequence[SuggestionRequest]) -> list[IntentAnswer]:
        """Answer requests; those for the network are computed together."""
        asked = self.ask(requests)
        return self.answer(model_id, asked, self.network_scores(sessions_of(asked)))

    def answer(
        self, model_id: str, asked: Sequence[Asked], scores: Sequence[np.ndarray | None] | None
    ) -> list[IntentAnswer]:
        """Return the lists.

        Args:
            model_id: of the answers.
            asked: the requests.
            scores: what the network says of each of `sessions_of`, float32 [K]; None where it had no time. None for all
                where it could not be asked. A simpler model answers in its place then, and says so.
        """
        ranked: dict[int, _Ranked] = {}
        following = iter(scores or ())
        markov: list[int] = []
        stands_in: list[int] = []
        for place, one in enumerate(asked):
            model = one.settings.model
            if model == "toppop":
                ranked[place] = _Ranked(self._named(one, self._popular(one)), "toppop")
            elif model == "evgen" and (shares := next(following, None)) is not None:
                ranked[place] = _Ranked(self._named(one, self._best(one, shares)), "evgen")
            else:
                (stands_in if model == "evgen" else markov).append(place)
        for places, degraded in ((markov, False), (stands_in, True)):
            for place, found in zip(places, self._markov([asked[each] for each in places], degraded), strict=True):
                ranked[place] = found
        return [self._answer(model_id, one, ranked[place]) for place, one in enumerate(asked)]

    def _asked(self, request: SuggestionRequest) -> Asked:
        settings = self.configuration.of(request.line)
        rows = request.events
        if settings.context_events is not None:
            allowed = set(settings.context_events)
            rows = [row for row in rows if row.kind != EVENT or row.name in allowed]
        session = live_session(
            rows,
            self.tokenizer,
            session_id=request.session or "",
            operator=request.operator,
            line=request.line,
            now=request.now,
            features=request.features,
        )
        return Asked(request, session, settings)

    def network_scores(self, sessions: Sequence[Session]) -> list[np.ndarray | None]:
        """Return the network's shares of the next intent, float32 [K], for each session.

        A session without a name (``""``) is not remembered. None stands where the memory is busy for too long, and
        everywhere without the network.
        """
        scores: list[np.ndarray | None] = [None] * len(sessions)
        if self.evgen is None:
            return scores
        named = [row for row, session in enumerate(sessions) if session.session_id]
        for begin in range(0, len(named), _AT_ONCE):
            if begin:
                time.sleep(0)  # whoever waits for the memory comes first
            if self._memory.acquire(timeout=_WAIT_SECONDS):
                rows = named[begin : begin + _AT_ONCE]
                try:
                    found = self.evgen.scores([sessions[row] for row in rows], live=self.live)
                finally:
                    self._memory.release()
                for row, shares in zip(rows, found, strict=True):
                    scores[row] = shares
        nameless = [row for row, session in enumerate(sessions) if not session.session_id]
        for begin in range(0, len(nameless), _AT_ONCE):  # remembered for as long as they are read
            rows = nameless[begin : begin + _AT_ONCE]
            apart = [replace(sessions[row], session_id=str(row)) for row in rows]
            found = self.evgen.scores(apart, live=self.evgen.live(len(rows)))
            for row, shares in zip(rows, found, strict=True):
                scores[row] = shares
        return scores

    def _best(self, one: Asked, shares: np.ndarray) -> Iterator[_Entry]:
        order = np.argsort(-shares, kind="stable")[: self._width(one)]
        return zip(order.tolist(), shares[order].tolist(), repeat("sequence"), strict=False)

    def _markov(self, asked: list[Asked], degraded: bool) -> list[_Ranked]:
        """Rank by the Markov tables; those in the shared store are asked together."""
        ranked: dict[int, _Ranked] = {}
        shared: dict[Backoff, list[int]] = defaultdict(list)
        for row, one in enumerate(asked):
            context, backoff = one.settings.markov_context, one.settings.backoff
            if self.store is not None and context == "all":
                shared[backoff].append(row)
            else:
                keys = asked_keys(recent_tokens(one.session, intents_only=context == "intents"), backoff)
                entries = self._filled(one, map(self.tables[context].level, keys))
                ranked[row] = _Ranked(self._named(one, entries), "markov", degraded)
        if self.store is not None:
            for backoff, rows in shared.items():
                windows = np.concatenate([window_of(asked[row].session) for row in rows])
                answer = self.store.ask(backoff_keys(windows, backoff))
                for place, row in enumerate(rows):
                    entries = self._filled(asked[row], answer.found.levels(place))
                    ranked[row] = _Ranked(self._named(asked[row], entries), "markov", degraded or answer.degraded)
        return [ranked[row] for row in range(len(asked))]

    def _filled(self, one: Asked, levels: Iterable[Level]) -> Iterator[_Entry]:
        """Yield what the table says, then what TopPop says, which is asked only where the list is still too short."""
        seen: set[int] = set()
        least = 1.0
        for intent, score in islice(walk(levels), self._width(one)):
            seen.add(intent)
            least = score
            yield intent, score, "sequence"
        step = STEP_BACK**ORDER
        rest = (entry for entry in self._popular(one) if entry[0] not in seen)
        for intent, score, reason in islice(rest, self._width(one) - len(seen)):
            least = min(least, score * step)
            yield intent, least, reason

    def _popular(self, one: Asked) -> Iterator[_Entry]:
        """Yield TopPop's list."""
        session = one.session
        found = self.toppop.listed(session.operator, session.line, first=one.first, width=self._width(one))
        return zip(*found, repeat("popular"), strict=False)

    def _width(self, one: Asked) -> int:
        """Return how many candidates there may be: the whole catalogue where rights may leave little of it."""
        catalogue = len(self.tokenizer.intents)
        return catalogue if one.request.rights is not None else min(CANDIDATES, catalogue)

    def _named(self, one: Asked, entries: Iterable[_Entry]) -> Iterator[Candidate]:
        """Yield the candidates that the operator may open; a list takes only as many as it shows."""
        names, rights = self.tokenizer.intents, one.request.rights
        for intent, score, reason in entries:
            if rights is None or names[intent] in rights:
                yield Candidate(names[intent], score, reason)

    def _answer(self, model_id: str, one: Asked, ranked: _Ranked) -> IntentAnswer:
        request = one.request
        operator = request.operator or ""
        shown = assemble(
            ranked.candidates,
            one.settings.lists,
            operator=operator,
            now=request.now,
            access=Access({} if request.rights is None else {operator: request.rights}, self.validity),
            opened=[str(row.name) for row in request.events if row.kind == INTENT],
            before=request.previous,
        )
        suggestions = [Suggestion(each.intent, each.score, each.reason) for each in shown]
        return IntentAnswer(model_id, _source(ranked.source, shown), ranked.degraded, suggestions)


def _source(model: Source, shown: list[Candidate]) -> Source:
    """Return whose list it is after rights, times and defaults: the simplest one where nothing else is left."""
    reasons = {each.reason for each in shown}
    if not reasons or "sequence" in reasons:
        return model
    return "toppop" if "popular" in reasons else "default"
