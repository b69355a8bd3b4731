"""From requests to answers: the line's model, what stands in for it, and the list on the screen."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from frontdesk.intent.columns import EVENT
from frontdesk.intent.configuration import Configuration, LineConfiguration
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.keys import window_of
from frontdesk.intent.lists import Access, Candidate, Reason, Validity, assemble
from frontdesk.intent.markov import MARKOV, Backoff, Found, MarkovTable, NextIntents, rank
from frontdesk.intent.requests import IntentAnswer, Source, Suggestion, SuggestionRequest
from frontdesk.intent.sessions import Session, live_session
from frontdesk.intent.tokens import Tokenizer
from frontdesk.intent.toppop import TopPop
from frontdesk.preprocessing.encoding import level

CANDIDATES = 60
"""Ranked for a list, so that rights and hidden intents leave enough of them."""
_WAIT_SECONDS = 0.05
"""For the network's memory; a request that would wait longer is answered by the Markov table."""


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
        self._nameless = itertools.count()

    def recommend(self, model_id: str, requests: Sequence[SuggestionRequest]) -> list[IntentAnswer]:
        """Answer requests; those for one model are computed together."""
        asked = [self._asked(request) for request in requests]
        by_model: dict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(asked):
            by_model[one.settings.model].append(place)
        answers: dict[int, IntentAnswer] = {}
        for model, places in by_model.items():
            some = [asked[place] for place in places]
            candidates, sources, degraded = self._candidates(model, some)
            for place, found, source in zip(places, candidates, sources, strict=True):
                answers[place] = self._answer(model_id, asked[place], found, source, degraded)
        return [answers[place] for place in range(len(asked))]

    def _asked(self, request: SuggestionRequest) -> _Asked:
        line = level(request.line)
        settings = self.configuration.of(line)
        rows = request.live_rows(self.tokenizer)
        if settings.context_events:
            allowed = set(settings.context_events)
            rows = [row for row in rows if row.kind != EVENT or (level(row.name) or "") in allowed]
        name = request.session if request.session is not None else f"\0{next(self._nameless)}"
        session = live_session(
            rows, self.tokenizer, session_id=name, operator=request.operator, line=line, now=request.moment
        )
        return _Asked(request, session, settings)

    def _candidates(self, model: str, asked: list[_Asked]) -> tuple[list[list[Candidate]], list[Source], bool]:
        """Return ranked candidates and the source of each request, and whether a simpler model stood in."""
        if model == "evgen":
            if (scores := self._network_scores([one.session for one in asked])) is not None:
                return self._ranked(scores), ["evgen"] * len(asked), False
            candidates, sources, _ = self._markov(asked)
            return candidates, sources, True
        if model == "markov":
            return self._markov(asked)
        return self._popular(asked), ["toppop"] * len(asked), False

    def _network_scores(self, sessions: list[Session]) -> np.ndarray | None:
        """Return probabilities float32 [N, K] of the next intent; None where the memory is busy for too long."""
        if not self._memory.acquire(timeout=_WAIT_SECONDS):
            return None
        try:
            scores = self.evgen.scores(sessions, live=self.live)
            for session in sessions:
                if session.session_id.startswith("\0"):
                    self.live.forget(session.session_id)
        finally:
            self._memory.release()
        return scores

    def _ranked(self, scores: np.ndarray) -> list[list[Candidate]]:
        width = min(CANDIDATES, scores.shape[1])
        best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        names = self.tokenizer.intents
        return [
            [Candidate(names[intent], float(scores[row, intent]), "sequence") for intent in line]
            for row, line in enumerate(best.tolist())
        ]

    def _markov(self, asked: list[_Asked]) -> tuple[list[list[Candidate]], list[Source], bool]:
        """Rank by the Markov tables, one look-up for all requests that read one table in one way."""
        intents, scores = self._rest(asked)
        groups: dict[tuple[str, Backoff], list[int]] = defaultdict(list)
        for row, one in enumerate(asked):
            groups[one.settings.markov_context, one.settings.backoff].append(row)
        found: dict[int, list[Candidate]] = {}
        sources: dict[int, Source] = {}
        degraded = False
        for (context, backoff), rows in groups.items():
            windows = [window_of(asked[row].session, intents_only=context == "intents") for row in rows]
            store: NextIntents = self.tables[context]
            if context == "all" and self.store is not None:
                store = _Observed(self.store)
            ranking = rank(store, np.concatenate(windows), (intents[rows], scores[rows]), intents.shape[1], backoff)
            degraded |= isinstance(store, _Observed) and store.degraded
            for place, row in enumerate(rows):
                reasons: list[Reason] = ["sequence" if s == MARKOV else "popular" for s in ranking.sources[place]]
                found[row] = self._named(ranking.intents[place], ranking.scores[place], reasons)
                sources[row] = "markov" if "sequence" in reasons else "toppop"
        return [found[row] for row in range(len(asked))], [sources[row] for row in range(len(asked))], degraded

    def _popular(self, asked: list[_Asked]) -> list[list[Candidate]]:
        intents, scores = self._rest(asked)
        return [self._named(intents[row], scores[row], ["popular"] * intents.shape[1]) for row in range(len(asked))]

    def _rest(self, asked: list[_Asked]) -> tuple[np.ndarray, np.ndarray]:
        operators = np.array([one.session.operator for one in asked])
        lines = np.array([one.session.line for one in asked])
        first = np.array([one.first for one in asked])
        return self.toppop.rank(operators, lines, first, min(CANDIDATES, len(self.tokenizer.intents)))

    def _named(self, intents: np.ndarray, scores: np.ndarray, reasons: list[Reason]) -> list[Candidate]:
        names = self.tokenizer.intents
        return [
            Candidate(names[intent], score, reason)
            for intent, score, reason in zip(intents.tolist(), scores.tolist(), reasons, strict=True)
            if intent >= 0
        ]

    def _answer(
        self, model_id: str, one: _Asked, candidates: list[Candidate], source: Source, degraded: bool
    ) -> IntentAnswer:
        request = one.request
        operator = level(request.operator) or ""
        rights = {} if request.rights is None else {operator: frozenset(request.rights)}
        opened = [self.tokenizer.intents[intent] for intent in one.session.intents.tolist() if intent >= 0]
        shown = assemble(
            candidates,
            one.settings.lists,
            operator=operator,
            now=request.moment,
            access=Access(rights, self.validity),
            opened=opened,
            before=request.previous,
        )
        if shown and all(each.reason == "line_default" for each in shown):
            source = "default"
        return IntentAnswer(
            model_id=model_id,
            source=source,
            degraded=degraded,
            intents=[Suggestion(id=each.intent, score=each.score, reason=each.reason) for each in shown],
        )
