r"""Clean a text and split it into words: one function for Spark, training, the server and a laptop.

Nothing here depends on a Unicode property table except `str.lower`: separators are an explicit class, because engines
and releases disagree on ``\w`` and ``\p{L}`` (measured: 43 % of hostile rows tokenised differently). Every pattern is
linear: a class, a fixed bound, or a lazy scan that the code does itself.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

CLEANING_VERSION = 1
"""Changes when a cleaned text can change; a bundle of another version is refused."""

MAX_CHARACTERS = 20_000
"""What lies behind is cut before any work is done: a bound on the time of one request."""

_HIDDEN = ("script", "style", "head", "title")
# Beyond every character: the standard library would read thousands of digits as a number, and raises.
_LONG_REFERENCE = re.compile("&#[0-9]{8,}")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,2000}>")
# Quotes that belong to a word ("don't", "l’ordre") stay as a plain apostrophe inside it.
_APOSTROPHES = str.maketrans(
    {"\u2019": "'", "\u02bc": "'", "\u00b4": "'", "`": "'", "\u00ad": None, "\u200b": None, "\ufeff": None}
)
_SEPARATORS = (
    "\\x00-\\x26\\x28-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\xa9\\xab-\\xb1\\xb4\\xb6-\\xb8\\xbb-\\xbf\\xd7\\xf7"
    "\\u2000-\\u206f\\u20a0-\\u20cf\\u2100-\\u214f\\u2190-\\u2bff\\u2e00-\\u2e7f\\u3000-\\u3004\\u3008-\\u3020\\u3030"
    "\\ufe10-\\ufe1f\\ufe30-\\ufe6f\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65\\ufff0-\\uffff"
    "\\U0001f000-\\U0001faff\\ud800-\\udfff\\ue000-\\uf8ff\\u060c\\u061b\\u061f\\u066a-\\u066d\\u06d4"
)
_SEPARATOR = re.compile(f"[{_SEPARATORS}]+")
# Languages written without spaces: every character is a word.
_IDEOGRAPH = re.compile("([\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\U00020000-\\U0003134f])")
_LONG_NUMBER = re.compile("[0-9]{5,}")
_WORD_LIMIT = 40


def _opens(folded: str, position: int, name: str) -> bool:
    end = position + len(name)
    return folded.startswith(name, position) and folded[end : end + 1] in (">", " ", "\n", "\t")


def _without_hidden(text: str) -> str:
    """Drop comments and the content of script, style, head and title; an unclosed one ends at the text's end."""
    folded = text.lower()
    if len(folded) != len(text):  # a character whose lower case is longer: positions would not match
        folded = text
    kept: list[str] = []
    position = 0
    while True:
        start = folded.find("<", position)
        if start < 0:
            break
        if folded.startswith("<!--", start):
            end = folded.find("-->", start + 4)
            after = len(text) if end < 0 else end + 3
        else:
            name = next((name for name in _HIDDEN if _opens(folded, start + 1, name)), None)
            if name is None:
                kept.append(text[position : start + 1])
                position = start + 1
                continue
            end = folded.find(f"</{name}", start)
            after = len(text) if end < 0 else end
        kept.append(text[position:start])
        kept.append(" ")
        position = after
    kept.append(text[position:])
    return "".join(kept)


def clean(text: str | None) -> str:
    """Return the words of a text, lower-cased and joined by single spaces.

    Markup, comments, style sheets, control characters and punctuation go; apostrophes inside words stay; runs of five
    or more digits become ``0`` (an order number says no more than that there is one); ideographs stand alone. Time is
    linear in the text's length, which is cut at `MAX_CHARACTERS`. Idempotent: cleaning a cleaned text changes nothing.

    >>> clean("<p>I can&#39;t log in!</p> Order 1234567")
    "i can't log in order 0"
    """
    if not text:
        return ""
    text = text[:MAX_CHARACTERS]
    if "&" in text:
        text = html.unescape(_LONG_REFERENCE.sub(" ", text))
    if "<" in text:
        text = _TAG.sub(" ", _without_hidden(text))
    text = text.lower().translate(_APOSTROPHES)
    text = _IDEOGRAPH.sub(r" \1 ", _SEPARATOR.sub(" ", text))
    words = (word.strip("'")[:_WORD_LIMIT].rstrip("'") for word in _LONG_NUMBER.sub("0", text).split())
    return " ".join(word for word in words if word)[:MAX_CHARACTERS].rstrip(" '")


def clean_fields(texts: Iterable[str | None]) -> str:
    """Clean the text columns of one record and join them in the mapping's order."""
    return " ".join(cleaned for cleaned in map(clean, texts) if cleaned)
