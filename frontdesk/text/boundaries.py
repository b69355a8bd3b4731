"""Where an older message begins: attributions, header blocks and separators in many languages.

Every pattern is anchored and applied to one line, or to at most six joined ones, cut at `_LONGEST`: the work is linear
in the number of lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 600
_JOINED = 6

_VERBS = (
    "wrote|writes|schrieb|schreibt|geschrieben|a écrit|a ecrit|écrit|écrivait|escribió"
    "|escribio|escribe|ha scritto|scrive"
    "|escreveu|escreve|schreef|geschreven|skrev|skriver|napisał\\(a\\)|napisał|napisała"
    "|napisal|kirjoitti|написал\\(а\\)"
    "|написала|написал|пишет|писал|писав|написав|írta|napsal\\(a\\)|napsal|napísal|yazdı"
    "|έγραψε|a scris|đã viết|написа"
    "|na napisal|написали|dades va escriure|va escriure|さんは書きました|写道|寫道|sent|kirjoitit|rašė"
)
_INTROS = (
    "on|am|le|el|il|em|op|den|på|w dniu|dnia|vào|a|la|lør|søn|man|tir|ons|tor|fre|ma|di|wo|do"
    "|vr|za|zo|ke|to|pe|su|ti"
    "|mon|tue|wed|thu|fri|sat|sun|mo|mi|fr|sa|so|lun|mar|mer|jeu|ven|sam|dim|gio|sab|dom|seg"
    "|ter|qua|qui|sex|sáb|mié|jue"
    "|vie|пн|вт|ср|чт|пт|сб|вс|в|dne|dňa|lö|sö|må|ti|to"
)
_WEEKDAYS = (
    "monday|tuesday|wednesday|thursday|friday|saturday|sunday|montag|dienstag|mittwoch"
    "|donnerstag|freitag|samstag|sonntag"
    "|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|lunes|martes|miércoles|jueves"
    "|viernes|sábado|domingo|lunedì"
    "|martedì|mercoledì|giovedì|venerdì|sabato|domenica|segunda|terça|quarta|quinta|sexta"
    "|maandag|dinsdag|woensdag"
    "|donderdag|vrijdag|zaterdag|zondag|понедельник|вторник|среда|среду|четверг|пятница"
    "|пятницу|суббота|воскресенье"
)
_PREFIX = r"[\s>*_|\"'-]{0,40}"
_FEW_SPACES = 4
_SIGNS = re.compile("[0-9@:\uff1a]|--|__|==|>")
_NUMBER_OR_AT = re.compile("[0-9@]")
_DATE = re.compile(
    r"\b\d{1,2}[:.h]\d{2}\b|\b(?:19|20)\d{2}\b|\b\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b"
    r"|\b\d{1,2}[./-](?:[a-z]{3,4})[./-]\d{2,4}"
)
_ADDRESS = re.compile(r"[^\s<>@\"()\[\]:;,]{1,100}@[^\s<>@\"()\[\];,]{1,200}")
_START = re.compile(rf"{_PREFIX}(?:(?:{_INTROS}|{_WEEKDAYS})\b|\d{{1,4}}[./\s-])")
_INTRODUCED = re.compile(rf"{_PREFIX}(?:{_INTROS}|{_WEEKDAYS})\b")
_ENDS_WITH_VERB = re.compile(rf"(?:^|[\s>)\]\"\d,])(?:{_VERBS})\s*(?:via [^:]{{1,40}})?:?[\s*_-]*$")
_VERB = re.compile(rf"\b(?:{_VERBS})(?=[\s:,]|$)(?P<rest>.{{0,300}}):[\s*_]*$")
_FIRST_PERSON = re.compile(
    rf"\b(?:i|we|you|they|he|she|it|ich|wir|sie|je|nous|vous|yo|io|eu|ik|я|мы|hat|haben|have|has|who|that)"
    rf"(?:\s+\w{{1,12}})?\s+(?:{_VERBS})\b"
)
_DASHED = re.compile(rf"\s*-{{2,}}\s*.{{1,300}}\b(?:{_VERBS})\s*:?\s*-{{2,}}\s*$")
_INLINE = re.compile(rf"(?<=[^\s-])\s*-{{3,}}\s*(?=(?:{_INTROS})\s)")
_ENDS_WITH_ADDRESS = re.compile(r"[<(\[]\s?[^<>()\[\]@\s]{0,100}@[^<>()\[\]\s]{1,200}\s*[>)\]]{1,2}\s*:?[\s*_]*$")

_ORIGINAL = (
    "original message|original e-?mail|original appointment|reply message"
    "|ursprüngliche nachricht|original-?nachricht"
    "|originalnachricht|ursprüngliche mail|antwort nachricht|message d'origine"
    "|message original|message initial"
    "|message d’origine|mensaje original|messaggio originale|mensagem original"
    "|oorspronkelijk bericht|originele bericht"
    "|oprindelig meddelelse|opprinnelig melding|ursprungligt meddelande|originalmeddelande"
    "|wiadomość oryginalna"
    "|oryginalna wiadomość|исходное сообщение|оригинальное сообщение|alkuperäinen viesti"
    "|původní zpráva|orijinal mesaj"
    "|eredeti üzenet|mesaj original|原始邮件|原始郵件|元のメッセージ|original meddelelse"
)
_FORWARDED = (
    "forwarded message|begin forwarded message|forwarded by .{1,100}"
    "|weitergeleitete nachricht|weitergeleitete e-?mail"
    "|anfang der weitergeleiteten (?:nachricht|e-?mail)|weitergeleitet von .{1,100}"
    "|message transféré|message transmis"
    "|début du message (?:transféré|réexpédié)|mensaje reenviado|inicio del mensaje reenviado"
    "|messaggio inoltrato"
    "|inizio messaggio inoltrato|mensagem encaminhada|mensagem reencaminhada|doorgestuurd bericht"
    "|begin doorgestuurd bericht|пересылаемое сообщение|пересланное сообщение"
    "|начало переадресованного сообщения"
    "|videresendt (?:besked|meddelelse|melding)|vidarebefordrat (?:meddelande|brev)|wiadomość przekazana"
    "|przekazana wiadomość|välitetty viesti|přeposlaná zpráva|转发邮件"
)
_SEPARATOR = re.compile(
    rf"[\s>*]*(?:[-_=]{{2,}}\s*)?(?:(?P<reply>{_ORIGINAL})"
    rf"|(?P<forward>{_FORWARDED}))\s*:?\s*(?:[-_=]{{2,}})?[\s*]*$"
)
RULE_LINE = re.compile(r"[\s>*]*[-_=—–]{4,}\s*$")

_ROLES = {
    "from": "from|von|de|da|van|fra|från|od|от|от кого|lähettäjä|expéditeur|mittente|remitente"
    "|absender|feladó|kimden"
    "|gönderen|差出人|发件人|寄件者|remetente|afzender|de la",
    "date": "sent|date|gesendet|gesendet am|datum|envoyé|envoyé le|enviado|enviado el|enviada em"
    "|enviado em|fecha|inviato"
    "|verzonden|verzonden op|sendt|dato|skickat|wysłano|data|дата|отправлено|lähetetty"
    "|päiväys|送信日時|日時|发送时间|日期"
    "|message du|posted at|odesláno|küldve|tarih|päivämäärä",
    "to": "to|an|à|a|para|aan|til|till|do|кому|vastaanottaja|宛先|收件人|címzett|kime|komu|per"
    "|destinataire|empfänger|pour",
    "copy": "cc|bcc|kopie|kopie an|copie|copie à|copia|cópia|kopi|kopia|kopio|копия|抄送|reply-to"
    "|antwort an|répondre à"
    "|responder a|rispondi a|attachments|anlagen|importance|wichtigkeit|priority|priorität",
    "subject": "subject|betreff|objet|sujet|asunto|oggetto|assunto|onderwerp|emne|ämne|temat|тема|aihe"
    "|件名|主题|主旨"
    "|tárgy|konu|předmět|re|subiect",
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names.split("|")}
_HEADER = re.compile(r"[\s>*_|]{0,40}([^\W\d_][\w\s-]{0,14}?)\s*[*_]{0,3}\s*[:\uff1a]\s*[*_]{0,3}(?P<value>.*)$")
_HEADER_LINES = 14

_QUOTED = re.compile(r"\s{0,3}>")


@dataclass(frozen=True)
class Boundary:
    """A place where an older message begins.

    Attributes:
        body: the first line of the older message's own text.
        kind: quote or forward.
        why: the rule.
        attribution: whether it is a line such as "On ... wrote:", behind which only ``>`` lines may be quoted.
        column: where it begins inside the line; 0 almost always.
    """

    body: int
    kind: str
    why: str
    attribution: bool = False
    column: int = 0


def is_quoted(line: str) -> bool:
    """Tell whether a line is marked as quoted."""
    return _QUOTED.match(line) is not None


def boundary_at(lines: Sequence[str], number: int) -> Boundary | None:
    """Return the boundary that begins at a line, None where none does."""
    line = lines[number][:_LONGEST].lower()
    if line.count(" ") > _FEW_SPACES and not _SIGNS.search(line):
        return None  # prose
    separator = _SEPARATOR.match(line) if len(line) < 200 and _may_separate(line) else None
    if separator is not None:
        forward = separator["forward"] is not None
        if _stands_alone(line):
            after = _next_filled(lines, number + 1)
            block = _header_block(lines, after, after_rule=True) if after < len(lines) else None
            body = block if block is not None else number + 1
            return Boundary(body, "forward" if forward else "quote", "line that announces an older message")
    if ":" in line[:60] or "\uff1a" in line[:60]:
        end = _header_block(lines, number, after_rule=_follows_rule(lines, number))
        if end is not None:
            return Boundary(end, "quote", "block of mail headers")
    if "--" in line and _DASHED.match(line):
        return Boundary(number + 1, "quote", "line that says who wrote", attribution=True)
    end = _attribution(lines, number)
    if end is not None:
        return Boundary(end, "quote", "line that says who wrote", attribution=True)
    inline = _INLINE.search(line) if "---" in line else None
    if inline is not None:
        rest = line[inline.end() :]
        if _attribution([rest, *lines[number + 1 : number + 3]], 0) is not None:
            return Boundary(number + 1, "quote", "line that says who wrote", True, inline.start())
    return None


def _may_separate(line: str) -> bool:
    return (
        "--" in line
        or "__" in line
        or "==" in line
        or line.rstrip(" *").endswith(":")
        or line.count(" ") <= _FEW_SPACES
    )


def _stands_alone(line: str) -> bool:
    """Tell a separator from a sentence: it has dashes, ends with a colon, or is a quoted line of its own."""
    bare = line.strip(" \t>*")
    return bare[:2] in ("--", "__", "==") or bare.endswith(":") or len(bare.split()) <= 3


def _next_filled(lines: Sequence[str], number: int, reach: int = 4) -> int:
    end = min(len(lines), number + reach)
    while number < end and not lines[number].strip(" \t>"):
        number += 1
    return number if number < end else len(lines)


def _previous_filled(lines: Sequence[str], number: int) -> int | None:
    for above in range(number - 1, max(-1, number - 4), -1):
        if lines[above].strip():
            return above
    return None


def _follows_rule(lines: Sequence[str], number: int) -> bool:
    above = _previous_filled(lines, number)
    return above is not None and RULE_LINE.match(lines[above]) is not None


def _role(line: str) -> tuple[str, str] | None:
    match = _HEADER.match(line[:_LONGEST])
    if match is None:
        return None
    role = _ROLE_OF.get(" ".join(match[1].lower().split()))
    return None if role is None else (role, match["value"])


def _header_block(lines: Sequence[str], number: int, after_rule: bool = False) -> int | None:
    """Return the line behind a block of mail headers that begins at a line, None where no such block begins."""
    first = _role(lines[number])
    if first is None or first[0] not in ("from", "date", "subject", "to"):
        return None
    roles, values, last = {first[0]}, [first[1]], number
    misses = 0
    for place in range(number + 1, min(len(lines), number + _HEADER_LINES)):
        line = lines[place]
        if not line.strip(" \t>"):
            misses += 1
            if misses > 1 or len(roles) >= 3:
                break
            continue
        found = _role(line)
        if found is None:
            misses += 1
            values.append(line[:_LONGEST])
            if misses > 2:
                break
            continue
        if found[0] in roles and found[0] != "copy":
            break  # the next block
        misses = 0
        roles.add(found[0])
        values.append(found[1])
        last = place
    named = roles - {"copy"}
    has_address = any("@" in value for value in values)
    has_date = "date" in roles
    enough = (
        ("from" in named and "subject" in named)
        or ("from" in named and has_date and (has_address or after_rule))
        or ("from" in named and "to" in named and (has_address or after_rule))
        or (has_date and "to" in named and has_address)
        or (has_date and "subject" in named and "to" in named)
    )
    if not enough:
        return None
    if (
        last + 1 < len(lines)
        and lines[last + 1].strip()
        and lines[last].lower().strip(" >*").startswith(("subject", "betreff"))
    ):
        following = lines[last + 1]
        if _role(following) is None and following[:1] in (" ", "\t"):
            last += 1  # a folded subject
    return last + 1


def _attribution(lines: Sequence[str], number: int) -> int | None:
    """Return the line behind an attribution ("On ... X wrote:") that begins at a line and may be wrapped."""
    first = lines[number][:_LONGEST]
    if not _NUMBER_OR_AT.search(first) and not _INTRODUCED.match(first.lower()):
        return None
    first = first.lower()
    if not _START.match(first):
        if ":" in first[-3:] and "@" in first and _ENDS_WITH_VERB.search(first) and len(first) < 250:
            return number + 1  # "Name <address> wrote:"
        return None
    dated = _DATE.search(first) is not None
    if not dated and "@" not in first:
        quoted_next = number + 1 < len(lines) and is_quoted(lines[min(len(lines) - 1, _next_filled(lines, number + 1))])
        if quoted_next and _INTRODUCED.match(first) and _ENDS_WITH_VERB.search(first):
            return number + 1
        return None
    joined, blanks = "", 0
    for place in range(number, min(len(lines), number + _JOINED)):
        line = lines[place]
        if not line.strip(" \t>"):
            blanks += 1
            if blanks > 1 or place + 1 >= len(lines) or not lines[place + 1].lstrip(" >").startswith(("<", "mailto:")):
                break
            continue
        if place > number and is_quoted(line) and not is_quoted(first) and not _closes_an_address(line):
            break
        joined = f"{joined} {line.strip()}"[:_LONGEST]
        if _is_attribution(joined, lines, place):
            return place + 1
        if place > number and len(line) > 120:
            break
    return None


def _closes_an_address(line: str) -> bool:
    """Tell the end of a wrapped "<address>" from a quoted line."""
    bare = line.strip(" \t>")
    return bare in ("", ":") or (
        len(line) < _LONGEST and _ENDS_WITH_VERB.search(line.lower()) is not None and len(line) < 40
    )


def _is_attribution(joined: str, lines: Sequence[str], last: int) -> bool:
    below = _next_filled(lines, last + 1)
    quoted_below = below < len(lines) and is_quoted(lines[below]) and not _closes_an_address(lines[below])
    folded = joined.lower()
    if _ENDS_WITH_VERB.search(folded):
        return quoted_below or not _FIRST_PERSON.search(folded)
    match = _VERB.search(folded)
    if match is not None:
        rest = joined[match.start("rest") : match.end("rest")]
        return quoted_below or bool(_ADDRESS.search(joined)) or _is_name(rest)
    if _ENDS_WITH_ADDRESS.search(folded) and len(joined) < 250:
        return quoted_below or (joined.rstrip(" *_").endswith(":") and _DATE.search(folded) is not None)
    return False


def _is_name(text: str) -> bool:
    words = text.strip(" \"'").split()
    small = {"von", "de", "van", "der", "da", "di", "du", "la", "le", "zu", "dos", "el"}
    return 0 < len(words) <= 5 and all(word[:1].isupper() or word in small for word in words)
