"""The closed set of labels of a bundle, as a tree where the labels are paths.

A label such as ``Cards > Debit > Lost card`` is a leaf; its prefixes are its ancestors. The probability of a node is
the sum over the leaves at or below it, so a model that only knows leaves can answer with an ancestor it is sure of.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontdesk.errors import BundleError
from frontdesk.preprocessing.spec import Spec
from frontdesk.storage import digest

TAXONOMY_FORMAT = 1


@dataclass(frozen=True)
class LabelTree:
    """The labels of one head.

    Attributes:
        labels: the leaves, in the order of the model's outputs.
        separator: what divides the levels of a path; None where the labels are a flat list.
    """

    labels: tuple[str, ...]
    separator: str | None = None

    def ancestors(self, label: str) -> tuple[str, ...]:
        """Return the proper ancestors of a label, the nearest first."""
        if self.separator is None:
            return ()
        parts = label.split(self.separator)
        return tuple(self.separator.join(parts[:depth]) for depth in range(len(parts) - 1, 0, -1))

    def parent(self, label: str) -> str | None:
        """Return the parent of a node, None for a root."""
        return next(iter(self.ancestors(label)), None)

    @functools.cached_property
    def members(self) -> dict[str, np.ndarray]:
        """``{node: indices of the leaves at or below it}``; leaves are nodes too. Built once."""
        below: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            for node in (label, *self.ancestors(label)):
                below.setdefault(node, []).append(index)
        return {node: np.array(indices, np.int64) for node, indices in sorted(below.items())}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node, sorted."""
        return tuple(self.members)


@dataclass(frozen=True)
class Taxonomy:
    """The label trees of every head.

    Attributes:
        heads: ``{head: tree}``.
    """

    heads: dict[str, LabelTree]

    @classmethod
    def of(cls, spec: Spec) -> Taxonomy:
        """Read the labels of a spec: heads in ``spec.trees`` are trees, the others flat."""
        return cls(
            {
                head: LabelTree(labels, spec.separator if head in spec.trees else None)
                for head, labels in spec.labels.items()
            }
        )

    @property
    def version(self) -> str:
        """12 hex digits over the label sets: the same labels have the same version, whoever wrote them."""
        return digest(self._content())[:12]

    def _content(self) -> dict[str, Any]:
        return {
            head: {
                "labels": list(tree.labels),
                "separator": tree.separator,
                "parents": {node: tree.parent(node) for node in tree.nodes},
            }
            for head, tree in self.heads.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `canonical_json`."""
        return {"format": TAXONOMY_FORMAT, "version": self.version, "heads": self._content()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Taxonomy:
        """Rebuild a taxonomy. Raises `BundleError` for another format or a version that its labels do not have."""
        if content.get("format") != TAXONOMY_FORMAT:
            raise BundleError(
                f"taxonomy format {content.get('format')} is not {TAXONOMY_FORMAT}", where="taxonomy.json"
            )
        taxonomy = cls(
            {head: LabelTree(tuple(tree["labels"]), tree["separator"]) for head, tree in content["heads"].items()}
        )
        if taxonomy.version != content.get("version"):
            raise BundleError("the label set does not have the version that the file states", where="taxonomy.json")
        return taxonomy
