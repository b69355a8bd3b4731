"""TopPop: what an operator of a line opens most, for a session that says nothing yet.

Shares of an (operator, line) are smoothed with the line's, and those with the desk's, by a Dirichlet prior at each step
(MacKay and Peto 1995): an operator with few sessions looks like the line, and grows apart with every session. How
strong a prior is, the data say: desks differ in how much an operator's habits matter. The first intent of a session is
counted apart from the later ones, because sessions begin with other procedures than they go on with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from frontdesk.intent.sessions import SessionSet
from frontdesk.intent.tokens import Tokenizer

PRIORS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1000.0)
"""Opened intents that a prior may be worth."""
KEPT = 30
"""Intents kept for an operator in a line; the line's list goes on to the whole catalogue."""
_CELLS_AT_ONCE = 1_000_000
FIRST, LATER = 0, 1


@dataclass(frozen=True)
class TopPop:
    """Ranked intents; axis 0 of every array but `pairs` is the phase, `FIRST` or `LATER`.

    Attributes:
        pairs: int64 [P], operator id * lines + line id, ascending.
        pair_intents, pair_scores: int32, float32 [2, P, K].
        line_intents, line_scores: int32, float32 [2, L, I]: the whole catalogue.
        desk_intents, desk_scores: int32, float32 [2, I].
    """

    pairs: np.ndarray
    pair_intents: np.ndarray
    pair_scores: np.ndarray
    line_intents: np.ndarray
    line_scores: np.ndarray
    desk_intents: np.ndarray
    desk_scores: np.ndarray

    @classmethod
    def fit(cls, sessions: SessionSet, tokenizer: Tokenizer) -> TopPop:
        """Count training's opened intents."""
        lines, intents = len(tokenizer.lines), len(tokenizer.intents)
        used = sessions.is_target & (sessions.intents >= 0) & (sessions.lines >= 0) & (sessions.operators >= 0)
        pairs = np.unique((sessions.operators.astype(np.int64) * lines + sessions.lines)[used])
        phases = [_fit_phase(sessions, rows, pairs, lines, intents) for rows in _phases(sessions)]
        return cls(pairs, *(np.stack(parts) for parts in zip(*phases, strict=True)))

    def rank(
        self, operators: np.ndarray, lines: np.ndarray, first: np.ndarray, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return intents and their shares for N requests, int32 and float32 [N, width], best first.

        An operator that training never saw in the line gets the line's list, an unknown line the desk's.

        Args:
            operators, lines: ids [N], `UNSEEN` for unknown ones.
            first: no intent is open yet, bool [N].
            width: at most the catalogue's size.
        """
        phase = np.where(first, FIRST, LATER)
        count = self.line_intents.shape[1]  # lines
        found, scores = self.desk_intents[phase, :width], self.desk_scores[phase, :width]
        known = lines >= 0
        found[known] = self.line_intents[phase[known], lines[known], :width]
        scores[known] = self.line_scores[phase[known], lines[known], :width]
        if len(self.pairs):
            key = operators.astype(np.int64) * count + lines
            place = np.minimum(np.searchsorted(self.pairs, key), len(self.pairs) - 1)
            own = known & (operators >= 0) & (self.pairs[place] == key)
            kept = min(width, self.pair_intents.shape[2])
            if width > kept:
                return self._long(found, scores, own, place, phase, width)
            found[own] = self.pair_intents[phase[own], place[own], :width]
            scores[own] = self.pair_scores[phase[own], place[own], :width]
        return found, scores

    def listed(self, operator: int, line: int, *, first: bool, width: int) -> tuple[list[int], list[float]]:
        """Return what `rank` does for one request, in plain values: arrays of one row cost more than the look-up."""
        phase = FIRST if first else LATER
        if line < 0:
            return self.desk_intents[phase, :width].tolist(), self.desk_scores[phase, :width].tolist()
        key = operator * self.line_intents.shape[1] + line
        place = int(self.pairs.searchsorted(key)) if operator >= 0 else len(self.pairs)
        if place == len(self.pairs) or int(self.pairs[place]) != key:
            return self.line_intents[phase, line, :width].tolist(), self.line_scores[phase, line, :width].tolist()
        if width > self.pair_intents.shape[2]:
            who = np.array([operator]), np.array([line]), np.array([first])
            intents, scores = self.rank(*who, width)
            return intents[0].tolist(), scores[0].tolist()
        return self.pair_intents[phase, place, :width].tolist(), self.pair_scores[phase, place, :width].tolist()

    def _long(
        self, found: np.ndarray, scores: np.ndarray, own: np.ndarray, place: np.ndarray, phase: np.ndarray, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Put an operator's own list before the rest of the line's, for lists longer than `KEPT`."""
        for row in np.flatnonzero(own):
            mine = self.pair_intents[phase[row], place[row]]
            rest = ~np.isin(found[row], mine)
            least = self.pair_scores[phase[row], place[row], -1]
            scores[row] = np.append(self.pair_scores[phase[row], place[row]], np.minimum(scores[row][rest], least))[
                :width
            ]
            found[row] = np.append(mine, found[row][rest])[:width]
        return found, scores

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for `mapped.write_arrays`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TopPop:
        """Build from what `arrays` returned."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def is_first(sessions: SessionSet, rows: np.ndarray) -> np.ndarray:
    """Return whether no intent lies before a row in its session, bool [N]."""
    before = np.concatenate([[0], np.cumsum(sessions.is_intent)])
    return np.asarray(before[rows] == before[sessions.offsets[sessions.session_of[rows]]])


def _phases(sessions: SessionSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of first and of later targets."""
    rows = np.flatnonzero(sessions.is_target & (sessions.intents >= 0))
    first = is_first(sessions, rows)
    return rows[first], rows[~first]


def _fit_phase(
    sessions: SessionSet, rows: np.ndarray, pairs: np.ndarray, lines: int, intents: int
) -> tuple[np.ndarray, ...]:
    what, line, operator = sessions.intents[rows], sessions.lines[rows], sessions.operators[rows]
    desk = np.bincount(what, minlength=intents) / max(len(rows), 1)
    in_line = line >= 0
    prior = _prior(line[in_line], what[in_line], desk[what[in_line]])
    counts = np.zeros((lines, intents))
    np.add.at(counts, (line[in_line], what[in_line]), 1)
    share = (counts + prior * desk) / (counts.sum(1, keepdims=True) + prior)
    known = in_line & (operator >= 0)
    place, done = np.searchsorted(pairs, operator[known].astype(np.int64) * lines + line[known]), what[known]
    prior = _prior(place, done, share[line[known], done])
    kept = min(KEPT, intents)
    found, scores = np.zeros((len(pairs), kept), np.int32), np.zeros((len(pairs), kept), np.float32)
    step = max(1, _CELLS_AT_ONCE // max(intents, 1))
    for begin in range(0, len(pairs), step):
        end = min(begin + step, len(pairs))
        inside = (place >= begin) & (place < end)
        own = np.zeros((end - begin, intents))
        np.add.at(own, (place[inside] - begin, done[inside]), 1)
        mixed = (own + prior * share[pairs[begin:end] % lines]) / (own.sum(1, keepdims=True) + prior)
        found[begin:end], scores[begin:end] = _ranked(mixed, kept)
    return found, scores, *_ranked(share, intents), *(part[0] for part in _ranked(desk[None], intents))


def _prior(groups: np.ndarray, what: np.ndarray, base: np.ndarray) -> float:
    """Return the strength under which every opened intent is likeliest given all the others (leave-one-out).

    Args:
        groups, what: the group and the intent of each opened intent, [N].
        base: the share that the prior gives it, [N].
    """
    if not len(what):
        return PRIORS[0]
    pairs = groups.astype(np.int64) * (int(what.max()) + 1) + what
    same, of_group = (np.unique(each, return_inverse=True, return_counts=True)[1:] for each in (pairs, groups))
    others, size = same[1][same[0]] - 1, of_group[1][of_group[0]] - 1
    return max(PRIORS, key=lambda prior: float(np.log((others + prior * base) / (size + prior)).sum()))


def _ranked(shares: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-shares, axis=1, kind="stable")[:, :keep]
    return order.astype(np.int32), np.take_along_axis(shares, order, 1).astype(np.float32)
