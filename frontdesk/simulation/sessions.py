"""Seeded sessions of operators with known truth: procedures opened one after the other, and what is clicked between.

Learnable but not trivial: errands are graphs with shares, clicks hint at the next procedure, operators have habits,
the mix of errands follows weekday and hour, some procedures begin only later, the same one is opened again, wrong ones
are clicked (some end in an error), and a mediocre list of suggestions is shown. All seeds share one world (`errands`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.errors import UsageError
from frontdesk.intent.columns import EVENT, INTENT
from frontdesk.simulation.errands import CLICKS, ENDING, LINES, SHARED, Line, words_of, world
from frontdesk.simulation.tickets import write

__all__ = ["SCHEMA", "simulate", "write"]

DEMO_ROWS = 20_000
DEMO_PARAMETERS = ("width=32", "epochs=4")
DEMO_QUESTION: dict[str, Any] = {
    "session": "demo",
    "operator": "no operator that training knows",
    "line": "cards",
    "events": [],
}
DRIFTS = ("newcomers", "procedures")
"""``newcomers``: half of the sessions of the second half are new operators'. ``procedures``: half of the procedures get
new names there."""
DRIFT_BEGINS = 0.5
OPERATORS = 60
WRONG_CLICK, REPEAT, HINT, ONLY_ERROR = 0.05, 0.10, 0.65, 0.02
SHOWN = 4
FIRST = datetime(2025, 3, 3, tzinfo=UTC)
DAYS = 28
_LONGEST = 25
_NEWCOMERS, _NEWCOMERS_FROM = 6, 0.85

SCHEMA = pa.schema(
    [
        ("session_id", pa.string()),
        ("operator", pa.string()),
        ("line", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("element", pa.string()),
        ("text", pa.string()),
        ("status", pa.string()),
        ("options_shown", pa.string()),
    ]
)
"""Columns of a simulated table: those of `frontdesk.intent.columns.DEFAULT_INTENT_COLUMNS`."""


def simulate(rows: int, seed: int = 0, drift: str | None = None, *, truth: bool = False) -> pa.Table:
    """Return sessions in the order of their starts, row after row; the last one may be cut.

    Args:
        rows: how many rows: opened procedures and events together.
        seed: two calls with the same arguments return the same table.
        drift: one of `DRIFTS`; None for none. Sessions that begin before `DRIFT_BEGINS` are the same with and without.
        truth: add `true_errand`, the procedure that the session's errand begins with.

    Raises:
        UsageError: fewer than one row, or an unknown drift.
    """
    if drift is not None and drift not in DRIFTS:
        raise UsageError(f"there is no drift {drift!r} of sessions", remedy=f"Drifts: {', '.join(DRIFTS)}")
    sessions = _drawn(rows, np.random.default_rng(seed), _nothing)
    table = _table(sessions, rows, seed, drift)
    return table if truth else table.drop_columns("true_errand")


Cause = Callable[[str, datetime], tuple[int, float] | None]
"""What happens on a line at a moment: which of its errands clients then call for, and in which share of the sessions;
None where nothing is out of the ordinary."""


def simulate_with(rows: int, seed: int, cause: Cause) -> pa.Table:
    """Return sessions as `simulate` does, in which something happens at times, with `true_errand`."""
    return _table(_drawn(rows, np.random.default_rng(seed), cause), rows, seed, None)


def _nothing(line: str, when: datetime) -> tuple[int, float] | None:
    return None


def _drawn(rows: int, rng: np.random.Generator, cause: Cause) -> list[_Session]:
    """Return sessions of at least so many rows, by their starts."""
    if rows < 1:
        raise UsageError(f"{rows} rows cannot be simulated", remedy="Ask for at least one")
    lines = world()
    sessions: list[_Session] = []
    made = 0
    while made < rows:
        session = _Session(rng, lines, cause)
        sessions.append(session)
        made += len(session.rows)
    return sorted(sessions, key=lambda each: each.start)


def _table(sessions: list[_Session], rows: int, seed: int, drift: str | None) -> pa.Table:
    """Return the first rows of sessions, with `true_errand`."""
    records = [
        (
            f"S{seed}-{place:06d}",
            _operator(session, place, drift),
            session.line.name,
            *_row(row, session, drift),
            session.errand,
        )
        for place, session in enumerate(sessions)
        for row in session.rows
    ][:rows]
    schema = SCHEMA.append(pa.field("true_errand", pa.string()))
    columns = [
        pa.array(list(values), field.type) for values, field in zip(zip(*records, strict=True), schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _operator(session: _Session, place: int, drift: str | None) -> str:
    joined = drift == "newcomers" and session.share >= DRIFT_BEGINS and place % 2
    return f"new-{session.operator}" if joined else session.operator


def _row(row: _Row, session: _Session, drift: str | None) -> _Row:
    when, kind, name, element, text, status, options = row
    renamed = drift == "procedures" and session.share >= DRIFT_BEGINS and sum(map(ord, name)) % 2
    return (when, kind, f"{name}-2", element, text, status, options) if kind == INTENT and renamed else row


def moment(rng: np.random.Generator) -> datetime:
    """Draw a session's start: few at night and at the weekend, most around eleven and four."""
    while True:
        day, hour = int(rng.integers(DAYS)), int(rng.integers(24))
        busy = 0.08 + np.exp(-(((hour - 11) / 3) ** 2)) + 0.8 * np.exp(-(((hour - 16) / 2.5) ** 2))
        if rng.random() < busy / 1.2 * (0.35 if day % 7 >= 5 else 1.0):
            seconds = day * 86_400 + hour * 3_600 + rng.random() * 3_600
            return datetime.fromtimestamp(FIRST.timestamp() + round(seconds, 3), UTC)


