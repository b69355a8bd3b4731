"""Clean a raw mail: what its author says now, apart from everything that programs, lawyers and older mails add.

The steps, each a module: `mime` opens the message, `charset` repairs the text, `markup` reads HTML, `quotes` finds the
newest message, `footers`, `signatures` and `tracking` take off the rest. What went and why is returned, so that a
person can check it. Every step is linear in the text's length, which is cut at `MAX_CHARACTERS`; nothing is raised for
any input; a mail that says something is never emptied: where only a signature or only a quote is left, it stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, get_args

from frontdesk.errors import UsageError
from frontdesk.text.charset import repaired
from frontdesk.text.footers import banner_end, footer_start, suffix_start
from frontdesk.text.markup import html_to_text
from frontdesk.text.mime import OpenedMail, decoded_subject, open_mail
from frontdesk.text.quotes import Separated, has_words, separate
from frontdesk.text.removed import Removed
from frontdesk.text.signatures import is_postscript, signature_start
from frontdesk.text.tracking import untracked

MailFormat = Literal["auto", "plain", "html", "eml"]

MAIL_CLEANING_VERSION = 1
"""Changes when a cleaned mail can change."""

MAX_CHARACTERS = 100_000
"""What lies behind is cut: a bound on the time of one mail."""

_COVERING_NOTE_WORDS = 12
_PASSES = 8


@dataclass(frozen=True)
class CleanedMail:
    """A mail and what was taken out of it.

    Attributes:
        text: the author's own words, without quotes, signature, footers, links that follow people.
        reply: the newest message as it was written, with its signature, and with the message that it passes on.
        subject: the decoded subject of a message with headers, else None.
        signature: the signature, closing phrase included; empty where none was found.
        removed: the removed parts in the order of the steps.
    """

    text: str
    reply: str
    subject: str | None = None
    signature: str = ""
    removed: list[Removed] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return how many parts of each kind were removed."""
        kinds = [part.kind for part in self.removed]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def clean_mail(raw: str | bytes | None, format: MailFormat = "auto") -> CleanedMail:
    """Clean one mail.

    Cleaning a cleaned text with the same format changes nothing.

    Args:
        raw: a body or a whole message, as text or as bytes; None is an empty mail.
        format: what `raw` is. `auto` looks for headers of a message, then for tags.

    Raises:
        UsageError: an unknown format.

    >>> clean_mail("Bitte kündigen.\\n\\nAm 3.4.2024 um 10:12 schrieb Bank <a@b.de>:\\n> Guten Tag").text
    'Bitte kündigen.'
    """
    if format not in get_args(MailFormat):
        raise UsageError(f"'{format}' is no format of a mail", remedy=f"Use one of {', '.join(get_args(MailFormat))}")
    opened = open_mail(raw or "", format)
    result = _clean(opened)
    again: MailFormat = "plain" if format == "plain" else "auto"
    if not result.removed and opened.subject is None and not opened.is_html and result.text == opened.body:
        return result
    for _ in range(_PASSES):  # what one pass uncovers, the next one sees: a signature above a footer, escaped markup
        following = _clean(open_mail(result.text, again))
        if following.text == result.text:
            break
        result = CleanedMail(
            following.text,
            result.reply,
            result.subject,
            result.signature or following.signature,
            result.removed + following.removed,
        )
    return result


def clean_subject(raw: str | bytes | None) -> str | None:
    """Return a subject as its author wrote it, on one line; None for an empty one.

    >>> clean_subject("=?utf-8?Q?K=C3=BCndigung?=\\r\\n des Vertrags")
    'Kündigung des Vertrags'
    """
    return " ".join(repaired(decoded_subject(raw or "")).split()) or None


def _clean(opened: OpenedMail) -> CleanedMail:
    removed = [Removed("attachment", name or kind, f"attachment of type {kind}") for name, kind in opened.attachments]
    body = repaired(opened.body[:MAX_CHARACTERS])
    if opened.is_html:
        body, dropped = html_to_text(body)
        body = repaired(body)
        removed += dropped
    separated = separate(body.split("\n"))
    removed += separated.removed
    reply = _joined([*separated.own, *separated.passed_on] if separated.passed_on else separated.own)
    own, signature = _without_ends(_message(separated, removed), removed)
    text, dropped = untracked(_joined(own))
    removed += dropped
    end = suffix_start(text)
    if end < len(text) and has_words([text[:end]]):
        removed.append(Removed("suffix", text[end:].strip(), "a place that a form appended"))
        text = text[:end].rstrip()
    return CleanedMail(text, reply, opened.subject, signature, removed)


def _message(separated: Separated, removed: list[Removed]) -> list[str]:
    """Return the lines that count: a forwarded message belongs to the mail where little is written above it."""
    if not separated.passed_on:
        return separated.own
    note = sum(len(line.split()) for line in separated.own[:_COVERING_NOTE_WORDS])
    if note < _COVERING_NOTE_WORDS and has_words(separated.passed_on_body):
        headers = separated.passed_on[: len(separated.passed_on) - len(separated.passed_on_body)]
        removed.append(Removed("header", "\n".join(headers), "headers of a forwarded message"))
        return [*separated.own, "", *separated.passed_on_body]
    removed.append(Removed("forward", "\n".join(separated.passed_on), "a forwarded message below the author's text"))
    return separated.own


def _without_ends(written: list[str], removed: list[Removed]) -> tuple[list[str], str]:
    """Take off banners, footers and signatures until none is left; return the rest and the signature."""
    lines = [after for before, after in pairwise(["", *written]) if before.strip() or after.strip()]
    worded = next((number for number, line in enumerate(lines) if has_words([line])), len(lines))
    begin = banner_end(lines)
    if begin and has_words(lines[begin:]):
        removed.append(Removed("banner", _joined(lines[:begin]), "a warning that a mail gateway put above the mail"))
        del lines[:begin]
        worded = next(number for number, line in enumerate(lines) if has_words([line]))
    signature: list[str] = []
    postscript: list[str] = []
    while True:
        start = footer_start(lines)
        if start is not None and start > worded:
            removed.append(Removed("footer", _joined(lines[start:]), "legal or automatic footer"))
            del lines[start:]
            continue
        found = signature_start(lines, all_lines=not signature)
        if found is None or found[0] <= worded:
            return [*lines, *postscript], _joined(signature)
        part, said = _postscript(lines[found[0] :])
        removed.append(Removed("signature", _joined(part), found[1]))
        signature[:0] = part
        postscript[:0] = said
        del lines[found[0] :]


def _postscript(lines: list[str]) -> tuple[list[str], list[str]]:
    """Divide a signature from the postscript below it."""
    for number, line in enumerate(lines[1:], 1):
        if is_postscript(line):
            return lines[:number], ["", *lines[number:]]
    return lines, []


def _joined(lines: list[str]) -> str:
    """Join lines without outer blank ones and with at most one blank line in a row."""
    stripped = [line.rstrip() for line in lines]
    kept = stripped[:1] + [after for before, after in pairwise(stripped) if before or after]
    return "\n".join(kept).strip("\n ")
