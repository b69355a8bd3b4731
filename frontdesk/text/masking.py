"""Replace personal data by typed words, or by pseudonyms that are the same for the same value.

``masked`` plus the kind is one word of lower-case letters: `frontdesk.text.cleaning.clean` leaves it as it is, so a
model sees that an IBAN stood there, and nothing else of it. With a key, the word is followed by eight letters that only
the owner of the key can tie to the value (HMAC-SHA-256): the same customer stays the same customer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from frontdesk.errors import UsageError
from frontdesk.text.identifiers import ADDRESSES, NUMBERS, Found

MASKING_VERSION = 1
"""Changes when a masked text can change."""

KINDS = ("email", "url", "iban", "card", "taxid", "vatid", "customer", "case", "phone")
SHORTEST_KEY = 16
_BLANK = "ª"  # a letter that no pattern asks for: what is found stays one word of the text around it
_DIGIT = re.compile("[0-9]")
_LETTERS = "abcdefghijklmnop"
_PSEUDONYM_BYTES = 4
_PLACEHOLDER = re.compile(rf"(masked(?:{'|'.join(KINDS)}))(?:-[{_LETTERS}]{{{2 * _PSEUDONYM_BYTES}}})?(?!\w)")


@dataclass(frozen=True)
class Masked:
    """A text without personal data.

    Attributes:
        text: with placeholders.
        found: where what stood in the given text, in order. It holds the values: not for storing; `counts` is.
    """

    text: str
    found: tuple[Found, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind were replaced."""
        return dict(sorted(Counter(found.kind for found in self.found).items()))


def placeholder(kind: str) -> str:
    """Return the word that stands for a kind.

    >>> placeholder("iban")
    'maskediban'
    """
    return f"masked{kind}"


def find(text: str) -> tuple[Found, ...]:
    """Return the personal identifiers of a text in order; none overlap."""
    found: list[Found] = []
    rest = _PLACEHOLDER.sub(lambda match: _BLANK * len(match.group()), text)
    finders = (*ADDRESSES, *NUMBERS) if _DIGIT.search(text) else ADDRESSES
    while True:  # a second look finds what the first one's findings had covered
        before = len(found)
        for finder in finders:
            new = [one for one in finder(rest) if _BLANK not in rest[one.start : one.end]]
            if new:
                found += new
                rest = _blanked(rest, new)
        if len(found) == before:
            return tuple(sorted(one for one in found if one.kind in KINDS))


def _blanked(text: str, found: list[Found]) -> str:
    pieces, position = [], 0
    for one in sorted(found):
        if one.start >= position:
            pieces += [text[position : one.start], _BLANK * (one.end - one.start)]
            position = one.end
    return "".join(pieces) + text[position:]


def mask(text: str, key: bytes | None = None) -> Masked:
    """Replace the personal identifiers of a text.

    Masking a masked text changes nothing. Time is linear in the text's length.

    Args:
        text: the text.
        key: makes pseudonyms; None makes placeholders only.

    >>> mask("Meine IBAN: DE89 3704 0044 0532 0130 00").text
    'Meine IBAN: maskediban'
    """
    found = find(text)
    pieces, position = [], 0
    for one in found:
        pieces += [text[position : one.start], placeholder(one.kind)]
        if key is not None:
            pieces.append(f"-{_pseudonym(one, key)}")
        position = one.end
    return Masked("".join(pieces) + text[position:], found)


def without_pseudonyms(text: str) -> str:
    """Return a masked text with placeholders only, as it would be without a key.

    >>> without_pseudonyms("Karte maskedcard-aabbccdd gesperrt")
    'Karte maskedcard gesperrt'
    """
    return _PLACEHOLDER.sub(r"\1", text) if "masked" in text else text


def _pseudonym(found: Found, key: bytes) -> str:
    content = f"{found.kind}\n{found.value}".encode("utf-8", "surrogatepass")
    code = hmac.new(key, content, hashlib.sha256).digest()[:_PSEUDONYM_BYTES]
    return "".join(_LETTERS[byte >> 4] + _LETTERS[byte & 15] for byte in code)


def read_key(path: Path) -> bytes:
    """Read the key of pseudonyms from a file.

    Raises:
        UsageError: the file cannot be read or holds fewer than `SHORTEST_KEY` bytes.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise UsageError("the key file of the pseudonyms cannot be read", where=path.name) from error
    if len(key) < SHORTEST_KEY:
        raise UsageError(
            f"the key of the pseudonyms has fewer than {SHORTEST_KEY} bytes",
            where=path.name,
            remedy="Write 32 random bytes into it",
        )
    return key
