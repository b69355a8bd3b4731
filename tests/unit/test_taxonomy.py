"""The label tree: ancestors, node probabilities, a version that is the digest of the labels."""

import pytest

from frontdesk.errors import BundleError
from frontdesk.taxonomy import LabelTree, Taxonomy

LABELS = ("Cards", "Cards ! old", "Cards > Debit > Lost", "Cards > Debit > Stolen", "Loans > Car")
TREE = LabelTree(LABELS, " > ")


def test_ancestors_come_nearest_first():
    assert TREE.ancestors("Cards > Debit > Lost") == ("Cards > Debit", "Cards")
    assert TREE.parent("Loans > Car") == "Loans"
    assert TREE.parent("Cards") is None
    assert LabelTree(LABELS).ancestors("Cards > Debit > Lost") == ()


def test_a_node_holds_itself_and_all_below():
    assert TREE.nodes == ("Cards", "Cards ! old", "Cards > Debit", *LABELS[2:4], "Loans", "Loans > Car")
    # "Cards ! old" sorts between "Cards" and "Cards > ...", and is not below either.
    assert TREE.members["Cards"].tolist() == [0, 2, 3]
    assert TREE.members["Cards > Debit"].tolist() == [2, 3]


def test_the_version_is_the_label_set():
    taxonomy = Taxonomy({"contact_type": TREE, "reply": LabelTree(("a", "b"))})
    again = Taxonomy.from_json(taxonomy.to_json())
    assert again == taxonomy
    assert again.version == taxonomy.version
    assert Taxonomy({"contact_type": LabelTree(LABELS[:-1], " > ")}).version != taxonomy.version


def test_an_altered_label_set_is_refused():
    content = Taxonomy({"reply": LabelTree(("a", "b"))}).to_json()
    content["heads"]["reply"]["labels"].append("c")
    with pytest.raises(BundleError, match="label set"):
        Taxonomy.from_json(content)
    with pytest.raises(BundleError, match="format 9"):
        Taxonomy.from_json({**content, "format": 9})
