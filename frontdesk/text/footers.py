"""Legal and automatic footers, warnings above a mail, and what programs append."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 3_000

_REGISTER = re.compile(
    r"handelsregister|\bhr[ab]\s{0,2}\d|amtsgericht|registergericht|ust-?id|umsatzsteuer-id|steuernummer\s*:|geschäftsf(?:ü|ue)hr(?:er|ung)"
    r"|vorstand(?:svorsitz\w*|smitglieder)?\s*[:(]|aufsichtsrat|sitz der gesellschaft|firmensitz|vertretungsberechtigt|verantwortlich i\.?\s?s\.?\s?d|impressum"
    r"|registered (?:in|office|number)|company (?:no|number|registration)|vat (?:no|reg|number|id)|\brcs\b|\bsiret?n?\b|capital (?:social|de)"
    r"|siège social|p\.?\s?iva|partita iva|sede legale|registro (?:imprese|mercantil)|domicilio social|\bkvk\b|btw-?(?:nr|nummer)|sociedade|\bnif\b\s*:",
    re.IGNORECASE,
)
_CONFIDENTIAL = re.compile(
    r"confidential|vertraulich|rechtlich geschützt|confidentiel|confidencial|riservat|vertrouwelijk|конфиденциальн|privileged|poufn|fortrolig|konfidentiell",
    re.IGNORECASE,
)
_THIS_MESSAGE = re.compile(
    r"e-?mail|message|nachricht|mitteilung|courriel|messaggio|mensaje|mensagem|bericht|сообщени|письм|wiadomo|transmission|correo|attachment|anlage|anhang",
    re.IGNORECASE,
)
_WRONG_HANDS = re.compile(
    r"recipient|addressee|addressed|empfänger|adressat|destinatari?|destinataire|ontvanger|geadresseerd|получател|адресат|adresat|in error|irrtümlich"
    r"|versehentlich|unbefugt|unauthori[sz]ed|disclos|weitergabe|vernicht|par erreur|per errore|por error|por engano|abusivamente|strictly prohibited"
    r"|nicht gestattet|liability|haftung",
    re.IGNORECASE,
)
_APPENDED = re.compile(
    r"[\s*_>-]*(?:disclaimer|confidentiality notice|vertraulichkeitshinweis|rechtlicher hinweis|legal notice|haftungsausschluss|avis de confidentialité|impressum|imprint)\s*:?[\s*_-]*$"
    r"|.{0,40}(?:consider the environment|denken sie an die umwelt|umwelt zuliebe|pensez à l'environnement|piense en el medio ambiente|pensa all'ambiente|denk aan het milieu)"
    r"|.{0,60}(?:virus-?free|virenfrei|sans virus|scanned by|auf viren (?:geprüft|überprüft)|checked for viruses|avast\.com|avg\.com)"
    r"|.{0,80}(?:unsubscribe|abbestellen|abmelden klicken|se désabonner|désinscri|darse de baja|disiscri|cancellarsi|afmelden|отписаться)"
    r"|.{0,20}(?:you received this (?:e?-?mail|message) because|you are receiving this (?:e?-?mail )?because|sie erhalten diese (?:e-?mail|nachricht)[,]? weil|reply to this email directly)"
    r"|.{0,40}(?:mailing list$|datenschutz(?:hinweise|erklärung|informationen)\b.{0,60}(?:https?:|www\.|unter|finden))"
    r"|diese (?:e-?mail|nachricht) wurde automatisch (?:erstellt|generiert)|this is an automated (?:e?-?mail|message)",
    re.IGNORECASE,
)
_BANNER = re.compile(
    r"[\s\[\](){}*_!#>-]*(?:caution|warning|attention|achtung|warnung|vorsicht|externe? (?:e-?mail|nachricht|sender|absender)|external (?:e-?mail|sender|message)|\[?extern(?:al)?\]?)\b"
    r".{0,120}(?:extern|outside|außerhalb|unbekannt|unknown sender|extérieur)",
    re.IGNORECASE | re.DOTALL,
)
_RULES = re.compile(r"[\s*_=–—-]*$")
_SUFFIX = re.compile(
    r"\s*\((?:adress?suche|adresse|standort|ortsangabe|kartenposition|address(?: search)?|location|recherche d'adresse|localisation|dirección|ubicación"
    r"|indirizzo|endereço|adres|locatie)(?:\s+(?:nach|for|de|per|por|op))?\s*:[^()]{0,300}(?:\([^()]{0,100}\)[^()]{0,100})?\)\s*$",
    re.IGNORECASE,
)
_SUFFIX_REACH = 700


def is_legal(paragraph: str) -> bool:
    """Tell whether a paragraph is an imprint, a confidentiality notice or a line that a program appended."""
    text = paragraph[:_LONGEST]
    if _APPENDED.match(text):
        return True
    if len({match.lower() for match in _REGISTER.findall(text)}) >= 2:
        return True
    return bool(_THIS_MESSAGE.search(text) and _WRONG_HANDS.search(text) and (_CONFIDENTIAL.search(text) or len(_WRONG_HANDS.findall(text)) > 1))


def footer_start(lines: Sequence[str]) -> int | None:
    """Return the first line of the legal footer at the end of a mail, None where there is none.

    Paragraphs are looked at from the last one up; the first paragraph of a mail is never a footer.
    """
    filled = [number for number, line in enumerate(lines) if line.strip()]
    start: int | None = None
    end = len(filled)
    pending = 0
    while end > 0 and pending < 3:
        begin = end - 1
        while begin > 0 and filled[begin] == filled[begin - 1] + 1 and not _RULES.match(lines[filled[begin - 1]]):
            begin -= 1
        if begin == 0:
            break
        paragraph = "\n".join(lines[number] for number in filled[begin:end])
        if is_legal(paragraph):
            start, pending = filled[begin], 0
        elif not _RULES.match(paragraph[:200]):
            pending += 1  # an imprint may go on in a paragraph that says nothing by itself
        elif pending == 0 and start is not None:
            start = filled[begin]
        end = begin
    return start


def banner_end(lines: Sequence[str]) -> int:
    """Return the line behind the warnings that a mail gateway put above a mail; 0 where there are none."""
    end = 0
    while True:
        begin = end
        while begin < len(lines) and not lines[begin].strip():
            begin += 1
        after = begin
        while after < len(lines) and lines[after].strip() and after < begin + 6:
            after += 1
        paragraph = "\n".join(lines[begin:after])[:_LONGEST]
        if after >= len(lines) or len(paragraph) > 600 or not _BANNER.match(paragraph):
            return end
        end = after


def suffix_start(text: str) -> int:
    """Return where an appended place such as "(Adresssuche nach: ...)" begins; the text's length where none is."""
    reach = max(0, len(text) - _SUFFIX_REACH)
    opening = text.rfind("(", reach)
    while opening >= 0:
        match = _SUFFIX.match(text, opening)
        if match is not None:
            return opening
        opening = text.rfind("(", reach, opening)
    return len(text)
