"""Legal and automatic footers, warnings above a mail, and what programs append."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 3_000
_MOST_LINES = 60

_REGISTER = re.compile(
    r"handelsregister|\bhr[ab]\s{0,2}\d|amtsgericht|registergericht|ust-?id|umsatzsteuer-id"
    r"|steuernummer\s*:|geschäftsf(?:ü|ue)hr(?:er|ung)"
    r"|vorstand(?:svorsitz\w*|smitglieder)?\s*[:(]|aufsichtsrat|sitz der gesellschaft"
    r"|firmensitz|vertretungsberechtigt|verantwortlich i\.?\s?s\.?\s?d|impressum"
    r"|registered (?:in|office|number)|company (?:no|number|registration)|vat (?:no|reg|number"
    r"|id)|\brcs\b|\bsiret?n?\b|capital (?:social|de)"
    r"|siège social|p\.?\s?iva|partita iva|sede legale|registro (?:imprese|mercantil)"
    r"|domicilio social|\bkvk\b|btw-?(?:nr|nummer)|sociedade|\bnif\b\s*:"
)
_CONFIDENTIAL = re.compile(
    r"confidential|vertraulich|rechtlich geschützt|confidentiel|confidencial|riservat"
    r"|vertrouwelijk|конфиденциальн|privileged|poufn|fortrolig|konfidentiell"
)
_THIS_MESSAGE = re.compile(
    r"e-?mail|message|nachricht|mitteilung|courriel|messaggio|mensaje|mensagem|bericht"
    r"|сообщени|письм|wiadomo|transmission|correo|attachment|anlage|anhang"
)
_WRONG_HANDS = re.compile(
    r"recipient|addressee|addressed|empfänger|adressat|destinatari?|destinataire|ontvanger"
    r"|geadresseerd|получател|адресат|adresat|in error|irrtümlich"
    r"|versehentlich|unbefugt|unauthori[sz]ed|disclos|weitergabe|vernicht|par erreur"
    r"|per errore|por error|por engano|abusivamente|strictly prohibited"
    r"|nicht gestattet|liability|haftung"
)
_APPENDED = re.compile(
    r"[\s*_>-]*(?:disclaimer|confidentiality notice|vertraulichkeitshinweis"
    r"|rechtlicher hinweis|legal notice|haftungsausschluss|avis de confidentialité|impressum"
    r"|imprint)\s*:?[\s*_-]*$"
    r"|.{0,40}(?:consider the environment|denken sie an die umwelt|umwelt zuliebe"
    r"|pensez à l'environnement|piense en el medio ambiente|pensa all'ambiente"
    r"|denk aan het milieu)"
    r"|.{0,60}(?:virus-?free|virenfrei|sans virus|scanned by|auf viren (?:geprüft|überprüft)"
    r"|checked for viruses|avast\.com|avg\.com)"
    r"|.{0,80}(?:unsubscribe|abbestellen|abmelden klicken|se désabonner|désinscri"
    r"|darse de baja|disiscri|cancellarsi|afmelden|отписаться)"
    r"|.{0,20}(?:you received this (?:e?-?mail|message) because"
    r"|you are receiving this (?:e?-?mail )?because|sie erhalten diese (?:e-?mail"
    r"|nachricht)[,]? weil|reply to this email directly)"
    r"|.{0,40}(?:mailing list$|datenschutz(?:hinweise|erklärung"
    r"|informationen)\b.{0,60}(?:https?:|www\.|unter|finden))"
    r"|diese (?:e-?mail|nachricht) wurde automatisch (?:erstellt|generiert)"
    r"|this is an automated (?:e?-?mail|message)"
)
# The first letters of the words that those patterns ask for: most paragraphs have none and need no pattern.
_STEM = 5
_HINTS = (
    "handelsregister hra hrb amtsgericht registergericht registro registered ust ustid "
    "umsatzsteuer steuernummer geschäftsführer geschaeftsfuehrer"
    " vorstand aufsichtsrat sitz firmensitz vertretungsberechtigt verantwortlich impressum "
    "imprint company vat rcs siren siret capital siège iva piva"
    " partita sede domicilio kvk btw sociedade nif confidential vertraulich rechtlich "
    "riservato vertrouwelijk конфиденциально privileged poufne"
    " fortrolig konfidentiell recipient addressee addressed empfänger adressat destinatario "
    "destinataire destinatari ontvanger geadresseerde"
    " получатель адресат error irrtümlich versehentlich unbefugte unauthorised disclosure "
    "weitergabe vernichten erreur errore engano abusivamente"
    " prohibited gestattet liability haftung disclaimer haftungsausschluss notice hinweis "
    "avis environment umwelt medio ambiente milieu virus virenfrei"
    " viren scanned checked avast avg unsubscribe abbestellen abmelden désabonner "
    "désinscrire baja disiscriviti cancellarsi afmelden отписаться"
    " received receiving erhalten reply mailing datenschutz datenschutzhinweise automatisch "
    "automated legal"
)
_STEMS = frozenset(word[:_STEM] for word in _HINTS.split())
_WORD = re.compile(r"\w+")
_BANNER_WORDS = re.compile(r"[\s\[\](){}*_!#>-]*(?:caution|warning|attention|achtung|warnung|vorsicht|extern)")
_BANNER = re.compile(
    r"[\s\[\](){}*_!#>-]*(?:caution|warning|attention|achtung|warnung|vorsicht"
    r"|externe? (?:e-?mail|nachricht|sender|absender)|external (?:e-?mail|sender|message)"
    r"|\[?extern(?:al)?\]?)\b"
    r".{0,120}(?:extern|outside|außerhalb|unbekannt|unknown sender|extérieur)",
    re.DOTALL,
)
_RULES = re.compile(r"[\s*_=–—-]*$")
_SUFFIX = re.compile(
    r"\s*\((?:adress?suche|adresse|standort|ortsangabe|kartenposition|address(?: search)?"
    r"|location|recherche d'adresse|localisation|dirección|ubicación"
    r"|indirizzo|endereço|adres|locatie)(?:\s+(?:nach|for|de|per|por"
    r"|op))?\s*:[^()]{0,300}(?:\([^()]{0,100}\)[^()]{0,100})?\)\s*$"
)
_SUFFIX_REACH = 700


def is_legal(paragraph: str) -> bool:
    """Tell whether a paragraph is an imprint, a confidentiality notice or a line that a program appended."""
    text = paragraph[:_LONGEST].lower()
    if _STEMS.isdisjoint([word[:_STEM] for word in _WORD.findall(text)]):
        return False
    if _APPENDED.match(text):
        return True
    if len(set(_REGISTER.findall(text))) >= 2:
        return True
    return bool(
        _THIS_MESSAGE.search(text)
        and _WRONG_HANDS.search(text)
        and (_CONFIDENTIAL.search(text) or len(_WRONG_HANDS.findall(text)) > 1)
    )


def footer_start(lines: Sequence[str]) -> int | None:
    """Return the first line of the legal footer at the end of a mail, None where there is none.

    Paragraphs are looked at from the last one up; the first paragraph of a mail is never a footer, nor is one of more
    than `_MOST_LINES` lines.
    """
    start: int | None = None
    end = len(lines)
    pending = 0
    while pending < 3:
        while end > 0 and not lines[end - 1].strip():
            end -= 1
        begin = end - 1
        while (
            begin > 0 and end - begin <= _MOST_LINES and lines[begin - 1].strip() and not _RULES.match(lines[begin - 1])
        ):
            begin -= 1
        if begin <= 0 or end - begin > _MOST_LINES:
            break
        paragraph = "\n".join(lines[begin:end])[:_LONGEST]
        if is_legal(paragraph):
            start, pending = begin, 0
        elif not _RULES.match(paragraph[:200]):
            pending += 1  # an imprint may go on in a paragraph that says nothing by itself
        elif pending == 0 and start is not None:
            start = begin
        end = begin
    return start


def banner_end(lines: Sequence[str]) -> int:
    """Return the line behind the warnings that a mail gateway put above a mail; 0 where there are none."""
    end = 0
    while True:
        begin = end
        while begin < len(lines) and not lines[begin].strip():
            begin += 1
        if begin >= len(lines) or not _BANNER_WORDS.match(lines[begin][:200].lower()):
            return end
        after = begin
        while after < len(lines) and lines[after].strip() and after < begin + 6:
            after += 1
        paragraph = "\n".join(lines[begin:after])[:_LONGEST].lower()
        if after >= len(lines) or len(paragraph) > 600 or not _BANNER.match(paragraph):
            return end
        end = after


def suffix_start(text: str) -> int:
    """Return where an appended place such as "(Adresssuche nach: ...)" begins; the text's length where none is."""
    reach = max(0, len(text) - _SUFFIX_REACH)
    if not text.endswith(")"):
        return len(text)
    tail = text[reach:].lower()
    if len(tail) != len(text) - reach:  # a character whose lower case is longer: positions would not match
        return len(text)
    opening = text.rfind("(", reach)
    while opening >= 0:
        match = _SUFFIX.match(tail, opening - reach)
        if match is not None:
            return opening
        opening = text.rfind("(", reach, opening)
    return len(text)
