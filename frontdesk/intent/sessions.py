"""Sessions as arrays: one columnar form for training, evaluation and a request.

A row's operator and line are those of the moment: who sits in front of the screen when the row comes, and so who is
asked *before* it. A model that predicts the intent of row t may use ``operators[t]`` and ``lines[t]`` (the request
carries them) and every token before t, and nothing of row t itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from frontdesk.errors import EmptyTable
from frontdesk.intent.columns import FIELD_PREFIX, INTENT, IntentColumns
from frontdesk.intent.tokens import FIELD_CHARACTERS, FIRST_TOKEN, UNKNOWN_INTENT, UNSEEN, Tokenizer
from frontdesk.preprocessing.encoding import level

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
NO_FEATURES: Mapping[str, Any] = MappingProxyType({})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Session:
    """One session, or the part of it that a request knows.

    Attributes:
        session_id: as the desk calls it.
        operator, line: ids of who asks now; `UNSEEN` for one that training never saw.
        start: the first row's time, microseconds since 1970 (UTC).
        tokens: int32 [n], oldest first.
        is_intent: bool [n].
        intents: int32 [n], id in the catalogue; `UNSEEN` for events and for intents outside it.
        times: int64 [n], microseconds, ascending.
        features: level of each of the tokeniser's features, of who asks now.
    """

    session_id: str
    operator: int
    line: int
    start: int
    tokens: np.ndarray
    is_intent: np.ndarray
    intents: np.ndarray
    times: np.ndarray
    features: tuple[int, ...] = ()

    def head(self, rows: int) -> Session:
        """Return the session with its first rows only."""
        parts = {name: getattr(self, name)[:rows] for name in ("tokens", "is_intent", "intents", "times")}
        return replace(self, **parts)

    @property
    def weekday(self) -> int:
        """Weekday of the start in UTC, Monday 0."""
        return int(weekdays(np.array([self.start]))[0])

    @property
    def hour(self) -> int:
        """Hour of the start in UTC, 0-23."""
        return int(hours(np.array([self.start]))[0])


@dataclass(frozen=True)
class SessionSet:
    """S sessions with T tokens together, session after session, in the order of their starts (ties: file order).

    Attributes:
        session_ids: S names.
        offsets: int64 [S + 1]; session s is the rows ``offsets[s]:offsets[s + 1]``.
        tokens: int32 [T], ids of `Tokenizer`.
        is_intent: bool [T].
        is_target: bool [T]; an opened intent that did not end in an error: what a model learns to predict.
        intents: int32 [T], id in the catalogue; `UNSEEN` (-1) for events and for intents that training never saw.
        times: int64 [T], microseconds since 1970 (UTC), ascending within a session.
        operators, lines: int32 [T]; `UNSEEN` where training never saw them.
        option_offsets, options: int64 [T + 1] and int32 flat: the suggestions that were shown at a row, best first, as
            intent ids; empty where nothing was logged.
        features: int32 [T, F], levels of the tokeniser's features, as a request before the row could know them.
    """

    session_ids: tuple[str, ...]
    offsets: np.ndarray
    tokens: np.ndarray
    is_intent: np.ndarray
    is_target: np.ndarray
    intents: np.ndarray
    times: np.ndarray
    operators: np.ndarray
    lines: np.ndarray
    option_offsets: np.ndarray
    options: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.session_ids)

    def __getitem__(self, place: int) -> Session:
        """Return one whole session; its operator and line are those of its first row."""
        begin, end = int(self.offsets[place]), int(self.offsets[place + 1])
        rows = slice(begin, end)
        return Session(
            self.session_ids[place],
            int(self.operators[begin]),
            int(self.lines[begin]),
            int(self.times[begin]),
            self.tokens[rows],
            self.is_intent[rows],
            self.intents[rows],
            self.times[rows],
            tuple(self.features[begin].tolist()),
        )

    def __iter__(self) -> Iterator[Session]:
        return (self[place] for place in range(len(self)))

    @property
    def starts(self) -> np.ndarray:
        """Time of each session's first row, int64 [S], microseconds."""
        return np.asarray(self.times[self.offsets[:-1]])

    @property
    def weekday(self) -> np.ndarray:
        """Weekday of each session's start in UTC, int8 [S], Monday 0."""
        return weekdays(self.starts)

    @property
    def hour(self) -> np.ndarray:
        """Hour of each session's start in UTC, int8 [S]."""
        return hours(self.starts)

    @property
    def session_of(self) -> np.ndarray:
        """Place of each row's session, int64 [T]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def take(self, first: int, last: int) -> SessionSet:
        """Return the sessions ``first:last``, sharing the arrays."""
        a, b = int(self.offsets[first]), int(self.offsets[last])
        low, high = int(self.option_offsets[a]), int(self.option_offsets[b])
        return SessionSet(
            self.session_ids[first:last],
            self.offsets[first : last + 1] - a,
            self.tokens[a:b],
            self.is_intent[a:b],
            self.is_target[a:b],
            self.intents[a:b],
            self.times[a:b],
            self.operators[a:b],
            self.lines[a:b],
            self.option_offsets[a : b + 1] - low,
            self.options[low:high],
            self.features[a:b],
        )


def weekdays(times: np.ndarray) -> np.ndarray:
    """Return the weekday in UTC of times in microseconds, int8, Monday 0 (1970 began on a Thursday)."""
    return np.asarray((times // _DAY + 3) % 7, np.int8)


def hours(times: np.ndarray) -> np.ndarray:
    """Return the hour in UTC of times in microseconds, int8."""
    return np.asarray(times // _HOUR % 24, np.int8)


def usable_rows(rows: pa.Table, columns: IntentColumns) -> pa.Table:
    """Leave out the sessions without any opened intent that did not end in an error.

    Raises:
        EmptyTable: none is left.
    """
    good = pc.equal(rows["kind"], INTENT)
    if columns.status is not None:
        good = pc.and_(good, pc.invert(_failed(rows, columns)))
    kept = rows.filter(pc.is_in(rows["session"], value_set=pc.unique(rows["session"].filter(good))))
    if not kept.num_rows:
        raise EmptyTable("no session has an opened intent that did not end in an error")
    return kept


def temporal_split(rows: pa.Table, share: float = 0.2) -> np.ndarray:
    """Split whole sessions at one moment: the last ``share`` of them by their start are the test set.

    Ties go by file order. A split inside sessions, or by chance, would train on the future of what it tests.

    Returns:
        The test rows, bool [N].
    """
    codes, starts, first = _starts(rows)
    order = np.lexsort((first, starts))
    train = min(max(int(len(order) * (1 - share) + 1e-9), 1), max(len(order) - 1, 1))
    test = np.ones(len(order), bool)
    test[order[:train]] = False
    return np.asarray(test[codes])


def session_set(rows: pa.Table, tokenizer: Tokenizer, columns: IntentColumns) -> SessionSet:
    """Turn rows (schema of `columns.schema_of`, file order) into arrays.

    Within a session rows go by time, ties by file order; an equal row delivered twice counts once
    (`Tokenizer.one_delivery`).
    """
    codes, starts, first = _starts(rows)
    rank = np.empty(len(starts), np.int64)
    rank[np.lexsort((first, starts))] = np.arange(len(starts))
    times = rows["timestamp"].cast(pa.int64()).to_numpy()
    tokens = tokenizer.tokens(rows)
    is_intent = pc.equal(rows["kind"], INTENT).to_numpy()
    names = rows["name"].combine_chunks().dictionary_encode()
    order = np.lexsort((times, rank[codes]))
    if tokenizer.one_delivery:
        what = [is_intent, names.indices.to_numpy()]
        what += [_codes(rows[name]) for name in rows.column_names if name.startswith(FIELD_PREFIX)]
        order = order[_first_deliveries(rank[codes][order], times[order], [each[order] for each in what])]
    failed = _failed(rows, columns).to_numpy() if columns.status is not None else np.zeros(len(codes), bool)
    is_intent, tokens, failed = is_intent[order], tokens[order], failed[order]
    intents = np.where(is_intent & (tokens != UNKNOWN_INTENT), tokens - FIRST_TOKEN, UNSEEN).astype(np.int32)
    option_offsets, options = _options(rows, order, tokenizer, columns)
    lengths = np.bincount(rank[codes[order]], minlength=len(starts))
    ids = pc.unique(rows["session"]).to_pylist()
    return SessionSet(
        tuple(ids[place] for place in np.argsort(rank)),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        tokens,
        is_intent,
        is_intent & ~failed,
        intents,
        times[order],
        _known(rows["operator"], tokenizer.operator_ids)[order],
        _known(rows["line"], tokenizer.line_ids)[order],
        option_offsets,
        options,
        tokenizer.feature_columns(rows)[order],
    )


def _failed(rows: pa.Table, columns: IntentColumns) -> pa.ChunkedArray:
    return pc.is_in(rows["status"], value_set=pa.array(columns.error_values, pa.string()))


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Return int64 [N]: equal values have equal codes, by first appearance; null is -1."""
    indices = column.combine_chunks().dictionary_encode().indices
    return np.asarray(indices.fill_null(-1).to_numpy(), np.int64)


