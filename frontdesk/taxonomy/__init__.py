"""Closed label sets: the labels of a bundle as trees, and what becomes of labels over the years."""

from frontdesk.taxonomy.history import History, Mapped, Version, load_taxonomy, parse_taxonomy
from frontdesk.taxonomy.lineage import Lineage, require_fit
from frontdesk.taxonomy.projection import Projected, Projection, TaxonomyView, hold_back
from frontdesk.taxonomy.prototypes import Prototypes, introduce
from frontdesk.taxonomy.rows import RowMapper
from frontdesk.taxonomy.trees import LabelTree, Taxonomy

__all__ = [
    "History",
    "LabelTree",
    "Lineage",
    "Mapped",
    "Projected",
    "Projection",
    "Prototypes",
    "RowMapper",
    "Taxonomy",
    "TaxonomyView",
    "Version",
    "hold_back",
    "introduce",
    "load_taxonomy",
    "parse_taxonomy",
    "require_fit",
]
