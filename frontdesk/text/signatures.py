"""Where a signature begins: delimiters, mobile lines, closing phrases, contact blocks.

Patterns are anchored and see at most `_LONGEST` characters of a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 200
_MOST_LINES = 16
_SHORT_LINE = 90

_DELIMITER = re.compile(r"\s{0,3}(?:[-–—]{1,3}|_{2,3})\s*$")
_LONG_DELIMITER = re.compile(r"\s{0,3}(?:[-–—_=*]\s?){4,}$")
_MOBILE = re.compile(
    r"[\s(\[*_]*(?:"
    r"(?:sent|posted|shared) (?:from|via|by|with|using)(?: my| a)? (?P<en>[^.,;!?]{2,60})"
    r"|get outlook for (?:ios|android)\b.{0,80}|sent from outlook\b.{0,40}|via mobile"
    r"|download (?:the )?(?:all-new )?aol app\b.{0,60}"
    r"|(?:von meine[mr]|vom|mit meinem) (?P<de>[^.,;!?]{2,50}) (?:gesendet|gesandt|verschickt|geschickt)"
    r"|gesendet (?:von|mit|über|aus|vom)(?: meinem| meiner| der| dem)? (?P<de2>[^.,;!?]{2,60})"
    r"|diese (?:e-?mail|nachricht) wurde (?:von|mit) .{2,60}(?:gesendet|verschickt)"
    r"|(?:holen sie sich|hol dir) outlook für .{2,60}|outlook für (?:ios|android)\b.{0,60}"
    r"|envoyé (?:depuis|de|à partir de)(?: mon| ma)? .{2,60}|envoyé avec .{2,40}|télécharger outlook pour .{2,60}"
    r"|enviado (?:desde|do|da|a partir do|de)(?: mi| meu| minha)? .{2,60}|obtener outlook para .{2,60}|obter o outlook .{2,60}"
    r"|inviato (?:da|dal|dalla|con)(?: il)?(?: mio| mia)? .{2,60}|ottieni outlook per .{2,60}"
    r"|(?:verstuurd|verzonden) (?:vanaf|met|via)(?: mijn)? .{2,60}|outlook (?:voor|downloaden) .{2,60}"
    r"|отправлено (?:с|из|от) .{2,60}|wysłane? z .{2,60}|sendt fra .{2,60}|skickat från .{2,60}|lähetetty .{2,60}"
    r"|odesláno z .{2,60}|gönderildi .{2,60}|iphone(?:'|’)umdan gönderildi|iphoneから送信|发自我的.{1,40}"
    r")[\s)\]*_]*$",
    re.IGNORECASE,
)
_DEVICE = re.compile(
    r"iphone|ipad|ipod|android|blackberry|samsung|galaxy|nokia|htc|huawei|xiaomi|pixel|wiko|sony|motorola|oneplus|handy"
    r"|mobil|smartphone|phone|tablet|windows|outlook|gmail|yahoo|web\.de|gmx|mail|sparrow|acompli|spark|telefon|handheld"
    r"|proton|thunderbird|app\b|device|5g|4g|wireless",
    re.IGNORECASE,
)
_GREET = r"gr(?:ü|ue|u)(?:ß|ss|s)(?:en|e)?|gruessen"
_CLOSING = re.compile(
    r"[\s*_]*(?:"
    rf"(?:(?:mit|viele[nr]?|vielen|liebe[nr]?|beste[nr]?|freundliche[nmr]?|freundlichem|herzliche[nr]?|herzlichst|schöne[nr]?|schoene"
    rf"|sonnige[nr]?|ganz|nette[nr]?|kollegiale[nr]?|dem|und)\s+){{0,5}}(?:{_GREET})(?:\s+(?:aus|von|vom|in|ihr|ihre|euer|dein)\s+[^,.]{{1,30}})?"
    r"|mfg|m\.f\.g\.?|lg|vg|bg|hg|glg|mbg|hochachtungsvoll|alles gute|bis bald|servus|herzlichst|ihr(?:e)? .{2,40}-team"
    r"|(?:(?:kind|kindest|best|warm|warmest|many|with|thanks and|thanks &|thanks|sincere)\s+){0,3}regards|rgds|br|best wishes|best"
    r"|(?:yours\s+)?(?:sincerely|faithfully|truly)(?:\s+yours)?|yours|cheers|respectfully|all the best|take care|warmly|kindly"
    r"|(?:bien\s+|très\s+)?(?:cordialement|cdlt|respectueusement|amicalement|sincèrement)|(?:bien|salutations)(?: cordiales?)? à vous"
    r"|(?:meilleures|sincères|cordiales)\s+salutations|salutations(?:\s+(?:distinguées|cordiales))?|bonne (?:journée|soirée|réception)"
    r"|(?:je vous prie d|veuillez (?:agréer|recevoir|croire)).{0,120}"
    r"|(?:un|reciba un|con un|muchos)?\s*(?:cordial(?:es)?|atentos?)?\s*saludos?(?:\s+cordial(?:es)?)?|atentamente|atte\.?|un abrazo|abrazos"
    r"|(?:cordiali|distinti|cari|tanti|porgo)\s+(?:cordiali\s+|distinti\s+)?saluti|cordialmente|un (?:cordiale )?saluto|saluti|in fede"
    r"|atenciosamente|att\.?|cumprimentos|(?:com os )?(?:melhores|meus melhores)\s+cumprimentos|abraços?|cordiais saudações"
    r"|(?:met\s+)?(?:vriendelijke|hartelijke|beste|de beste)\s+groet(?:en|jes)?|groet(?:en|jes)?|mvg|hoogachtend"
    r"|с (?:глубоким )?уважением|с наилучшими пожеланиями|всего (?:доброго|хорошего)"
    r"|(?:z\s+)?(?:poważaniem|powazaniem|wyrazami szacunku)|pozdrawiam(?:y)?(?:\s+serdecznie)?"
    r"|(?:(?:med|de)\s+)?(?:venlige?|vennlig|vänlig(?:a)?|bästa|mange|bedste|beste)\s+h(?:i|ä)ls(?:e|ni)n(?:g|ger|gar)?|hilsen|mvh|kh|vh"
    r"|ystävällisin terveisin|terveisin|s pozdravem|üdvözlettel|saygılarımla|以上、?よろしくお願いいたします|よろしくお願い(?:いた)?します|敬具"
    r")(?P<rest>[\s,.!*_–-]{0,8}.{0,60})$",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"[\s*_]*(?:many thanks|thank you(?: very much| so much)?|thanks(?: a lot| again| so much| in advance)?|thx|danke(?: schön)?"
    r"|vielen dank(?: im voraus| und)?|besten dank|merci(?: beaucoup| d'avance)?|(?:muchas )?gracias|grazie(?: mille)?|(?:muito )?obrigad[oa]"
    r"|(?:hartelijk )?(?:bedankt|dank)|спасибо|dziękuję|tack|tak|mange tak)[\s,.!*_-]*$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[^\s<>@]{1,80}@[^\s<>@]{1,80}\.[a-z]{2,}", re.IGNORECASE)
_SITE = re.compile(r"\b(?:https?://|www\.)\S|\b[a-z0-9-]{2,40}\.(?:de|com|org|net|ch|at|fr|it|es|nl|co\.uk|eu|io)\b(?!@)", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+|\(0|\b0|\(\d|\b\d{3}[-.\s])[\d\s()/.-]{6,20}\d")
_LABELLED = re.compile(
    r"[\s*_]*(?:t|f|m|p|e|w|tel|telefon|phone|fon|fax|telefax|mobil|mobile|cell|handy|skype|mail|e-?mail|web|internet|office|direct"
    r"|durchwahl|tél|téléphone|teléfono|móvil|telefono|cellulare|telefone|telemóvel|telefoon|тел)\b\.?\s{0,3}[:.+(\d]",
    re.IGNORECASE,
)
_COMPANY = re.compile(
    r"\b(?:gmbh|ag|kg|ohg|e\.?k|se|inc|ltd|llc|corp|corporation|s\.?a\.?r\.?l|s\.?r\.?l|s\.?p\.?a|b\.?v|bank|kgaa|mbh|plc)\b\.?\s*$"
    r"|\b(?:ceo|cto|cfo|director|manager|president|geschäftsführer|leiter|leiterin|abteilung|vertrieb|kundenservice|head of)\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"[\s*_]*(?:(?:dr|prof|ing|dipl|mr|mrs|ms|herr|frau)\b\.?\s{0,3}(?:-\w{1,10}\.?\s{0,2})?){0,3}"
    r"[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30}(?:\s+(?:von|van|de|der|zu|da|di|dos|la|le|el|[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30})){0,4}"
    r"(?:,\s*[A-Z][\w.\s]{0,12}){0,3}[\s*_,]*$"
)
_SHORT_NAME = re.compile(r"\s{0,3}(?:[-–—~/]\s?)[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30}(?:\s+[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30}){0,2}\s*$")
_SENTENCE_END = re.compile(r"[.?!…][\s\"')»“]*$")
_PROSE_WORDS = 8


def is_contact(line: str) -> bool:
    """Tell whether a line holds an address, a site, a phone number, a company or a role."""
    line = line[:_LONGEST]
    return bool(
        _ADDRESS.search(line)
        or _LABELLED.match(line)
        or _SITE.search(line)
        or _PHONE.search(line)
        or _COMPANY.search(line)
        or _is_mobile(line)
    )


def _is_mobile(line: str) -> bool:
    match = _MOBILE.match(line[:_LONGEST])
    if match is None:
        return False
    named = match["en"] or match["de"] or match["de2"]
    return named is None or (len(named.split()) <= 8 and (_DEVICE.search(named) is not None or "http" in named))


def _is_prose(line: str) -> bool:
    words = len(line.split())
    if len(line) > _LONGEST or words > 2 * _PROSE_WORDS:
        return True
    return (words > _PROSE_WORDS or (words > 4 and _SENTENCE_END.search(line) is not None)) and not is_contact(line)


def signature_start(lines: Sequence[str]) -> tuple[int, str] | None:
    """Return the first line of the signature and the rule that found it, None where there is none.

    Never returns a line with nothing but blank ones before it.
    """
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if len(filled) < 2:
        return None
    for rule in (_by_delimiter, _by_closing, _by_contact_block, _by_short_name):
        found = rule(lines, filled)
        if found is not None:
            return found
    return None


def _by_delimiter(lines: Sequence[str], filled: Sequence[int]) -> tuple[int, str] | None:
    for place, number in enumerate(filled[1:], 1):
        line = lines[number]
        if len(line) > _LONGEST:
            continue
        if _is_mobile(line):
            above = filled[place - 1]
            named = place > 1 and above == number - 1 and not lines[above - 1].strip() and _is_name(lines[above])
            return above if named else number, "line of a mobile device or a mail program"
        rest = len(filled) - place - 1
        if _DELIMITER.match(line) and rest <= _MOST_LINES:
            return number, "signature delimiter"
        if rest and rest <= _MOST_LINES and _LONG_DELIMITER.match(line):
            below = [lines[other] for other in filled[place + 1 :]]
            if sum(map(is_contact, below)) >= 2 and not any(map(_is_prose, below)):
                return number, "line of dashes above contact details"
    return None


def _by_closing(lines: Sequence[str], filled: Sequence[int]) -> tuple[int, str] | None:
    first = max(1, len(filled) - _MOST_LINES)
    for place in range(first, len(filled)):
        line = lines[filled[place]]
        if len(line) > _LONGEST:
            continue
        below = [lines[other] for other in filled[place + 1 :]]
        closing = _CLOSING.match(line)
        if closing is not None:
            rest = closing["rest"].strip(" ,.!*_–-\t")
            if (not rest or _is_name(rest)) and not any(map(_is_prose, below)):
                return filled[place], "closing phrase"
        elif _THANKS.match(line) and below and len(below) <= 4 and _is_name(below[0]) and not _CLOSING.match(below[0]):
            if not any(map(_is_prose, below)):
                return filled[place], "thanks and a name"
    return None


def _is_name(text: str) -> bool:
    return len(text) <= 60 and _NAME.match(text) is not None


def _by_contact_block(lines: Sequence[str], filled: Sequence[int]) -> tuple[int, str] | None:
    """Find a last paragraph of short lines: a name and a way to reach it, or at least two ways."""
    place = len(filled) - 1
    while place > 0 and filled[place] == filled[place - 1] + 1:
        place -= 1
    block = [lines[number] for number in filled[place:]]
    if place == 0 or len(block) > _MOST_LINES // 2 or lines[filled[place - 1]].rstrip().endswith(":"):
        return None
    if any(len(line) > _SHORT_LINE or _is_prose(line) or line.rstrip().endswith(":") for line in block):
        return None
    contacts = sum(map(is_contact, block))
    if contacts >= 2 or (contacts == 1 and len(block) > 1 and _is_name(block[0])):
        return filled[place], "contact details at the end"
    return None


def _by_short_name(lines: Sequence[str], filled: Sequence[int]) -> tuple[int, str] | None:
    if len(lines[filled[-1]]) < 60 and _SHORT_NAME.match(lines[filled[-1]]):
        return filled[-1], "dash and a name at the end"
    return None
