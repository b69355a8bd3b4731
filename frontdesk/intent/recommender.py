"""From requests to answers: the line's model, what stands in for it, and the list on the screen."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from frontdesk.intent.columns import EVENT, INTENT
from frontdesk.intent.configuration import Configuration, LineConfiguration
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.keys import window_of
from frontdesk.intent.lists import Access, Candidate, Reason, Validity, assemble
from frontdesk.intent.markov import MARKOV, Backoff, Found, MarkovTable, NextIntents, rank
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


class _Observed:
    """A guarded store as a plain one that remembers whether it fell back."""

    def __init__(self, store: GuardedStore) -> None:
        self._store, self.degraded = store, False

    def look_up(self, keys: np.ndarray) -> Found:
        answer = self._store.ask(keys)
        self.degraded |= answer.degraded
        return answer.found


@dataclass(frozen=True)
class _Asked:
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
        evgen: the network with its counts.
        tables: the Markov tables by context: ``all`` rows, or ``intents`` only.
        toppop: for sessions that say nothing yet, and to fill lists.
        validity: when procedures may be opened.
        store: a table shared by several servers in place of ``tables["all"]``, with that one behind it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        configuration: Configuration,
        evgen: EvGen,
        tables: dict[str, MarkovTable],
        toppop: TopPop,
        validity: dict[str, Validity],
        store: GuardedStore | None = None,
    ) -> None:
        self.tokenizer, self.configuration = tokenizer, configuration
        self.evgen, self.tables, self.toppop, self.validity = evgen, tables, toppop, validity
        self.store = store
        self.live = evgen.live()
        self._memory = threading.Lock()

    def recommend(self, model_id: str, requests: Sequence[SuggestionRequest]) -> list[IntentAnswer]:
        """Answer requests; those for one model are computed together."""
        asked = [self._asked(request) for request in requests]
        by_model: dict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(asked):
            by_model[one.settings.model].append(place)
        answers: dict[int, IntentAnswer] = {}
        for model, places in by_model.items():
            some = [asked[place] for place in places]
            for place, ranked in zip(places, self._rank(model, some), strict=True):
                answers[place] = self._answer(model_id, asked[place], ranked)
        return [answers[place] for place in range(len(asked))]

    def _asked(self, request: SuggestionRequest) -> _Asked:
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
        )
        return _Asked(request, session, settings)

    def _rank(self, model: str, asked: list[_Asked]) -> list[_Ranked]:
        if model == "toppop":
            intents, scores = self._popular(asked)
            return [
                _Ranked(self._named(one, intents[row], scores[row], None), "toppop") for row, one in enumerate(asked)
            ]
        scored = self._network_scores(asked) if model == "evgen" else [None] * len(asked)
        left = [row for row, scores in enumerate(scored) if scores is None]
        markov = dict(zip(left, self._markov([asked[row] for row in left], model == "evgen"), strict=True))
        return [
            markov[row] if scores is None else _Ranked(self._best(asked[row], scores), "evgen")
            for row, scores in enumerate(scored)
        ]

    def _network_scores(self, asked: list[_Asked]) -> list[np.ndarray | None]:
        """Return shares float32 [K] of the next intent for each request; None where the memory is busy for too long."""
        scores: list[np.ndarray | None] = [None] * len(asked)
        named = [row for row, one in enumerate(asked) if one.request.session is not None]
        for begin in range(0, len(named), _AT_ONCE):
            if begin:
                time.sleep(0)  # whoever waits for the memory comes first
            if self._memory.acquire(timeout=_WAIT_SECONDS):
                rows = named[begin : begin + _AT_ONCE]
                try:
                    found = self.evgen.scores([asked[row].session for row in rows], live=self.live)
                finally:
                    self._memory.release()
                for row, shares in zip(rows, found, strict=True):
                    scores[row] = shares
        nameless = [row for row, one in enumerate(asked) if one.request.session is None]
        for begin in range(0, len(nameless), _AT_ONCE):  # remembered for as long as they are read
            rows = nameless[begin : begin + _AT_ONCE]
            sessions = [replace(asked[row].session, session_id=str(row)) for row in rows]
            found = self.evgen.scores(sessions, live=self.evgen.live(len(rows)))
            for row, shares in zip(rows, found, strict=True):
                scores[row] = shares
        return scores

    def _best(self, one: _Asked, shares: np.ndarray) -> Iterator[Candidate]:
        order = np.argsort(-shares, kind="stable")
        if one.request.rights is None:
            order = order[:CANDIDATES]
        return self._named(one, order, shares[order], np.full(len(order), MARKOV))

    def _markov(self, asked: list[_Asked], degraded: bool) -> list[_Ranked]:
        """Rank by the Markov tables, one look-up for all requests that read one table in one way."""
        if not asked:
            return []
        intents, scores = self._popular(asked)
        groups: dict[tuple[str, Backoff], list[int]] = defaultdict(list)
        for row, one in enumerate(asked):
            groups[one.settings.markov_context, one.settings.backoff].append(row)
        ranked: dict[int, _Ranked] = {}
        for (context, backoff), rows in groups.items():
            windows = [window_of(asked[row].session, intents_only=context == "intents") for row in rows]
            store: NextIntents = self.tables[context]
            if context == "all" and self.store is not None:
                store = _Observed(self.store)
            found = rank(store, np.concatenate(windows), (intents[rows], scores[rows]), intents.shape[1], backoff)
            older = degraded or (isinstance(store, _Observed) and store.degraded)
            for place, row in enumerate(rows):
                named = self._named(asked[row], found.intents[place], found.scores[place], found.sources[place])
                ranked[row] = _Ranked(named, "markov", older)
        return [ranked[row] for row in range(len(asked))]

    def _popular(self, asked: list[_Asked]) -> tuple[np.ndarray, np.ndarray]:
        """Return TopPop's intents and scores, [N, W]: the whole catalogue where rights may leave little of it."""
        operators = np.array([one.session.operator for one in asked])
        lines = np.array([one.session.line for one in asked])
        first = np.array([one.first for one in asked])
        catalogue = len(self.tokenizer.intents)
        few = any(one.request.rights is not None for one in asked)
        return self.toppop.rank(operators, lines, first, catalogue if few else min(CANDIDATES, catalogue))

    def _named(
        self, one: _Asked, intents: np.ndarray, scores: np.ndarray, sources: np.ndarray | None
    ) -> Iterator[Candidate]:
        """Yield the candidates that the operator may open; a list takes only as many as it shows."""
        names, rights = self.tokenizer.intents, one.request.rights
        for place, intent in enumerate(intents.tolist()):
            if intent >= 0 and (rights is None or names[intent] in rights):
                reason: Reason = "sequence" if sources is not None and sources[place] == MARKOV else "popular"
                yield Candidate(names[intent], float(scores[place]), reason)

    def _answer(self, model_id: str, one: _Asked, ranked: _Ranked) -> IntentAnswer:
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
        # Built unchecked: these values are ours.
        return IntentAnswer.model_construct(
            model_id=model_id,
            source=_source(ranked.source, shown),
            degraded=ranked.degraded,
            intents=[
                Suggestion.model_construct(id=each.intent, score=each.score, reason=each.reason) for each in shown
            ],
        )


def _source(model: Source, shown: list[Candidate]) -> Source:
    """Return whose list it is after rights, times and defaults: the simplest one where nothing else is left."""
    reasons = {each.reason for each in shown}
    if not reasons or "sequence" in reasons:
        return model
    return "toppop" if "popular" in reasons else "default"
