"""What mail programs, companies and older messages put around the words of a simulated mail."""

from __future__ import annotations

import html
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

from frontdesk.simulation import identities

_CLOSINGS = (
    (
        "Mit freundlichen Grüßen",
        "Viele Grüße",
        "Beste Grüße",
        "Freundliche Grüße",
        "MfG",
        "LG",
        "Mit besten Grüßen",
        "Herzliche Grüße aus Köln",
    ),
    ("Kind regards,", "Best regards,", "Regards,", "Yours sincerely,", "Many thanks and best wishes,", "Cheers,"),
)
_MOBILE_LINES = (
    (
        "Von meinem iPhone gesendet",
        "Gesendet von meinem Samsung Galaxy",
        "Gesendet mit der WEB.DE Mail App",
        "Diese Nachricht wurde von meinem Android Mobiltelefon mit GMX Mail gesendet.",
    ),
    ("Sent from my iPhone", "Get Outlook for Android<https://aka.ms/AAb9ysg>", "Sent from Yahoo Mail on Android"),
)
_ROLES = (
    ("Steuerberater", "Geschäftsführerin", "Leiter Einkauf"),
    ("Managing Director", "Head of Finance", "Office Manager"),
)
_LEGAL = (
    (
        "{firm} GmbH | Sitz der Gesellschaft: Köln "
        "| Amtsgericht Köln, HRB {number}\nGeschäftsführer: {person} | USt-IdNr.: DE{number}111",
        "Diese E-Mail enthält vertrauliche und rechtlich geschützte Informationen. Wenn Sie "
        "nicht der richtige Empfänger sind oder diese E-Mail "
        "irrtümlich erhalten haben, informieren Sie bitte den Absender und vernichten Sie diese Mail.",
        "Bitte denken Sie an die Umwelt, bevor Sie diese E-Mail ausdrucken.",
    ),
    (
        "{firm} Ltd. Registered in England, company number {number}. Registered office: 1 High Street, Leeds",
        "This e-mail and any attachments are confidential and intended solely for the addressee. "
        "If you have received this message in error, "
        "please notify the sender and delete it.",
        "Please consider the environment before printing this e-mail.",
    ),
)
_DESK = (
    "Guten Tag,\n\nvielen Dank für Ihre Nachricht. Wir kümmern uns darum und melden uns "
    "innerhalb von zwei Tagen.\n\nIhr Kundenservice\nTel. 089 1234567",
    "Hello,\n\nthank you for your message. We are looking into it and will come back to you "
    "within two days.\n\nYour customer service\nTel. +49 89 1234567",
)
_WEEKDAYS = ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So")
_STYLE = "<style>p {margin:0; font-family:Arial} .q {border-left:1px solid #ccc} @media print {p {color:#000}}</style>"
_PIXEL = '<img src="https://t.mailer.example/o.gif?u={number}" width="1" height="1" alt="">'


@dataclass(frozen=True)
class Writer:
    """Who writes: language (0 German, 1 English), name, and whether from a company."""

    language: int
    first: str
    last: str
    firm: str | None

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"


def signature(writer: Writer, dice: random.Random) -> list[str]:
    """Return the paragraphs below the text: closing, name, contact, footers."""
    if dice.random() < 0.12:
        return []
    if dice.random() < 0.12:
        return [dice.choice(_MOBILE_LINES[writer.language])]
    lines = [dice.choice(_CLOSINGS[writer.language]), writer.name if dice.random() < 0.8 else writer.first]
    parts: list[str] = []
    if writer.firm is not None:
        lines += [
            "",
            f"{dice.choice(_ROLES[writer.language])}, {writer.firm} GmbH",
            f"Tel. {identities.phone(dice)}",
            identities.email(dice),
        ]
        number = str(dice.randrange(10_000, 99_999))
        legal = dice.sample(_LEGAL[writer.language], k=dice.randint(1, 3))
        person = " ".join(identities.person(dice))
        parts = [text.format(firm=writer.firm, number=number, person=person) for text in legal]
    elif dice.random() < 0.3:
        lines += (
            [f"Mobil: {identities.phone(dice)}"]
            if dice.random() < 0.5
            else [f"{writer.last}weg {dice.randrange(1, 99)}", "50667 Köln"]
        )
    if dice.random() < 0.15:
        lines = ["-- ", writer.name, *lines[2:]]
    return ["\n".join(lines), *parts]


