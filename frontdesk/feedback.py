"""What became of a case: events of any order, delivered at least once, reduced to labels and verdicts.

`reduce_events` is a function of the *set* of events, so order, repetition and lateness of deliveries change nothing.
Labels of a closed case are the truth; a label that an agent took or changed stands until then. Each says where it comes
from, because a label that merely repeats a suggestion teaches nothing (the guard is the share of cases without one).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from frontdesk.errors import BadColumns

if TYPE_CHECKING:
    from frontdesk.records.contract import Columns

Kind = Literal["shown", "accepted", "changed", "ignored", "closed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EVERY_HEAD = "*"
"""Stands for all heads of a verdict that names none."""


@dataclass(frozen=True)
class Event:
    """One event of a case.

    Attributes:
        source, event: identify it: two deliveries with the same pair are one event.
        kind: ``shown`` (a suggestion was on the screen), ``accepted``, ``changed`` or ``ignored`` (what the agent did
            with it), ``closed`` (the case ended with these labels).
        at: when it happened.
        labels: ``{head: label}``.
        prediction_id: the prediction that it speaks of, None for none.
        measures: ``{metric: number}`` that a closing tells: minutes of handling, satisfaction.
    """

    source: str
    event: str
    recipe: str
    case_id: str
    kind: Kind
    at: datetime
    labels: dict[str, str] = field(default_factory=dict)
    prediction_id: str | None = None
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What the events of a case add up to.

    Attributes:
        labels: ``{head: {"label", "origin": "closed" | "changed" | "accepted", "at"}}``.
        verdicts: ``{head: "accepted" | "changed" | "ignored"}``, the last one of each head.
        shown_at: of the first suggestion on a screen.
        closed_at: of the last closing.
        events: how many there are.
        measures: ``{metric: number}``, the last one of each metric.
    """

    labels: dict[str, dict[str, str]]
    verdicts: dict[str, str]
    shown_at: datetime | None
    closed_at: datetime | None
    events: int
    measures: dict[str, float]


def reduce_events(events: Iterable[Event]) -> Outcome:
    """Return what the events of one case add up to, whatever their order and however often each comes."""
    once = {(one.source, one.event): one for one in events}
    ordered = sorted(once.values(), key=lambda one: (one.at, one.source, one.event))
    taken: dict[str, dict[str, str]] = {}
    final: dict[str, dict[str, str]] = {}
    verdicts: dict[str, str] = {}
    measures: dict[str, float] = {}
    for one in ordered:
        measures |= one.measures
        told = {
            head: {"label": label, "origin": one.kind, "at": one.at.isoformat()} for head, label in one.labels.items()
        }
        if one.kind == "closed":
            final |= told
        elif one.kind in ("accepted", "changed"):
            taken |= told
        if one.kind in ("accepted", "changed", "ignored"):
            verdicts |= dict.fromkeys(one.labels or (EVERY_HEAD,), one.kind)
    shown = [one.at for one in ordered if one.kind == "shown"]
    closed = [one.at for one in ordered if one.kind == "closed"]
    return Outcome(
        labels=dict(sorted((taken | final).items())),
        verdicts=dict(sorted(verdicts.items())),
        shown_at=shown[0] if shown else None,
        closed_at=closed[-1] if closed else None,
        events=len(ordered),
        measures=dict(sorted(measures.items())),
    )


def history_events(uri: str, recipe: str, columns: Columns, *, source: str, at: datetime) -> Iterator[Event]:
    """Yield a closing per row of a table: the monthly history of a desk goes the way of every other event.

    A row's event is named by its content, so that a file that is imported again has no second effect.

    Args:
        uri: see `frontdesk.tables.read_batches`.
        columns: must map ``id``, and at least one label.
        at: time of rows without one; cases that were closed later keep their labels.

    Raises:
        BadColumns: the mapping has no ``id`` or no label, or the table lacks a column.
        UnreadableFile, EmptyTable, StorageError: see `frontdesk.tables.read_batches`.
    """
    from frontdesk.tables import read_batches

    if "id" not in columns.roles or not columns.heads:
        raise BadColumns("the mapping must name the id of a case and a label", where="columns")
    for batch in read_batches(uri, columns):
        for row in batch.rows.to_pylist():
            labels = {head: row[head] for head in columns.heads if row[head]}
            if labels and row["id"]:
                moment = row.get("created_at") or at
                yield Event(
                    source, _name(recipe, row["id"], labels, moment), recipe, row["id"], "closed", moment, labels
                )


def _name(*content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:32]
