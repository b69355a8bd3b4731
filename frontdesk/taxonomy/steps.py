"""One change of the label file checked against the labels that are there, as a relation between ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from frontdesk.errors import BadTaxonomy
from frontdesk.taxonomy.file import ASK, Change, Head, Label, Merge, Rename, Rule, Split

Names = dict[str, str]
"""``{id: name}`` of the labels that are valid."""


@dataclass(frozen=True)
class Step:
    """What one change does to the ids of one head.

    Attributes:
        forward: ``{id: its successors}`` of the ids that do not simply stay; none: retired.
        backward: ``{id: its predecessors}``, likewise; none: it did not exist.
        rules, otherwise: of a split, which successor a row belongs to; see `frontdesk.taxonomy.file.Split`.
    """

    kind: str
    forward: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backward: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    otherwise: str = ASK

    @property
    def rule_columns(self) -> set[str]:
        """The columns that the rules look at."""
        return {column for rule in self.rules for column in rule.when}


class HeadState:
    """The labels of one head while its changes are applied in order.

    Attributes:
        names: the valid labels.
        labels: every label there ever was, by id.
        ended: ``{id: what ended it}``.
    """

    def __init__(self, head: str, start: Head, where: str) -> None:
        self.head = head
        self.separator = start.separator
        self.names: Names = {}
        self.labels: dict[str, Label] = {}
        self.ended: dict[str, str] = {}
        self._holders: dict[str, str] = {}
        for place, label in enumerate(start.labels):
            self._begin(label, f"{where}: heads.{head}.labels.{place}")

    def apply(self, change: Change, where: str) -> Step:
        """Apply a change. Raises `BadTaxonomy` where it cannot be; ``where`` names file and entry."""
        kind = change.kind
        where = f"{where}.{kind}"
        if change.add is not None:
            self._begin(change.add, where)
            return Step(kind, {}, {change.add.id: ()})
        if change.rename is not None:
            return self._rename(change.rename, where)
        if change.merge is not None:
            return self._merge(change.merge, where)
        if change.split is not None:
            return self._split(change.split, where)
        assert change.retire is not None
        self._end(change.retire.label, f"retired on {change.date}", f"{where}.label")
        return Step(kind, {change.retire.label: ()})

    def _begin(self, label: Label, where: str) -> None:
        if label.id == ASK:
            raise BadTaxonomy(f"{ASK!r} cannot be an id: it is what a split says where no rule fits", where=where)
        if label.id in self.ended:
            words = f"{label.id!r} cannot come back, it was {self.ended[label.id]}: changes would run in a cycle"
            raise BadTaxonomy(words, where=where, remedy="Give the label a new id; its name may be the old one")
        if label.id in self.names:
            raise BadTaxonomy(f"there is a label {label.id!r} already", where=where)
        self._name(label.id, label.name, where)
        self.labels[label.id] = label

    def _name(self, label: str, name: str, where: str) -> None:
        holder = self._holders.get(name, label)
        if holder != label:
            words = f"the name {name!r} belongs to the label {holder!r} already"
            raise BadTaxonomy(words, where=where, remedy="Merge the two, or take another name")
        self._holders.pop(self.names.get(label, name), None)
        self._holders[name] = label
        self.names[label] = name

    def _require(self, label: str, where: str) -> None:
        if label in self.ended:
            raise BadTaxonomy(f"{label!r} is no label any more: it was {self.ended[label]}", where=where)
        if label not in self.names:
            near = self._holders.get(label)
            remedy = "" if near is None else f"Changes go by ids; the label of this name is {near!r}"
            raise BadTaxonomy(f"{self.head} has no label {label!r} at this date", where=where, remedy=remedy)

    def _end(self, label: str, how: str, where: str) -> None:
        self._require(label, where)
        del self._holders[self.names.pop(label)]
        self.ended[label] = how

    def _rename(self, rename: Rename, where: str) -> Step:
        if rename.label is not None:
            self._require(rename.label, f"{where}.label")
            self._name(rename.label, rename.name, f"{where}.name")
            return Step("rename")
        branch, inner = str(rename.branch), f"{rename.branch}{self.separator}"
        if self.separator is None:
            raise BadTaxonomy(f"{self.head} has no separator, so no branches", where=f"{where}.branch")
        below = [label for label, name in self.names.items() if name == branch or name.startswith(inner)]
        if not below:
            raise BadTaxonomy(f"{self.head} has no label at or below {branch!r} at this date", where=f"{where}.branch")
        old = {label: self.names.pop(label) for label in below}
        for name in old.values():
            del self._holders[name]
        moved = {label: rename.name + name[len(branch) :] for label, name in old.items()}
        for label, name in moved.items():
            self._name(label, name, f"{where}.name")
        return Step("rename")

    def _merge(self, merge: Merge, where: str) -> Step:
        if len(set(merge.labels)) != len(merge.labels):
            raise BadTaxonomy("a label is named twice", where=f"{where}.labels")
        for label in merge.labels:
            self._require(label, f"{where}.labels")
        target = merge.into if isinstance(merge.into, str) else merge.into.id
        if isinstance(merge.into, str):
            self._require(target, f"{where}.into")
        if merge.labels == (target,):
            raise BadTaxonomy(f"{target!r} is merged into itself: a cycle", where=f"{where}.into")
        sources = tuple(dict.fromkeys((*merge.labels, *([target] if target in self.names else []))))
        for label in merge.labels:
            if label != target:
                self._end(label, f"merged into {target!r}", f"{where}.labels")
        if isinstance(merge.into, Label):
            self._begin(merge.into, f"{where}.into")
        return Step("merge", dict.fromkeys(merge.labels, (target,)), {target: sources})

    def _split(self, split: Split, where: str) -> Step:
        self._require(split.label, f"{where}.label")
        parts = tuple(part if isinstance(part, str) else part.id for part in split.into)
        if len(set(parts)) != len(parts):
            raise BadTaxonomy("a part is named twice", where=f"{where}.into")
        there = {part for part in split.into if isinstance(part, str)}
        for part in there:
            self._require(part, f"{where}.into")
        if split.label not in there:
            self._end(split.label, f"split into {', '.join(map(repr, parts))}", f"{where}.label")
        for number, new in enumerate(split.into):
            if isinstance(new, Label):
                self._begin(new, f"{where}.into.{number}")
        targets = {f"rules.{number}.to": rule.to for number, rule in enumerate(split.rules)}
        if split.otherwise != ASK:
            targets["otherwise"] = split.otherwise
        for place, target in targets.items():
            if target not in parts:
                raise BadTaxonomy(f"{target!r} is none of the parts", where=f"{where}.{place}")
        backward = {part: (split.label, *([part] if part in there - {split.label} else [])) for part in parts}
        return Step("split", {split.label: parts}, backward, split.rules, split.otherwise)
