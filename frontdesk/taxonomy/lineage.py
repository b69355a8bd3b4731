"""How a bundle's labels stand in time: the day in whose names they are, and the label file that they were read by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frontdesk.errors import BadTaxonomy, BundleError
from frontdesk.taxonomy.history import History, When, parse_taxonomy
from frontdesk.taxonomy.projection import TaxonomyView
from frontdesk.taxonomy.trees import Taxonomy

_WHERE = "taxonomy.json"


@dataclass(frozen=True)
class Lineage:
    """Part of ``taxonomy.json``.

    Attributes:
        trained: with a label file the name of the version that the training rows were brought to, else the day on
            which they end; None where they have no time stamps.
        history: the label file as it was then; None where there was none.
    """

    trained: str | None = None
    history: History | None = None

    @classmethod
    def of(cls, snapshot: Mapping[str, Any]) -> Lineage:
        """Read it from the manifest of the snapshot that a model is trained on."""
        relabelled = snapshot.get("taxonomy")
        if relabelled is not None:
            return cls(relabelled["version"], parse_taxonomy(relabelled["file"]))
        end = snapshot.get("split", {}).get("boundary") or snapshot.get("span", {}).get("last")
        return cls(None if end is None else str(end)[:10])

    def to_json(self) -> dict[str, Any]:
        """Return plain values that stand in ``taxonomy.json`` beside the labels."""
        return {"trained": self.trained, "history": None if self.history is None else self.history.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], taxonomy: Taxonomy) -> Lineage:
        """Rebuild it from the content of ``taxonomy.json``.

        Raises:
            BundleError: the label file contradicts itself, or does not know a label in the version trained in.
        """
        file = content.get("history")
        if file is None:
            return cls(content.get("trained"))
        try:
            history = parse_taxonomy(file, where=_WHERE)
        except BadTaxonomy as error:
            raise BundleError(error.message, where=error.where, remedy="Make the bundle again") from error
        for head, tree in taxonomy.heads.items():
            if head in history.heads and not history.mask(head, tree.labels, content["trained"]).all():
                raise BundleError(f"{head} has a label that its version does not know", where=_WHERE)
        return cls(content["trained"], history)

    def view(self, model: Taxonomy, history: History, to: When) -> TaxonomyView:
        """Return the view of a model of this lineage in a version of a label file, which may be newer than its own."""
        return TaxonomyView(history, model, self.trained, to)


def require_fit(history: History, taxonomy: Mapping[str, str | None], where: str) -> None:
    """Refuse a label file that is about other labels.

    Args:
        history: the file.
        taxonomy: ``{head: separator}`` of the labels it is to be used for; None for a flat list.
        where: what the error names.

    Raises:
        BadTaxonomy: it has none of the heads, or divides the paths of a tree otherwise.
    """
    shared = [head for head in taxonomy if head in history.heads]
    if not shared:
        words = f"the label file is about {', '.join(history.heads)}, not about {', '.join(taxonomy)}"
        raise BadTaxonomy(words, where=where, remedy="Name the label file of these heads")
    separators = history.at().separators
    for head in shared:
        wanted, found = taxonomy[head], separators.get(head)
        if wanted is not None and found is not None and found != wanted:
            words = f"{head} has the separator {found!r}, the model's labels have {wanted!r}"
            raise BadTaxonomy(words, where=where, remedy="Use the separator of the column mapping")
