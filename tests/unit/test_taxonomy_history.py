"""Does a label keep its meaning from version to version, and is a label file that contradicts itself refused?"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.errors import BadTaxonomy, UnreadableFile, UsageError
from frontdesk.taxonomy import History, Mapped, load_taxonomy, parse_taxonomy
from tests.label_files import label_files

EXAMPLE = Path(__file__).with_name("labels.yaml")
PATHS = ["Cards > Debit > Lost", "Cards > Debit > Stolen", "Cards > Debit", "Cards > Debitors", "Loans"]


def _history(*changes: dict[str, Any], labels: Any = ("A", "B", "C"), separator: str | None = None) -> History:
    """Return a history of one head; change n happens on day n + 2 of 2024."""
    dated = [{"date": f"2024-01-{day:02d}", "head": "h"} | change for day, change in enumerate(changes, 2)]
    heads = {"h": {"labels": list(labels), "separator": separator}}
    return parse_taxonomy({"start": "2024-01-01", "heads": heads, "changes": dated}, where="labels.yaml")


def _names(history: History) -> list[tuple[str, ...]]:
    return [version.labels("h") for version in history.versions()]


def test_the_example() -> None:
    history = load_taxonomy(EXAMPLE)
    assert [version.name for version in history.versions()] == [
        "2023-01-01", "2023-07-01", "2023-10-01", "2024-01-01", "2024-06-01",
    ]  # fmt: skip
    assert history.map_label("queue", "Securities", "2023-02-03") == Mapped("Securities desk", "renamed")
    assert history.map_label("topic", "Dividends", "2023-02-03") == Mapped("Securities orders", "merged")
    assert history.map_label("topic", "Fax order", "2023-02-03") == Mapped(None, "retired")
    assert history.map_label("topic", "Transfer", "2023-02-03") == Mapped("Transfer", "kept")
    assert history.map_label("topic", "Gold", "2023-02-03") == Mapped(None, "unknown")
    assert history.map_label("tone", "angry", "2023-02-03") == Mapped("angry", "kept"), "not in the file"
    assert history.beginning("topic")["Crypto assets"].examples
    assert history.versions()[-1].taxonomy.heads["queue"].labels == history.at().labels("queue")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (None, Mapped(None, "ask")),
        ({"queue": "Complaints"}, Mapped("Lost card", "split")),
        ({"queue": "Payments", "custodian_bank": "Baader Bank"}, Mapped("Card order", "split")),
        ({"queue": "Payments", "custodian_bank": "Other"}, Mapped(None, "ask")),
        ({"queue": "Payments"}, Mapped(None, "ask")),
        ({"queue": None, "custodian_bank": "Baader Bank"}, Mapped(None, "ask")),
    ],
)
def test_a_split_goes_by_its_rules(row: dict[str, Any] | None, expected: Mapped) -> None:
    assert load_taxonomy(EXAMPLE).map_label("topic", "Card", "2023-05-05", "2024-01-01", row) == expected


def test_what_a_rule_needs_and_a_row_lacks_is_asked_for_even_where_the_rest_has_a_part() -> None:
    split = {"label": "A", "into": ["A", "B"], "rules": [{"when": {"bank": "X"}, "to": "B"}], "otherwise": "A"}
    history = _history({"split": split})
    assert history.map_label("h", "A", "2024-01-01", None, {"bank": "X"}).label == "B"
    assert history.map_label("h", "A", "2024-01-01", None, {"bank": "Y"}).label == "A"
    assert history.map_label("h", "A", "2024-01-01", None, {"bank": None}) == Mapped(None, "ask")


def test_a_version_is_a_day_and_is_in_force_until_the_next() -> None:
    history = _history({"rename": {"label": "A", "name": "A2"}}, {"date": "2024-01-02", "retire": {"label": "B"}},
                       {"date": "2024-02-01", "add": "D"})  # fmt: skip
    assert _names(history) == [("A", "B", "C"), ("A2", "C"), ("A2", "C", "D")]
    for when, number in [("2023-05-05", 0), ("2024-01-01", 0), (date(2024, 1, 2), 1), (datetime(2024, 1, 31, 23), 1),
                         ("2024-02-01", 2), ("2030-01-01", 2), (None, 2)]:  # fmt: skip
        assert history.at(when).number == number
    days = np.array(["2023-05-05", "2024-01-02", "NaT", "2024-03-01"], "datetime64[D]")
    assert history.numbers_at(days).tolist() == [0, 1, 2, 2]
    with pytest.raises(UsageError, match="'newest' is no version"):
        history.at("newest")


def test_a_name_is_read_by_the_version_of_its_day_or_the_nearest_that_knew_it() -> None:
    history = _history({"rename": {"label": "A", "name": "A2"}}, {"rename": {"label": "B", "name": "A"}})
    assert history.map_label("h", "A", "2024-01-01").label == "A2"
    assert history.map_label("h", "A", "2024-01-02").label == "A2", "written by the old name on the day of the change"
    assert history.map_label("h", "A", "2024-01-03").label == "A", "the name has gone over to another label"
    assert history.map_label("h", "A2", "2024-01-01").label == "A2", "written before its day"


def test_backwards() -> None:
    history = _history(
        {"rename": {"label": "A", "name": "A2"}},
        {"merge": {"labels": ["A", "B"], "into": {"id": "M", "name": "Both"}}},
        {"split": {"label": "C", "into": ["C", {"id": "D", "name": "D"}]}},
        {"add": "E"},
    )
    first = "2024-01-01"
    assert history.map_label("h", "Both", None, first) == Mapped(None, "ask")
    assert history.map_label("h", "D", None, first) == Mapped("C", "split")
    assert history.map_label("h", "C", None, first).label == "C"
    assert history.map_label("h", "E", None, first) == Mapped(None, "not_yet")
    assert history.map_label("h", "A2", "2024-01-02", first) == Mapped("A", "renamed")


def test_what_was_split_and_merged_again_is_known_again() -> None:
    history = _history(
        {"split": {"label": "A", "into": [{"id": "A1", "name": "A1"}, {"id": "A2", "name": "A2"}]}},
        {"merge": {"labels": ["A1", "A2"], "into": {"id": "A3", "name": "A"}}},
    )
    assert history.map_label("h", "A", "2024-01-01", "2024-01-02").label is None
    assert history.map_label("h", "A", "2024-01-01", "2024-01-03").label == "A"


def test_a_branch_of_a_tree_is_renamed_with_all_below() -> None:
    history = _history(
        {"rename": {"branch": "Cards > Debit", "name": "Payments > Giro"}}, labels=PATHS, separator=" > "
    )
    assert history.at().labels("h") == (
        "Cards > Debitors", "Loans", "Payments > Giro", "Payments > Giro > Lost", "Payments > Giro > Stolen",
    )  # fmt: skip
    assert history.at().taxonomy.heads["h"].ancestors("Payments > Giro > Lost")[-1] == "Payments"
    assert history.map_label("h", PATHS[0], "2024-01-01") == Mapped("Payments > Giro > Lost", "renamed")


RENAME, RETIRE = {"rename": {"label": "A", "name": "Z"}}, {"retire": {"label": "A"}}
SPLIT = {"label": "A", "into": [{"id": "A1", "name": "A1"}, {"id": "A2", "name": "A2"}]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([{"merge": {"labels": ["B"], "into": "B"}}], "changes.0.merge.into: 'B' is merged into itself: a cycle"),
        ([RETIRE, {"merge": {"labels": ["B"], "into": "A"}}], "changes.1.merge.into: 'A' is no label any more"),
        ([RETIRE, {"add": "A"}], "changes.1.add: 'A' cannot come back, it was retired on 2024-01-02"),
        ([{"merge": {"labels": ["A"], "into": "B"}}, {"merge": {"labels": ["B"], "into": {"id": "A", "name": "A"}}}],
         "changes would run in a cycle"),
        ([{"rename": {"label": "A", "name": "B"}}], "changes.0.rename.name: the name 'B' belongs to the label 'B'"),
        ([{"add": {"id": "D", "name": "C"}}], "changes.0.add: the name 'C' belongs"),
        ([{"add": {"id": "B", "name": "B2"}}], "there is a label 'B' already"),
        ([RENAME, {"retire": {"label": "Z"}}], "the label of this name is 'A'"),
        ([{"retire": {"label": "X"}}], "changes.0.retire.label: h has no label 'X' at this date"),
        ([{"merge": {"labels": ["A", "X"], "into": "B"}}], "changes.0.merge.labels: h has no label 'X'"),
        ([{"merge": {"labels": ["A", "A"], "into": "B"}}], "named twice"),
        ([{"split": SPLIT}, {"rename": {"label": "A", "name": "N"}}], "it was split into 'A1', 'A2'"),
        ([{"split": SPLIT | {"otherwise": "B"}}], "changes.0.split.otherwise: 'B' is none of the parts"),
        ([{"split": SPLIT | {"rules": [{"when": {"x": "1"}, "to": "ask"}]}}], "changes.0.split.rules.0.to: 'ask'"),
        ([{"split": SPLIT | {"into": ["B"]}}], "changes.0.split.into"),
        ([{"split": SPLIT | {"into": ["B", "B"]}}], "a part is named twice"),
        ([{"add": "ask"}], "'ask' cannot be an id"),
        ([RENAME, {"date": "2024-01-01", "retire": {"label": "B"}}], "changes.1.date: 2024-01-01 is before 2024-01-02"),
        ([{"date": "2023-12-31", "retire": {"label": "B"}}], "changes.0.date"),
        ([{"head": "x", "retire": {"label": "B"}}], "changes.0.head: there is no head 'x'"),
        ([{"rename": {"branch": "A", "name": "Z"}}], "changes.0.rename.branch: h has no separator"),
        ([{"rename": {"label": "A", "branch": "A", "name": "Z"}}], "changes.0.rename: name either"),
        ([RENAME | RETIRE], "changes.0: a change is exactly one of"),
        ([{"retier": {"label": "A"}}], "changes.0.retier: unknown key"),
        ([{"date": "yesterday", "retire": {"label": "A"}}], "changes.0.date"),
        ([{"add": {"id": "D", "nmae": "x"}}], "changes.0.add.nmae: unknown key"),
        ([{"add": {"name": "x"}}], "changes.0.add.id: Field required"),
        ([{"rename": {"label": "A", "name": "  "}}], "changes.0.rename.name"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_is_named(changes: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(BadTaxonomy) as caught:
        _history(*changes)
    assert words in str(caught.value)
    assert str(caught.value).startswith("labels.yaml: ")


def test_a_branch_that_is_not_there_or_would_meet_another() -> None:
    for branch, name, words in [("Card", "X", "at or below 'Card'"), ("Cards > Debit", "Loans", "the name 'Loans'")]:
        with pytest.raises(BadTaxonomy, match=words):
            _history({"rename": {"branch": branch, "name": name}}, labels=PATHS, separator=" > ")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("- a", BadTaxonomy, "labels.yaml"),
        ("start: [", UnreadableFile, "labels.yaml"),
        ("start: 2024-13-45", UnreadableFile, "labels.yaml"),
        ("start: 2024-01-01\nheads: {h: {labels: [A, A]}}", BadTaxonomy, "heads.h.labels.1: there is a label 'A'"),
        ("start: 2024-01-01\nheads: {h: {labels: [7]}}", BadTaxonomy, "heads.h.labels.0"),
        ("start: 2024-01-01\nheads: {}", BadTaxonomy, "heads"),
        ("heads: {h: {labels: [A]}}", BadTaxonomy, "start: Field required"),
        ("format: 2\nstart: 2024-01-01\nheads: {h: {labels: [A]}}", BadTaxonomy, "format"),
    ],
)
def test_a_file_that_is_no_label_file(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    (tmp_path / "labels.yaml").write_text(text)
    with pytest.raises(error) as caught:
        load_taxonomy(tmp_path / "labels.yaml")
    assert words in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(UnreadableFile, match="nothing"):
        load_taxonomy(tmp_path / "nothing.yaml")


def test_the_digest_follows_the_content() -> None:
    assert _history(RENAME).digest == _history(RENAME).digest
    assert _history(RENAME).digest != _history(RETIRE).digest
    assert _history(labels=["A"]).digest == _history(labels=[{"id": "A", "name": "A"}]).digest


@given(label_files())
@settings(max_examples=100, deadline=None)
def test_the_same_version_maps_every_label_to_itself(content: dict[str, Any]) -> None:
    history = parse_taxonomy(content)
    for version in history.versions():
        for label in version.labels("h"):
            assert history.map_label("h", label, version, version) == Mapped(label, "kept")


@given(label_files(), st.booleans(), st.sampled_from([None, {"bank": "A"}, {"bank": "B"}]))
@settings(max_examples=150, deadline=None)
def test_mapping_composes(content: dict[str, Any], backwards: bool, row: dict[str, str] | None) -> None:
    versions = parse_taxonomy(content).versions()
    history = parse_taxonomy(content)
    order = versions[::-1] if backwards else versions
    for place, first in enumerate(order):
        for middle, last in zip(order[place:], order[place + 1 :], strict=False):
            for label in first.labels("h"):
                between = history.map_label("h", label, first, middle, row)
                direct = history.map_label("h", label, first, last, row)
                assert direct.label is None or direct.label in last.labels("h")
                if between.label is not None:
                    assert history.map_label("h", between.label, middle, last, row).label == direct.label
                elif between.reason == "retired":
                    assert direct.reason == "retired", "what is gone stays gone"


@given(label_files(lossless=True))
@settings(max_examples=100, deadline=None)
def test_renames_and_merges_lose_no_label(content: dict[str, Any]) -> None:
    history = parse_taxonomy(content)
    for version in history.versions():
        for label in version.labels("h"):
            assert history.map_label("h", label, version).label in history.at().labels("h")
    newest = history.at()
    assert history.mask("h", newest.labels("h")).all()
    assert not history.mask("h", ["no such label"]).any()


@given(label_files())
@settings(max_examples=30, deadline=None)
def test_a_history_survives_json(content: dict[str, Any]) -> None:
    history = parse_taxonomy(content)
    again = parse_taxonomy(history.file.model_dump(mode="json", exclude_none=True))
    assert again.digest == history.digest
    assert again.versions() == history.versions()
    assert parse_taxonomy(history.file.model_dump(mode="json")).digest == history.digest
