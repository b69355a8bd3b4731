"""A raw mail opened: its subject, its plain or HTML body, its sender's name, the attachments that are left out."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message

from frontdesk.text.charset import decoded

MAX_BYTES = 2_000_000
"""What lies behind is cut before any work: attachments, which are not read, come last."""
_MAX_PARTS = 200
_MAX_DELIMITERS = 2_000
_LONGEST_HEADER = 4_000
_MAX_SUBJECT = 1_000

_READ_HEADERS = ("subject", "content-type", "content-disposition", "content-transfer-encoding")
_HEADER = re.compile(r"[!-9;-~]{1,76}:")
# At least one of these stands in front of every real message; people who paste "From: To: Subject:" have none of them.
_MACHINE_HEADERS = re.compile(
    r"^(?:mime-version|content-type|content-transfer-encoding|message-id|received|return-path|delivered-to"
    r"|dkim-signature|x-mailer):",
    re.IGNORECASE | re.MULTILINE,
)
_MARKUP = re.compile(
    r"<(?:!doctype|html|head|body|div|p|br|span|table|td|tr|font|blockquote|style|meta"
    r"|a\s+href|b|i|strong|ul|li|h[1-6])"
    r"(?:\s[^<>]{0,2000})?/?>",
    re.IGNORECASE,
)


@dataclass
class OpenedMail:
    """What a mail holds before cleaning.

    Attributes:
        body: the text to clean.
        is_html: whether the body is markup.
        subject: the decoded subject, None without headers.
        attachments: ``(file name, content type)`` of what was left out.
    """

    body: str
    is_html: bool
    subject: str | None = None
    attachments: list[tuple[str, str]] = field(default_factory=list)


def looks_like_message(text: str) -> bool:
    """Tell whether a text begins with the headers of a message (RFC 5322), not with a pasted "From: ... Sent: ..."."""
    begin = text[:20_000].lstrip("\r\n\ufeff")
    if not _HEADER.match(begin):
        return False
    head = re.split(r"\r?\n\r?\n", begin, maxsplit=1)[0]
    lines = head.splitlines()[:200]
    return all(_HEADER.match(line) or line[:1] in (" ", "\t") for line in lines) and bool(_MACHINE_HEADERS.search(head))


def looks_like_html(text: str) -> bool:
    """Tell whether a text holds tags that mails are written in."""
    return "<" in text and _MARKUP.search(text) is not None


def open_mail(raw: str | bytes, kind: str) -> OpenedMail:
    """Open a mail of a kind: `auto`, `plain`, `html` or `eml`. Never raises: what cannot be parsed is plain text."""
    raw = raw[:MAX_BYTES]
    text = raw if isinstance(raw, str) else None
    if kind == "eml" or (kind == "auto" and looks_like_message(text if text is not None else _ascii(raw))):
        opened = _parsed(raw)
        if opened is not None:
            return opened
    if text is None:
        assert isinstance(raw, bytes)
        text = decoded(raw)
    return OpenedMail(text, kind == "html" or (kind in ("auto", "eml") and looks_like_html(text)))


def _ascii(raw: str | bytes) -> str:
    return raw[:20_000].decode("latin-1") if isinstance(raw, bytes) else raw


def decoded_subject(raw: str | bytes) -> str:
    """Return a subject with its encoded words (RFC 2047) decoded, cut at `_MAX_SUBJECT`. Never raises."""
    text = (raw if isinstance(raw, str) else decoded(raw[:MAX_BYTES]))[:_MAX_SUBJECT]
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text))) or text
    except (MessageError, LookupError, ValueError):  # an unknown character set, wrong base64
        return text


def _parsed(raw: str | bytes) -> OpenedMail | None:
    """Parse a message with the standard library, whose parser raises many kinds of errors on hostile headers."""
    try:
        content = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
        if content.count(b"\n--") > _MAX_DELIMITERS:  # thousands of parts take seconds
            return None
        message = email.message_from_bytes(content.lstrip(b"\r\n"), policy=email.policy.default)
        return _opened(message, isinstance(raw, str))
    except Exception:
        return None


def _opened(message: EmailMessage, was_text: bool) -> OpenedMail | None:
    plain: list[str] = []
    markup: list[str] = []
    attachments: list[tuple[str, str]] = []
    for number, part in enumerate(message.walk()):
        if number >= _MAX_PARTS:
            break
        if any(len(value) > _LONGEST_HEADER for name, value in part.raw_items() if name.lower() in _READ_HEADERS):
            return None  # the standard library takes time quadratic in a header's length
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
            attachments.append((str(part.get_filename() or "")[:200], kind))
            continue
        (plain if kind == "text/plain" else markup).append(_content(part, was_text))
    subject = message["subject"]
    body = "\n\n".join(text for text in plain if text.strip())
    rich = "\n".join(text for text in markup if text.strip())
    # A plain part next to a long HTML part that says "your program shows no HTML" is not the mail.
    is_html = bool(rich) and len(body.strip()) < min(200, len(rich) // 50)
    if not is_html and not body and not message.keys():
        return None
    title = None if subject is None else str(subject)[:_MAX_SUBJECT]
    return OpenedMail(rich if is_html else body, is_html, title, attachments)


def _content(part: Message, was_text: bool) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    encoded = str(part.get("content-transfer-encoding", "")).strip().lower() in ("base64", "quoted-printable")
    # A message that was given as text has its 8-bit parts in UTF-8 already, whatever it declares.
    declared = part.get_content_charset() if encoded or not was_text else "utf-8"
    return decoded(payload, declared)
