"""Is a column mapping checked before any row is read, and does its error name the key?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frontdesk.errors import BadColumns, UnreadableFile
from frontdesk.records import DEFAULT_TICKET_COLUMNS, TicketColumns, load_columns, parse_columns

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_example_of_the_simulator_is_the_default() -> None:
    assert load_columns(str(EXAMPLES / "tickets.yaml")) == DEFAULT_TICKET_COLUMNS
    assert load_columns(None) == DEFAULT_TICKET_COLUMNS


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_examples_can_be_read(path: Path) -> None:
    columns = load_columns(str(path))
    assert columns.contact_type
    assert columns.inputs


def test_roles_and_heads() -> None:
    columns = TicketColumns(id="number", created_at="opened", text=("body",), contact_type="kind")
    assert columns.heads == {"contact_type": "kind"}
    assert columns.roles == {"body": "body", "id": "number", "created_at": "opened", "contact_type": "kind"}
    assert columns.separator == " > "


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"text": ["body"], "subjekt": "x"}, "subjekt: unknown key"),
        ({"text": "body"}, "text"),
        ({"text": [1]}, "text.0"),
        ({"contact_type": "kind"}, "no input column"),
        ({"text": ["a", "b"], "categorical": ["b"]}, "named twice among the inputs: b"),
        ({"text": ["a"], "contact_type": "a"}, "a label cannot be an input too: a"),
        ({"text": ["reply"]}, "cannot be called reply"),
        ({"text": ["a"], "separator": ""}, "separator"),
    ],
)
def test_a_wrong_mapping_names_its_key(content: dict[str, Any], words: str) -> None:
    with pytest.raises(BadColumns) as caught:
        parse_columns(content, where="columns.yaml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("columns.yaml: ")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"text: [body", UnreadableFile),
        (b"\xff\xfe", UnreadableFile),
        (b"- a\n- b\n", BadColumns),
        (b"", BadColumns),
        (b"text: [!!python/object:os.system x]", UnreadableFile),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    path = tmp_path / "columns.yaml"
    path.write_bytes(content)
    with pytest.raises(error, match=r"columns\.yaml"):
        load_columns(str(path))
    with pytest.raises(UnreadableFile, match="missing"):
        load_columns(str(tmp_path / "missing.yaml"))
