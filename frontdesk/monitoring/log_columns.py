"""Rows of the prediction log to columns that can be compared: inputs, texts, predictions, labels, quality.

Features that a row lacks are null. No column holds anything that the log does not hold; texts are the masked ones, and
only where the log keeps them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from frontdesk.feedback import EVERY_HEAD
from frontdesk.monitoring.comparison import Watched

AT = "at"
"""The column of time stamps of every table."""
MOST_FEATURES = 100
"""Features that are watched; of more, those that most rows have."""
NOTHING = "none"
"""The level of a prediction without a label or an intent."""
_STAMP = pa.timestamp("us", "UTC")
_ARROW = {"categorical": pa.string(), "numeric": pa.float64(), "text": pa.string()}

Row = Mapping[str, Any]
Column = tuple[Watched, Callable[[Row], Any]]
"""A column, and its value in a row."""
Tables = tuple[pa.Table, pa.Table, list[Watched]]
"""Reference, current, and what of their columns is watched."""


def log_tables(reference: Sequence[Row], current: Sequence[Row]) -> Tables:
    """Return what was asked and answered, a row per prediction.

    Args:
        reference, current: rows as `frontdesk.database.exports.joined_rows` gives them.
    """
    both = (reference, current)
    watched = _features(both) + _texts(both)
    watched.append((Watched("characters", "input", "numeric"), lambda row: row["characters"]))
    if any(row["line"] is not None for rows in both for row in rows):
        watched.append((Watched("line", "input", "categorical"), lambda row: row["line"]))
    watched.append((Watched("client", "input", "categorical"), lambda row: row["client"]))
    if any(row["intents"] is not None for rows in both for row in rows):
        watched += _lists(both)
    else:
        for head in sorted({head for rows in both for row in rows for head in row["labels"]}):
            watched += _head(head)
    watched.append((Watched("degraded", "quality", "categorical"), lambda row: _words(row["degraded"])))
    return _tables(both, watched)


def case_tables(
    reference: Sequence[Row],
    current: Sequence[Row],
    delay: timedelta,
    known: Mapping[str, Collection[str]] | None = None,
) -> Tables:
    """Return what became of cases, a row per case whose outcome was known within a delay of its last answer.

    A case has the same time in both windows, so slow cases are missing from both alike.

    Args:
        known: ``{head: labels of the model}``; with it, labels of cases are checked against them. Labels that are not
            among them are orphans: the model cannot answer them.
    """
    both = (_settled(reference, delay), _settled(current, delay))
    heads = sorted({head for rows in both for row in rows for head in row["outcome"]})
    watched: list[Column] = []
    for head in heads:
        watched += _outcomes(head, None if known is None else known.get(head))
    for head in sorted({head for rows in both for row in rows for head in row["verdicts"]}):
        name = "suggestion" if head == EVERY_HEAD else f"suggestion.{head}"
        watched.append((Watched(name, "quality", "categorical"), _value_of("verdicts", head, _words)))
    return _tables(both, watched)


def opened_tables(
    reference: tuple[Sequence[Row], Sequence[Any]], current: tuple[Sequence[Row], Sequence[Any]]
) -> Tables:
    """Return which intents operators opened, and whether they were suggested, a row per opened intent.

    Args:
        reference, current: a window's predictions, and the feedback events that happened in it.
    """
    both = (_opened(*reference), _opened(*current))
    watched: list[Column] = [
        (Watched("opened", "label", "categorical"), lambda row: row["opened"]),
        (Watched("opened_from", "quality", "categorical"), lambda row: row["opened_from"]),
    ]
    return _tables(both, watched)


def _tables(both: Sequence[Sequence[Row]], watched: Sequence[Column]) -> Tables:
    """Make a table of each window; a column that is null in both is left out."""
    made = []
    for rows in both:
        columns = {AT: pa.array([row["at"] for row in rows], _STAMP)}
        columns |= {
            column.name: pa.array([value(row) for row in rows], _ARROW[column.type]) for column, value in watched
        }
        made.append(columns)
    kept = [
        column
        for column, _ in watched
        if any(len(columns[column.name]) > columns[column.name].null_count for columns in made)
    ]
    names = [AT, *(column.name for column in kept)]
    reference, current = (pa.table({name: columns[name] for name in names}) for columns in made)
    return reference, current, kept


def _value_of(part: str, name: str, convert: Callable[[Any], Any]) -> Callable[[Row], Any]:
    """Return what reads one entry of a row's object, null where the row has none."""
    return lambda row: convert((row[part] or {}).get(name))


def _features(both: Sequence[Sequence[Row]]) -> list[Column]:
    counts = Counter(name for rows in both for row in rows for name in row["features"])
    found: list[Column] = []
    for name in sorted(name for name, _ in counts.most_common(MOST_FEATURES)):
        values = [value for rows in both for row in rows if (value := row["features"].get(name)) is not None]
        column = f"feature.{name}"
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        kept = Watched(column, "input", "numeric" if numeric else "categorical")
        found.append((kept, _value_of("features", name, _number if numeric else _words)))
    return found