def _starts(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each row's session code [N], and per session its start and its first row in the file [S]."""
    codes = _codes(rows["session"])
    times = rows["timestamp"].cast(pa.int64()).to_numpy()
    sessions = int(codes.max()) + 1 if len(codes) else 0
    starts = np.full(sessions, np.iinfo(np.int64).max)
    np.minimum.at(starts, codes, times)
    return codes, starts, np.unique(codes, return_index=True)[1]


def _first_deliveries(session: np.ndarray, times: np.ndarray, what: Sequence[np.ndarray]) -> np.ndarray:
    """Return bool [N]: the first of equal rows. Rows are sorted by session, then time, then file order."""
    order = np.lexsort((np.arange(len(times)), *what, times, session))
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in (session, times, *what):
        same &= column[order][1:] == column[order][:-1]
    first = np.ones(len(order), bool)
    first[order[1:]] = ~same
    return first


def _known(column: pa.ChunkedArray, ids: dict[str, int]) -> np.ndarray:
    encoded = column.combine_chunks().dictionary_encode()
    table = np.array([*(ids.get(name, UNSEEN) for name in encoded.dictionary.to_pylist()), UNSEEN], np.int32)
    return np.asarray(table[encoded.indices.fill_null(-1).to_numpy()])


def _options(
    rows: pa.Table, order: np.ndarray, tokenizer: Tokenizer, columns: IntentColumns
) -> tuple[np.ndarray, np.ndarray]:
    if columns.options is None:
        return np.zeros(len(order) + 1, np.int64), np.zeros(0, np.int32)
    shown = rows["options"].combine_chunks().take(pa.array(order)).dictionary_encode()
    ids = tokenizer.intent_ids
    parsed = [
        [ids.get(part.strip(), UNSEEN) for part in text.split(columns.options_separator)]
        for text in shown.dictionary.to_pylist()
    ]
    lists = [parsed[code] if code >= 0 else [] for code in shown.indices.fill_null(-1).to_pylist()]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    return offsets, np.array([intent for each in lists for intent in each], np.int32)


class LiveRow(NamedTuple):
    """One row as the operator's screen sends it: values of any type, as JSON brings them."""

    timestamp: datetime
    kind: str
    name: Any
    fields: dict[str, Any]


def live_session(
    rows: Sequence[LiveRow],
    tokenizer: Tokenizer,
    *,
    session_id: str,
    operator: Any,
    line: Any,
    now: datetime,
    features: Mapping[str, Any] = NO_FEATURES,
) -> Session:
    """Tokenise the session so far exactly as training does: any order of arrival, rows delivered twice.

    Args:
        rows: in the order of arrival; equal time stamps keep it.
        tokenizer: the bundle's.
        session_id, operator, line: of the request.
        now: the start of a session that has no row yet.
        features: values of the tokeniser's features; what is left out is missing.
    """
    seen: set[tuple[Any, ...]] = set()
    known: list[tuple[int, bool, int, int]] = []
    once, names, token_of, intent_of = (
        tokenizer.one_delivery,
        tokenizer.fields,
        tokenizer.token,
        tokenizer.intent_ids.get,
    )
    for moment, kind, name, fields in rows:
        text = level(name) or ""
        full = [level(fields.get(field)) or "" for field in names] if fields else [""] * len(names)
        stamp = _microseconds(moment)
        if once:
            before = len(seen)
            seen.add((stamp, kind, text, *full))
            if len(seen) == before:
                continue
        token = token_of(kind, text, [value[:FIELD_CHARACTERS] for value in full])
        is_intent = kind == INTENT
        known.append((stamp, is_intent, token, intent_of(text, UNSEEN) if is_intent else UNSEEN))
    known.sort(key=itemgetter(0))
    times, are_intents, tokens, intents = zip(*known, strict=True) if known else ((), (), (), ())
    return Session(
        session_id,
        tokenizer.operator_ids.get(level(operator) or "", UNSEEN),
        tokenizer.line_ids.get(level(line) or "", UNSEEN),
        times[0] if times else _microseconds(now),
        np.array(tokens, np.int32),
        np.array(are_intents, bool),
        np.array(intents, np.int32),
        np.array(times, np.int64),
        tokenizer.feature_levels(features),
    )


def _microseconds(moment: datetime) -> int:
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
