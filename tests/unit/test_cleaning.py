"""Is cleaning total, idempotent and linear, and does it leave nothing but words?"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontdesk.text import cleaning
from frontdesk.text.cleaning import MAX_CHARACTERS, clean, clean_fields

_CHARACTERS = st.characters(exclude_categories=()) | st.sampled_from("<>&;#!-/'\"’`\x00\u200b\ud83d\udd25你ßİΣ0129 \n")
_FRAGMENTS = st.sampled_from(
    [
        "<script>",
        "</script",
        "<style >",
        "<!--",
        "-->",
        "<p>",
        "&lt;",
        "&#60;",
        "&amp;lt;",
        "&#x3c;",
        "12345",
        "''",
        "é",
    ]
)
_TEXTS = st.lists(st.text(_CHARACTERS, max_size=30) | _FRAGMENTS, max_size=20).map("".join)


@given(_TEXTS)
@settings(max_examples=400, deadline=None)
@example("İ<SCRIPT>x</SCRIPT>")
@example("a" * 39 + "''b")
@example("&#" + "9" * 6_000 + ";")
@example("&#x" + "f" * 6_000)
@example("你" * MAX_CHARACTERS)
@example("'" * 50 + "a" + "'" * 50)
def test_any_text_becomes_words(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert len(cleaned) <= MAX_CHARACTERS
    cleaned.encode()  # no lone surrogate is left
    words = cleaned.split(" ") if cleaned else []
    for word in words:
        assert word
        assert len(word) <= 40
        assert word == word.strip("'")
        assert not cleaning._SEPARATOR.search(word)
        assert not any(sign.isspace() for sign in word)
        assert word == word.lower()


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("<p>I can&#39;t log in!</p> Order 1234567", "i can't log in order 0"),
        ("<style>p{color:red}</style>Hi<script>alert(1)</script> there", "hi there"),
        ("Hi <!-- hidden > text --> there", "hi there"),
        ("Hi <script> never closed", "hi"),
        ("a < b and c > d", "a b and c d"),
        ("Straße, ÄRGER; l’ordre", "straße ärger l'ordre"),
        ("注文番号 42", "注 文 番 号 42"),
        ("مرحبا، كيف", "مرحبا كيف"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("'quoted' text", "quoted text"),
        ("room 1234, order 12345", "room 1234 order 0"),
        ("fire 🔥 fire", "fire fire"),
        ("\x00nul\x00", "nul"),
        ("", ""),
        (None, ""),
    ],
)
def test_cleaning(raw: str | None, cleaned: str) -> None:
    assert clean(raw) == cleaned


def test_fields_are_joined_in_order_and_empty_ones_leave_no_space() -> None:
    assert clean_fields(["Subject!", None, "", "  ", "<b>Body</b>"]) == "subject body"


_HOSTILE: dict[str, Callable[[int], str]] = {
    "less": lambda size: "<" * size,
    "ampersand": lambda size: "&" * size,
    "entity": lambda size: "&#" * (size // 2),
    "names": lambda size: "&amp" * (size // 4),
    "script": lambda size: "<script" * (size // 7),
    "open": lambda size: "<script>" * (size // 8),
    "closed": lambda size: "<script></script" * (size // 16),
    "comment": lambda size: "<!--" * (size // 4),
    "tags": lambda size: "<a " * (size // 3),
    "long tag": lambda size: "<a" + "x" * (size - 2),
    "quotes": lambda size: "'" * size,
    "digits": lambda size: "1" * size,
    "ideographs": lambda size: "你" * size,
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_work_grows_with_the_length_and_not_faster(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Twice the text may do twice the Python steps, not four times. Time would depend on the machine.
    monkeypatch.setattr(cleaning, "MAX_CHARACTERS", 1 << 20)
    short, long = (_steps(_HOSTILE[name](size)) for size in (8_192, 16_384))
    assert long <= 2.2 * short + 50


@pytest.mark.parametrize("name", _HOSTILE)
def test_the_longest_text_is_cleaned_in_a_blink(name: str) -> None:
    # Patterns run inside the regular expression engine, where steps cannot be counted: a wide bound on time for these.
    import time

    begin = time.process_time()
    clean(_HOSTILE[name](10 * MAX_CHARACTERS))
    assert time.process_time() - begin < 0.5


def _steps(text: str) -> int:
    """Count the lines of Python that cleaning a text runs, those of the standard library's `html` included."""
    steps = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        clean(text)
    finally:
        sys.settrace(before)
    return steps