def _texts(both: Sequence[Sequence[Row]]) -> list[Column]:
    names = {name for rows in both for row in rows for name in (row["inputs"] or {}) if name not in row["features"]}
    return [(Watched(f"text.{name}", "text", "text"), _value_of("inputs", name, _words)) for name in sorted(names)]


def _head(head: str) -> list[Column]:
    def said(row: Row) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = row["labels"].get(head, {})
        return answer

    def label(row: Row) -> str | None:
        return (said(row)["label"] or NOTHING) if said(row) else None

    return [
        (Watched(f"prediction.{head}", "prediction", "categorical"), label),
        (
            Watched(f"confidence.{head}", "prediction", "numeric"),
            # Where no model answered, the confidence is nobody's.
            lambda row: None if row["model_id"] is None else said(row).get("confidence"),
        ),
        (Watched(f"decision.{head}", "prediction", "categorical"), lambda row: said(row).get("decision")),
    ]


def _lists(both: Sequence[Sequence[Row]]) -> list[Column]:
    changed: dict[str, float | None] = {}
    for rows in both:
        shown: dict[str, frozenset[str]] = {}
        for row in rows:
            ids = frozenset(one["id"] for one in row["intents"] or ())
            before = shown.get(row["case_id"])
            changed[row["id"]] = None if not before else len(before - ids) / len(before)
            shown[row["case_id"]] = ids
    return [
        (Watched("source", "prediction", "categorical"), lambda row: row["source"]),
        (Watched("suggested", "prediction", "categorical"), _one_of_list),
        (Watched("suggested.count", "prediction", "numeric"), lambda row: len(row["intents"] or ())),
        (Watched("suggested.score", "prediction", "numeric"), lambda row: max(_scores(row), default=None)),
        (Watched("suggested.churn", "prediction", "numeric"), lambda row: changed[row["id"]]),
    ]


def _one_of_list(row: Row) -> str:
    """Return one intent of a list: independent draws, one per list, show what operators are shown in all.

    The place follows from the prediction's id, so that it is the same whenever it is drawn.
    """
    ids = [one["id"] for one in row["intents"] or ()]
    if not ids:
        return NOTHING
    place: str = ids[int.from_bytes(hashlib.sha256(row["id"].encode()).digest()[:4], "big") % len(ids)]
    return place


def _scores(row: Row) -> list[float]:
    return [float(one["score"]) for one in row["intents"] or ()]


def _settled(rows: Sequence[Row], delay: timedelta) -> list[Row]:
    """Return the last prediction of each case whose outcome was known within a delay of it."""
    last = {row["case_id"]: row for row in rows if row["outcome"]}
    found = []
    for row in last.values():
        told = [datetime.fromisoformat(label["at"]) for label in row["outcome"].values()]
        if max([row["closed_at"]] if row["closed_at"] is not None else told) <= row["at"] + delay:
            found.append(row)
    return found


def _outcomes(head: str, known: Collection[str] | None) -> list[Column]:
    def label(row: Row) -> str | None:
        told = row["outcome"].get(head)
        return None if told is None else told["label"]

    def right(row: Row) -> str | None:
        said = row["labels"].get(head, {}).get("label")
        return None if label(row) is None or said is None else "right" if label(row) == said else "wrong"

    found: list[Column] = [
        (Watched(f"label.{head}", "label", "categorical"), label),
        (Watched(f"answer.{head}", "quality", "categorical"), right),
    ]
    if known is not None:
        found.append(
            (
                Watched(f"orphan.{head}", "label", "categorical"),
                lambda row: None if label(row) is None else _words(label(row) not in known),
            )
        )
    return found


def _opened(rows: Sequence[Row], events: Iterable[Any]) -> list[Row]:
    """Return the opened intents with the list that was on the screen: of the event's prediction, else the last one."""
    by_id = {row["id"]: row for row in rows}
    by_case: dict[str, list[Row]] = {}
    for row in rows:
        by_case.setdefault(row["case_id"], []).append(row)
    found: list[Row] = []
    for event in events:
        intent = event.labels.get("intent")
        if intent is None:
            continue
        earlier = (one for one in reversed(by_case.get(event.case_id, ())) if one["at"] <= event.at)
        last = by_id.get(event.prediction_id) or next(earlier, None)
        if last is not None:
            shown = intent in {one["id"] for one in last["intents"] or ()}
            found.append({"at": event.at, "opened": intent, "opened_from": "suggested" if shown else "elsewhere"})
    return found


def _words(value: Any) -> str | None:
    """Return a level as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    """Return a number; null for one that is not finite or too large for a double."""
    try:
        number = None if value is None else float(value)
    except OverflowError:
        return None
    return number if number is None or abs(number) < float("inf") else None