_Row = tuple[datetime, str, str, str | None, str | None, str | None, str | None]


class _Session:
    """One session: its operator, line, errand, and rows (time, kind, name, element, text, status, options)."""

    def __init__(self, rng: np.random.Generator, lines: dict[str, Line], cause: Cause) -> None:
        self._rng = rng
        self.start = moment(rng)
        self.share = (self.start - FIRST).total_seconds() / (DAYS * 86_400)
        number = int(OPERATORS * rng.random() ** 1.5)
        if number >= OPERATORS - _NEWCOMERS and self.share < _NEWCOMERS_FROM:
            number -= OPERATORS // 2
        self.operator = f"operator-{number:02d}"
        names = list(lines)
        home = names[number % len(names)]
        shares = np.array(list(LINES.values()))
        self.line = lines[home if rng.random() < 0.8 else str(rng.choice(names, p=shares / shares.sum()))]
        self.errand = self._draw_errand(number)
        happens = cause(self.line.name, self.start)
        if happens is not None and rng.random() < happens[1]:
            self.errand = list(self.line.errands)[happens[0]]
        self.rows: list[_Row] = []
        self._clock = self.start.timestamp()
        self._walk()

    def _draw_errand(self, number: int) -> str:
        """Draw why the client calls: by the line's shares, turned by weekday, hour and the operator's habit."""
        starts: list[str] = list(self.line.errands)
        weights = np.roll(self.line.weights, 2 if self.start.weekday() >= 5 else int(self.start.hour >= 15))
        weights[number % len(starts)] *= 2.5
        return starts[int(self._rng.choice(len(starts), p=weights / weights.sum()))]

    def _walk(self) -> None:
        graph = self.line.errands[self.errand]
        failed = bool(self._rng.random() < ONLY_ERROR)
        procedure = self.errand
        if self._rng.random() < 0.5:
            self._open(SHARED[0], "error" if failed else "ok")
        while len(self.rows) < _LONGEST:
            self._clicks(procedure)
            if self._rng.random() < WRONG_CLICK:
                wrong = str(self._rng.choice(self.line.procedures))
                self._open(wrong, "error" if failed or self._rng.random() < 0.5 else "ok")
                self._clicks(procedure)
            self._open(procedure, "error" if failed else "ok")
            if procedure == ENDING or failed:
                return
            if self._rng.random() < REPEAT:
                self._open(procedure, "ok")
            options, shares = graph[procedure]
            there = np.array([self.share >= self.line.begins.get(option, 0.0) for option in options])
            procedure = str(self._rng.choice(options, p=shares * there / (shares * there).sum()))

    def _clicks(self, ahead: str) -> None:
        """Add what is done in the interface before a procedure; a click often names where it leads."""
        for _ in range(int(self._rng.integers(1, 4))):
            name = str(self._rng.choice(CLICKS, p=(0.4, 0.2, 0.2, 0.1, 0.1)))
            element = text = None
            if name in ("click", "open_tab"):
                hint = ahead if self._rng.random() < HINT else str(self._rng.choice(self.line.procedures))
                element, text = words_of(hint)
            self._add(EVENT, name, element, text, None, None)

    def _open(self, procedure: str, status: str) -> None:
        shown = [str(each) for each in self._rng.choice(self.line.procedures, SHOWN, replace=False)]
        if procedure not in shown and self._rng.random() < 0.55:
            shown[int(SHOWN * self._rng.random() ** 2)] = procedure  # nearer to the top: position matters
        self._add(INTENT, procedure, None, None, status, "|".join(shown))

    def _add(
        self, kind: str, name: str, element: str | None, text: str | None, status: str | None, options: str | None
    ) -> None:
        self._clock += 0.5 + self._rng.exponential(9.0)
        when = datetime.fromtimestamp(round(self._clock, 3), UTC)
        self.rows.append((when, kind, name, element, text, status, options))
