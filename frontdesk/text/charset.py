r"""From bytes to text: declared and guessed character sets, double encodings, control characters.

Every step is linear in the text's length. `charset_normalizer` is asked only about bytes that are neither what they
are declared to be nor UTF-8, and only about their beginning: its work does not stay linear on noise.
"""

from __future__ import annotations

import codecs
import quopri
import re

_ASKED_BYTES = 4_096
_SHORTEST = 16  # fewer bytes say nothing about their language
_CONTROLS = bytes(code for code in range(32) if chr(code) not in "\t\n\r\x1b")
_NOISE = 0.02  # share of control characters above which bytes are not text and no detector is asked

# Windows-1252 with its five holes filled as browsers do, so that a double encoding can be taken back.
_CP1252 = {bytes([code]).decode("cp1252", "replace"): code for code in range(0x80, 0x100)}
_CP1252 |= {chr(code): code for code in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
_CP1252.pop("\ufffd", None)
_TRAILS = "".join(re.escape(sign) for sign, code in _CP1252.items() if code < 0xC0)
_DOUBLE = re.compile(
    f"[\xc2-\xdf][{_TRAILS}]|[\xe0-\xef][{_TRAILS}]{{2}}|[\xf0-\xf4][{_TRAILS}]{{3}}"
)  # the lead and trail bytes of UTF-8 as they look in Windows-1252
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b-\u200f\u2028\u2029\u2060-\u2064\ufeff\xad]")
_SPACE = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("=[89A-F][0-9A-F]")


def decoded(raw: bytes, declared: str | None = None) -> str:
    """Return the text of bytes: as declared, as UTF-8, as detected, or as Windows-1252, the first that fits."""
    for name in (declared, "utf-8"):
        if name:
            try:
                return raw.decode(codecs.lookup(name).name)
            except (LookupError, UnicodeError, ValueError):
                continue
    return raw.decode(_guessed(raw), "replace")


def _guessed(raw: bytes) -> str:
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    sample = raw[:_ASKED_BYTES]
    if len(sample) < _SHORTEST or len(sample) - len(sample.translate(None, _CONTROLS)) > _NOISE * len(sample):
        return "cp1252"
    import charset_normalizer

    best = charset_normalizer.from_bytes(sample, steps=4, chunk_size=256).best()
    return best.encoding if best is not None else "cp1252"


def repaired(text: str) -> str:
    """Take back double encodings and left-over quoted-printable, drop what is invisible, unify line ends and spaces."""
    if "=\n" in text or "=\r\n" in text:
        text = _without_quoted_printable(text)
    while (once := _DOUBLE.sub(_single, text)) != text:  # every round shortens each place by a half
        text = once
    text = _SURROGATE.sub("\ufffd", text) if not text.isascii() else text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")
    return _SPACE.sub(" ", _CONTROL.sub("", text))


def _single(match: re.Match[str]) -> str:
    signs = match.group()
    try:
        return bytes(_CP1252.get(sign, 0) for sign in signs).decode("utf-8")
    except UnicodeDecodeError:
        return signs


def _without_quoted_printable(text: str) -> str:
    """Decode a body that was stored without its transfer encoding: soft line breaks and escaped UTF-8 bytes."""
    if not _ESCAPED_BYTE.search(text):
        return text
    try:
        return quopri.decodestring(text.encode("utf-8")).decode("utf-8")
    except UnicodeError:
        return text
