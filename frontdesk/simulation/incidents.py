"""Seeded sessions on lines that have incidents, and the feature tables that know of them.

While an incident is open on a line, most clients call for the errand that the incident brings up there, whatever the
operator does or did before: the first procedure can be known from the line's state alone. A monitor writes the state
every half an hour and whenever an incident begins or ends; a row is known a minute or two later, some hours late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from frontdesk.simulation import sessions
from frontdesk.simulation.errands import LINES
from frontdesk.simulation.histories import LATE, feature_table, write_feature_tables

KINDS = {"outage": 4, "letters": 5, "recall": 6}
"""Kinds of incidents: which errand of a line each brings up. They are among the rare ones otherwise."""
CALLED_FOR = 0.85
"""Share of the sessions that an open incident causes."""
QUIET = "none"
_EVERY = timedelta(minutes=30)
_QUIET_HOURS, _OPEN_HOURS = (6.0, 30.0), (4.0, 12.0)

MAPPING: dict[str, Any] = {
    "session": "session_id",
    "operator": "operator",
    "line": "line",
    "timestamp": "timestamp",
    "kind": "kind",
    "name": "name",
    "fields": ["element", "text"],
    "options": "options_shown",
    "status": "status",
    "features": {
        "service": "intent_v1",
        "entities": {"line": "line", "operator": "operator"},
        "categorical": ["open_incident"],
        "numeric": ["queue_length"],
    },
}
"""A column mapping of the sessions with their features."""


@dataclass(frozen=True)
class Incidents:
    """What was simulated.

    Attributes:
        table: columns of `sessions.SCHEMA`, ``true_errand``.
        features: table of each feature view by name.
    """

    table: pa.Table
    features: dict[str, pa.Table]

    def write_features(self, folder: Path) -> None:
        """Write the feature tables as the feature store reads them."""
        write_feature_tables(self.features, folder)


@dataclass(frozen=True)
class _Spell:
    """A span of time in which a line's state is one kind, `QUIET` among them."""

    begin: datetime
    end: datetime
    kind: str


def simulate(rows: int, seed: int = 0) -> Incidents:
    """Return sessions in the order of their starts, and the features of their lines and operators.

    Args:
        rows: opened procedures and events together.
        seed: two calls with the same arguments return the same tables.

    Raises:
        UsageError: fewer than one row.
    """
    rng = np.random.default_rng([seed, 3])
    spells = {line: _spells(rng) for line in LINES}

    def cause(line: str, when: datetime) -> tuple[int, float] | None:
        kind = next(spell.kind for spell in spells[line] if spell.begin <= when < spell.end)
        return None if kind == QUIET else (KINDS[kind], CALLED_FOR)

    table = sessions.simulate_with(rows, seed, cause)
    operators = sorted(set(table["operator"].to_pylist()))
    features = {"line_state": _line_states(spells, rng), "operator_profile": _profiles(operators, rng)}
    return Incidents(table, features)


def _spells(rng: np.random.Generator) -> list[_Spell]:
    """Return the spells of a line over the simulated days and a day beyond them."""
    found: list[_Spell] = []
    begin, last = sessions.FIRST - timedelta(hours=3), sessions.FIRST + timedelta(days=sessions.DAYS + 1)
    while begin < last:
        quiet = len(found) % 2 == 0
        end = begin + timedelta(hours=float(rng.uniform(*(_QUIET_HOURS if quiet else _OPEN_HOURS))))
        found.append(_Spell(begin, end, QUIET if quiet else str(rng.choice(list(KINDS)))))
        begin = end
    return found


def _line_states(spells: dict[str, list[_Spell]], rng: np.random.Generator) -> pa.Table:
    rows = []
    for line, own in spells.items():
        for spell in own:
            now = spell.begin
            while now < spell.end:
                waiting = float(rng.poisson(4 if spell.kind == QUIET else 11))
                late = timedelta(hours=float(rng.uniform(1, 6)))
                soon = timedelta(seconds=float(rng.uniform(20, 120)))
                rows.append(
                    {
                        "line": line,
                        "queue_length": waiting,
                        "waiting_minutes": round(waiting * float(rng.uniform(0.5, 1.5)), 1),
                        "open_incident": spell.kind,
                        "event_timestamp": now,
                        "created": now + (late if rng.random() < LATE else soon),
                    }
                )
                now += _EVERY
    return feature_table(rows)


def _profiles(operators: list[str], rng: np.random.Generator) -> pa.Table:
    """Return a row per operator and day, written at night."""
    lines = list(LINES)
    hired = {operator: float(rng.integers(10, 3_000)) for operator in operators}
    rows = []
    for day in range(-1, sessions.DAYS + 1):
        night = sessions.FIRST + timedelta(days=day, hours=2)
        for place, operator in enumerate(operators):
            rows.append(
                {
                    "operator": operator,
                    "tenure_days": hired[operator] + day,
                    "closed_7d": float(rng.poisson(60)),
                    "share_accepted": round(float(rng.beta(4, 3)), 3),
                    "operator_line": lines[place % len(lines)],
                    "event_timestamp": night,
                    "created": night + timedelta(minutes=20),
                }
            )
    return feature_table(rows)