def quote(writer: Writer, received: datetime, dice: random.Random) -> tuple[str, list[str]]:
    """Return the line or block that introduces the desk's answer, and the answer's lines, ``>`` marked or not."""
    answer = _DESK[writer.language].split("\n")
    sent = received - timedelta(hours=dice.randrange(2, 90))
    german = writer.language == 0
    form = dice.random()
    if form < 0.35:
        stamp = sent.strftime("%d.%m.%Y um %H:%M") if german else sent.strftime("%a, %b %d, %Y at %I:%M %p")
        if german and dice.random() < 0.5:
            stamp = f"{_WEEKDAYS[sent.weekday()]}., {sent.day}. {sent.strftime('%m.%Y um %H:%M')} Uhr"
        intro = (
            f"Am {stamp} schrieb Kundenservice <service@mein-broker.de>:"
            if german
            else f"On {stamp}, Service <service@mein-broker.de> wrote:"
        )
        return intro, [f"> {line}".rstrip() for line in answer]
    names = ("Von", "Gesendet", "An", "Betreff") if german else ("From", "Sent", "To", "Subject")
    values = (
        "Kundenservice <service@mein-broker.de>",
        sent.strftime("%d.%m.%Y %H:%M"),
        writer.name,
        "AW: Ihre Anfrage" if german else "RE: your request",
    )
    block = "\n".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
    if form < 0.6:
        block = ("-----Ursprüngliche Nachricht-----\n" if german else "-----Original Message-----\n") + block
    elif form < 0.75:
        block = "_" * 32 + "\n" + block
    return block + "\n", answer


def plain(text: str, below: list[str], quoted: tuple[str, list[str]] | None, place: str | None) -> str:
    """Return a plain body."""
    parts = [text, *below]
    if quoted is not None:
        parts.append("\n".join([quoted[0], *quoted[1]]))
    body = "\n\n".join(parts)
    return body if place is None else f"{body} (Adresssuche nach: {place})"


def marked_up(text: str, below: list[str], quoted: tuple[str, list[str]] | None, dice: random.Random) -> str:
    """Return an HTML body with a style sheet, a hidden preview line, sometimes a pixel."""
    paragraphs = "".join(f"<p>{_escaped(part)}</p><p>&nbsp;</p>" for part in [*text.split("\n\n"), *below])
    older = ""
    if quoted is not None:
        intro, lines = quoted
        bare = "<br>".join(html.escape(line.removeprefix(">").strip()) for line in lines)
        if lines[0].startswith(">"):
            older = (
                f'<div class="gmail_quote"><div class="gmail_attr">{_escaped(intro)}</div><blockquote '
                f'class="gmail_quote">{bare}</blockquote></div>'
            )
        else:
            older = f'<div style="border-top:solid #E1E1E1 1.0pt"><p>{_escaped(intro.strip())}</p></div><p>{bare}</p>'
    pixel = _PIXEL.format(number=dice.randrange(10**9)) if dice.random() < 0.5 else ""
    preview = '<div style="display:none;max-height:0">Vorschau</div>' if dice.random() < 0.2 else ""
    return f'<html><head><meta charset="utf-8">{_STYLE}</head><body>{preview}{paragraphs}{older}{pixel}</body></html>'


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>")


def message(subject: str, body: str, markup: str | None, writer: Writer, received: datetime) -> str:
    """Return a raw message with headers, as a mailbox stores it; non-ASCII text is transfer-encoded."""
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["From"] = f"{writer.first} <kunde@example.org>"
    mail["To"] = "service@mein-broker.de"
    mail["Date"] = format_datetime(received)
    mail.set_content(body, charset="utf-8", cte="quoted-printable")
    if markup is not None:
        mail.add_alternative(markup, subtype="html", charset="utf-8", cte="base64")
        mail.set_boundary(f"=_{received:%Y%m%d%H%M%S}_=")  # the standard library would draw one
    return mail.as_string()
