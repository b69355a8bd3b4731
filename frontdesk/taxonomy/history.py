"""Label sets over time: which labels are valid at a date, and what a label of one version is called in another.

Every day on which something changes makes a version, named by that day. Between two versions a label's id is followed
through the changes, in either direction; what no change tells stays open and is never guessed.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from frontdesk.errors import BadTaxonomy, UsageError
from frontdesk.storage import digest
from frontdesk.taxonomy.file import ASK, Label, TaxonomyFile, parse_file, read_file
from frontdesk.taxonomy.steps import HeadState, Names, Step
from frontdesk.taxonomy.trees import LabelTree, Taxonomy

Reason = Literal["kept", "renamed", "merged", "split", "ask", "retired", "not_yet", "unknown"]
Row = Callable[[str], str | None]
"""A row as a function: the value of one of its columns, None where missing."""


@dataclass(frozen=True)
class Version:
    """The label sets that came into force on a day.

    Attributes:
        number: its place among the versions, from 0.
        date: the day.
        heads: ``{head: {id: name}}``.
        separators: ``{head: separator}`` of the heads whose names are paths.
    """

    number: int
    date: date
    heads: Mapping[str, Names]
    separators: Mapping[str, str]

    @property
    def name(self) -> str:
        """The day in ISO form."""
        return self.date.isoformat()

    def labels(self, head: str) -> tuple[str, ...]:
        """Return the names of a head's valid labels, sorted."""
        return tuple(sorted(self.heads[head].values()))

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The label trees that are valid."""
        return Taxonomy({head: LabelTree(self.labels(head), self.separators.get(head)) for head in sorted(self.heads)})

    @cached_property
    def ids(self) -> dict[str, dict[str, str]]:
        """``{head: {name: id}}``."""
        return {head: {name: label for label, name in names.items()} for head, names in self.heads.items()}


When = Version | date | str | None
"""A version, or the day in force of which it is; None: the newest."""


@dataclass(frozen=True)
class Mapped:
    """A label in another version.

    Attributes:
        label: its name there; None where it has none, which masks it in training.
        reason: with a label ``kept``, ``renamed``, ``merged`` or ``split`` (by a rule); without one ``ask`` (several
            labels are possible and no rule decides), ``retired``, ``not_yet`` (it began later than the version asked
            for) or ``unknown`` (no version has such a label).
    """

    label: str | None
    reason: Reason


@dataclass(frozen=True)
class Spread:
    """Where a label may have gone.

    Attributes:
        shares: ``{id: share}``; what no rule decides is shared equally.
        lost: share that went to no label.
        kinds: of the changes that it met.
    """

    shares: dict[str, float]
    lost: float
    kinds: frozenset[str]


class History:
    """A label file, checked.

    Attributes:
        labels: ``{head: {id: label}}`` of every label there ever was, with descriptions and examples.
    """

    def __init__(self, file: TaxonomyFile, *, where: str = "taxonomy") -> None:
        """Apply the changes in order. Raises `BadTaxonomy` with file and entry for one that cannot be."""
        self.file = file
        states = {head: HeadState(head, start, where) for head, start in file.heads.items()}
        separators = {head: start.separator for head, start in file.heads.items() if start.separator is not None}
        snapshot = {head: dict(state.names) for head, state in states.items()}
        versions = [Version(0, file.start, snapshot, separators)]
        self._steps: list[tuple[str, Step]] = []
        self._cuts = [0]
        for place, change in enumerate(file.changes):
            entry = f"{where}: changes.{place}"
            if change.head not in states:
                words = f"there is no head {change.head!r}"
                raise BadTaxonomy(words, where=f"{entry}.head", remedy=f"Heads: {', '.join(sorted(states))}")
            latest = versions[-1].date
            if change.date < latest:
                raise BadTaxonomy(f"{change.date} is before {latest}: out of order", where=f"{entry}.date")
            self._steps.append((change.head, states[change.head].apply(change, entry)))
            heads = {**versions[-1].heads, change.head: dict(states[change.head].names)}
            if change.date > latest:
                versions.append(Version(len(versions), change.date, heads, separators))
                self._cuts.append(len(self._steps))
            else:
                versions[-1] = Version(len(versions) - 1, latest, heads, separators)
                self._cuts[-1] = len(self._steps)
        self._versions = versions
        self.labels = {head: dict(state.labels) for head, state in states.items()}
        self._seen: dict[str, dict[str, list[tuple[int, str]]]] = {head: {} for head in states}
        for version in versions:
            for head, names in version.heads.items():
                for label, name in names.items():
                    self._seen[head].setdefault(name, []).append((version.number, label))

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the file knows; labels of others are nobody's concern here."""
        return tuple(self.labels)

    @cached_property
    def digest(self) -> str:
        """12 hex digits over the whole content."""
        return digest(self.file.model_dump(mode="json"))[:12]

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file as plain values, which `parse_taxonomy` reads."""
        return self.file.model_dump(mode="json", exclude_none=True)

    def versions(self) -> tuple[Version, ...]:
        """Return every version, the oldest first."""
        return tuple(self._versions)

    def prototype_texts(self, head: str, when: When = None) -> list[tuple[str, str]]:
        """Return the descriptions and examples of a head's valid labels as ``(name, text)``."""
        found = []
        for label, name in self.at(when).heads[head].items():
            begun = self.labels[head][label]
            found += [(name, text) for text in (begun.description, *begun.examples) if text]
        return found

    def at(self, when: When = None) -> Version:
        """Return the version in force on a day; the newest for None. Raises `UsageError` for what is no day."""
        if isinstance(when, Version):
            return when
        if when is None:
            return self._versions[-1]
        if isinstance(when, str):
            try:
                when = date.fromisoformat(when)
            except ValueError:
                known = ", ".join(version.name for version in self._versions[-5:])
                raise UsageError(f"{when!r} is no version and no day", remedy=f"The newest are: {known}") from None
        day = when.date() if isinstance(when, datetime) else when
        place = bisect.bisect_right(self._versions, day, key=lambda version: version.date)
        return self._versions[max(place - 1, 0)]

    def numbers_at(self, days: np.ndarray) -> np.ndarray:
        """Return the numbers of the versions in force, int64 [N], of days (datetime64[D]); the newest for NaT."""
        begins = np.array([version.date for version in self._versions], "datetime64[D]")
        numbers = np.maximum(np.searchsorted(begins, days, side="right") - 1, 0)
        return np.where(np.isnat(days), len(begins) - 1, numbers)

    def mask(self, head: str, labels: Iterable[str], when: When = None) -> np.ndarray:
        """Return which labels may leave the API at a version, bool [K]."""
        valid = self.at(when).ids[head]
        return np.array([label in valid for label in labels], bool)

    def find(self, head: str, label: str, version: Version) -> tuple[str, int] | None:
        """Return the id of a name, and the number of the version that it was written by; None for an unknown name.

        People go on using a name for a while after it ended, and some begin early: where the version does not know the
        name, the last one before it that did counts, and else the first one after it.
        """
        seen = self._seen[head].get(label)
        if not seen:
            return None
        place = bisect.bisect_right(seen, version.number, key=lambda entry: entry[0])
        number, found = seen[max(place - 1, 0)]
        return found, number

    def map_label(
        self,
        head: str,
        label: str,
        written: When,
        to: When = None,
        row: Mapping[str, Any] | None = None,
    ) -> Mapped:
        """Return what a label is called in another version.

        Args:
            head: its head. Labels of a head that the file does not know stay as they are.
            label: its name.
            written: version or day that it was written in; None: the newest.
            to: version or day asked for; None: the newest.
            row: values of other columns, for the rules of splits.
        """
        if head not in self.labels:
            return Mapped(label, "kept")
        target = self.at(to)
        found = self.find(head, label, self.at(written))
        if found is None:
            return Mapped(None, "unknown")
        spread = self.spread(head, *found, target, None if row is None else _as_row(row))
        return self.verdict(head, label, spread, target)

    def verdict(self, head: str, label: str, spread: Spread, target: Version) -> Mapped:
        """Return the one label that a spread leaves, or why there is none."""
        if not spread.shares:
            return Mapped(None, "retired" if "retire" in spread.kinds else "not_yet")
        if spread.lost or len(spread.shares) > 1:
            return Mapped(None, "ask")
        name = target.heads[head][next(iter(spread.shares))]
        if "split" in spread.kinds:
            return Mapped(name, "split")
        if "merge" in spread.kinds:
            return Mapped(name, "merged")
        return Mapped(name, "kept" if name == label else "renamed")

    def spread(self, head: str, label: str, number: int, target: Version, row: Row | None = None) -> Spread:
        """Follow an id from the version of a number to another one, forwards or backwards."""
        back = target.number < number
        low, high = sorted((number, target.number))
        steps = [step for of, step in self._steps[self._cuts[low] : self._cuts[high]] if of == head]
        shares, lost, kinds = {label: 1.0}, 0.0, set()
        for step in reversed(steps) if back else steps:
            links = step.backward if back else step.forward
            moved: dict[str, float] = {}
            for known, share in shares.items():
                targets = links.get(known, (known,))
                if targets != (known,):
                    kinds.add(step.kind)
                if not targets:
                    lost += share
                elif not back and len(targets) > 1 and (chosen := _choose(step, row)) is not None:
                    moved[chosen] = moved.get(chosen, 0.0) + share
                else:
                    for one in targets:
                        moved[one] = moved.get(one, 0.0) + share / len(targets)
            shares = moved
        return Spread(shares, lost, frozenset(kinds))

    def rule_columns(self, head: str, label: str, number: int, target: Version) -> set[str]:
        """Return the columns that decide where a label goes between two versions; none where no rule is met."""
        if target.number <= number:
            return set()
        met = {label}
        columns: set[str] = set()
        for of, step in self._steps[self._cuts[number] : self._cuts[target.number]]:
            if of == head and (moving := met & step.forward.keys()):
                columns |= step.rule_columns
                met = (met - moving).union(*(step.forward[known] for known in moving))
        return columns

    def beginning(self, head: str, when: When = None) -> dict[str, Label]:
        """Return ``{name: label}`` of the valid labels of a head, with what they start from."""
        return {name: self.labels[head][label] for label, name in self.at(when).heads[head].items()}


def _as_row(row: Mapping[str, Any]) -> Row:
    def value(column: str) -> str | None:
        found = row.get(column)
        return None if found is None else str(found).strip()

    return value


def _choose(step: Step, row: Row | None) -> str | None:
    """Return the part that a row belongs to by the rules of a split; None where only a person can tell."""
    for rule in step.rules:
        values = [(None if row is None else row(column), wanted) for column, wanted in rule.when.items()]
        if any(value is not None and value not in wanted for value, wanted in values):
            continue
        # A missing value could have fitted: then no later rule may decide either.
        return None if any(value is None for value, _ in values) else rule.to
    return None if step.otherwise == ASK else step.otherwise


def load_taxonomy(path: str | Path) -> History:
    """Read a label file, a path or an ``s3://`` address; its form is described in `frontdesk.taxonomy.file`.

    Raises:
        UnreadableFile: it is missing, or neither.
        BadTaxonomy: an entry is wrong or contradicts an earlier one; file, entry and field are named.
    """
    return History(read_file(str(path)), where=str(path).rpartition("/")[2])


def parse_taxonomy(content: Any, *, where: str = "taxonomy") -> History:
    """Build a history from plain values, as `load_taxonomy` does from a file."""
    return History(parse_file(content, where=where), where=where)
