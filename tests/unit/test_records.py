"""Is a column mapping checked before any row is read, and does its error name the key?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frontdesk.errors import BadColumns, UnreadableFile, UsageError
from frontdesk.records import (
    DEFAULT_EMAIL_COLUMNS,
    DEFAULT_TICKET_COLUMNS,
    Columns,
    EmailColumns,
    TicketColumns,
    default_columns,
    load_columns,
    parse_columns,
)

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("recipe", "columns"), [("ticket", DEFAULT_TICKET_COLUMNS), ("email", DEFAULT_EMAIL_COLUMNS)])
def test_the_example_of_the_simulator_is_the_default(recipe: str, columns: Columns) -> None:
    assert load_columns(str(EXAMPLES / f"{recipe}s.yaml"), recipe) == columns
    assert load_columns(None, recipe) == columns
    assert default_columns(recipe) == columns
    assert set(columns.heads) == set(columns.known_heads)


@pytest.mark.parametrize("name", ["tickets", "cfpb", "endava"])
def test_examples_can_be_read(name: str) -> None:
    columns = load_columns(str(EXAMPLES / f"{name}.yaml"))
    assert "contact_type" in columns.heads
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
        (b"id: 2024-13-45", UnreadableFile),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    path = tmp_path / "columns.yaml"
    path.write_bytes(content)
    with pytest.raises(error, match=r"columns\.yaml"):
        load_columns(str(path))
    with pytest.raises(UnreadableFile, match="missing"):
        load_columns(str(tmp_path / "missing.yaml"))


def test_an_email_has_the_same_parts_whatever_the_table_calls_them() -> None:
    columns = parse_columns(
        {"body": "text", "custodian_bank": "bank", "received_at": "at", "labels": {"topic": "thema"}}, recipe="email"
    )
    assert isinstance(columns, EmailColumns)
    assert (columns.text, columns.categorical, columns.numeric) == (("body",), ("custodian_bank",), ())
    assert columns.created_at == "at"
    assert columns.heads == {"topic": "thema"}
    assert columns.roles == {"body": "text", "custodian_bank": "bank", "created_at": "at", "topic": "thema"}


@pytest.mark.parametrize("columns", [DEFAULT_EMAIL_COLUMNS, DEFAULT_TICKET_COLUMNS])
def test_a_mapping_survives_json(columns: Columns) -> None:
    recipe = "email" if isinstance(columns, EmailColumns) else "ticket"
    assert parse_columns(columns.model_dump(mode="json"), recipe=recipe) == columns


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"body": "b", "subjekt": "x"}, "subjekt: unknown key"),
        ({"body": "b", "labels": {"thema": "x"}}, "labels.thema: unknown key"),
        ({"body": "b", "labels": ["topic"]}, "labels"),
        ({"body": 7}, "body"),
        ({"custodian_bank": "bank"}, "no text column"),
        ({"subject": "text", "body": "text"}, "named twice among the inputs: text"),
        ({"body": "text", "labels": {"topic": "text"}}, "a label cannot be an input too: text"),
        ({"text": ["body"]}, "Known keys: id, subject, body, custodian_bank, received_at, labels.business_line"),
    ],
)
def test_a_wrong_mapping_of_emails_names_its_key(content: dict[str, Any], words: str) -> None:
    with pytest.raises(BadColumns) as caught:
        parse_columns(content, where="columns.yaml", recipe="email")
    assert words in str(caught.value)
    assert str(caught.value).startswith("columns.yaml: ")


def test_a_recipe_without_columns_is_named() -> None:
    with pytest.raises(UsageError, match="'letter'"):
        load_columns(None, "letter")
