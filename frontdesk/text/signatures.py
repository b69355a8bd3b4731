"""Where a signature begins: delimiters, mobile lines, closing phrases, contact blocks.

Patterns are anchored and see at most `_LONGEST` characters of a line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

_LONGEST = 200
_MOST_LINES = 16
_SHORT_LINE = 90

_DELIMITER = re.compile(r"\s{0,3}(?:[-–—]{1,3}|_{2,3})\s*$")
_LONG_DELIMITER = re.compile(r"\s{0,3}(?:[-–—_=*]\s?){4,}$")
_MOBILE = re.compile(
    r"[\s(\[*_]*(?:"
    r"(?:sent|posted|shared) (?:from|via|by|with|using)(?: my| a)? (?P<en>[^,;!?]{2,60})"
    r"|get outlook for (?:ios|android)\b.{0,80}|sent from outlook\b.{0,40}|via mobile"
    r"|download (?:the )?(?:all-new )?aol app\b.{0,60}"
    r"|(?:von meine[mr]|vom|mit meinem) (?P<de>[^,;!?]{2,50}) (?:gesendet|gesandt|verschickt|geschickt)"
    r"|gesendet (?:von|mit|über|aus|vom)(?: meinem| meiner| der| dem)? (?P<de2>[^,;!?]{2,60})"
    r"|diese (?:e-?mail|nachricht) wurde (?:von|mit) .{2,60}(?:gesendet|verschickt)"
    r"|(?:holen sie sich|hol dir) outlook für .{2,60}|outlook für (?:ios|android)\b.{0,60}"
    r"|envoyé (?:depuis|de|à partir de)(?: mon| ma)? .{2,60}|envoyé avec .{2,40}"
    r"|télécharger outlook pour .{2,60}"
    r"|enviado (?:desde|do|da|a partir do|de)(?: mi| meu| minha)? .{2,60}"
    r"|obtener outlook para .{2,60}|obter o outlook .{2,60}"
    r"|inviato (?:da|dal|dalla|con)(?: il)?(?: mio| mia)? .{2,60}|ottieni outlook per .{2,60}"
    r"|(?:verstuurd|verzonden) (?:vanaf|met|via)(?: mijn)? .{2,60}|outlook (?:voor|downloaden) .{2,60}"
    r"|отправлено (?:с|из|от) .{2,60}|wysłane? z .{2,60}|sendt fra .{2,60}"
    r"|skickat från .{2,60}|lähetetty .{2,60}"
    r"|odesláno z .{2,60}|gönderildi .{2,60}|iphone(?:'|’)umdan gönderildi|iphoneから送信|发自我的.{1,40}"
    r")[\s)\].*_]*$"
)
_MOBILE_WORDS_TEXT = (
    "sent posted shared get via download von vom mit gesendet diese holen hol outlook envoyé "
    "télécharger enviado obtener obter inviato"
    " ottieni verstuurd verzonden отправлено wysłano wysłane sendt skickat lähetetty "
    "odesláno gönderildi iphone'umdan iphone’umdan"
    " iphoneから送信"
)
_MOBILE_WORDS = frozenset(_MOBILE_WORDS_TEXT.split())
_DEVICE = re.compile(
    r"iphone|ipad|ipod|android|blackberry|samsung|galaxy|nokia|htc|huawei|xiaomi|pixel|wiko"
    r"|sony|motorola|oneplus|handy"
    r"|mobil|smartphone|phone|tablet|windows|outlook|gmail|yahoo|web\.de|gmx|mail|sparrow"
    r"|acompli|spark|telefon|handheld"
    r"|proton|thunderbird|app\b|device|5g|4g|wireless"
)
_GREET = r"gr(?:ü|ue|u)(?:ß|ss|s)(?:en|e)?|gruessen"
_CLOSING = re.compile(
    r"[\s*_]*"
    r"(?:(?:(?:vielen |besten |herzlichen |lieben )?danke?(?: im voraus| vorab| dafür)?"
    r"|many thanks|thanks(?: in advance)?|thank you|merci|gracias|grazie"
    r"|obrigad[oa]|bedankt|tak|tack)(?:\s*[,&]|\s+(?:und|and|et|y|e|en|og|och))\s+)?(?:"
    rf"(?:(?:mit|viele[nr]?|vielen|liebe[nr]?|beste[nr]?|freundliche[nmr]?|freundlichem"
    rf"|herzliche[nr]?|herzlichst|schöne[nr]?|schoene"
    rf"|sonnige[nr]?|ganz|nette[nr]?|kollegiale[nr]?|dem"
    rf"|und)\s+){{0,5}}(?:{_GREET})(?:\s+(?:aus|von|vom|in|ihr|ihre|euer"
    rf"|dein)\s+[^,.]{{1,30}})?"
    r"|mfg|m\.f\.g\.?|lg|vg|bg|hg|glg|mbg|hochachtungsvoll|alles gute|bis bald|servus"
    r"|herzlichst|ihr(?:e)? .{2,40}-team"
    r"|(?:(?:kind|kindest|best|warm|warmest|many|with|thanks and|thanks &|thanks"
    r"|sincere)\s+){0,3}regards|rgds|br|best wishes|best"
    r"|(?:yours\s+)?(?:sincerely|faithfully|truly)(?:\s+yours)?|yours|cheers|respectfully"
    r"|all the best|take care|warmly|kindly"
    r"|(?:bien\s+|très\s+)?(?:cordialement|cdlt|respectueusement|amicalement|sincèrement)"
    r"|(?:bien|salutations)(?: cordiales?)? à vous"
    r"|(?:meilleures|sincères|cordiales)\s+salutations|salutations(?:\s+(?:distinguées"
    r"|cordiales))?|bonne (?:journée|soirée|réception)"
    r"|(?:je vous prie d|veuillez (?:agréer|recevoir|croire)).{0,120}"
    r"|(?:un|reciba un|con un|muchos)?\s*(?:cordial(?:es)?"
    r"|atentos?)?\s*saludos?(?:\s+cordial(?:es)?)?|atentamente|atte\.?|un abrazo|abrazos"
    r"|(?:cordiali|distinti|cari|tanti|porgo)\s+(?:cordiali\s+|distinti\s+)?saluti"
    r"|cordialmente|un (?:cordiale )?saluto|saluti|in fede"
    r"|atenciosamente|att\.?|cumprimentos|(?:com os )?(?:melhores"
    r"|meus melhores)\s+cumprimentos|abraços?|cordiais saudações"
    r"|(?:met\s+)?(?:vriendelijke|hartelijke|beste|de beste)\s+groet(?:en|jes)?|groet(?:en"
    r"|jes)?|mvg|hoogachtend"
    r"|с (?:глубоким )?уважением|с наилучшими пожеланиями|всего (?:доброго|хорошего)"
    r"|(?:z\s+)?(?:poważaniem|powazaniem|wyrazami szacunku)|pozdrawiam(?:y)?(?:\s+serdecznie)?"
    r"|(?:(?:med|de)\s+)?(?:venlige?|vennlig|vänlig(?:a)?|bästa|mange|bedste|beste)\s+h(?:i"
    r"|ä)ls(?:e|ni)n(?:g|ger|gar)?|hilsen|mvh|kh|vh"
    r"|ystävällisin terveisin|terveisin|s pozdravem|üdvözlettel|saygılarımla|以上、?よろしくお願いいたします"
    r"|よろしくお願い(?:いた)?します|敬具"
    r")(?P<rest>(?:[\s,.!*_–-].{0,60})?)$"
)
_CLOSING_WORDS_TEXT = (
    "mit viele vielen vieler liebe lieber lieben beste bester besten freundliche "
    "freundlicher freundlichen freundlichem herzliche herzlicher"
    " herzlichst herzlichen schöne schöner schönen schoene sonnige sonniger ganz nette "
    "netter kollegiale dem gruß gruss grüße grüßen grüsse"
    " grüssen gruesse gruessen grus mfg m.f.g m.f.g. lg vg bg hg glg mbg hochachtungsvoll "
    "alles bis servus ihr ihre kind kindest best warm"
    " warmest many with thanks thank sincere regards rgds br yours sincerely faithfully "
    "truly cheers respectfully all take warmly kindly bien"
    " très cordialement cdlt respectueusement amicalement sincèrement salutations meilleures "
    "sincères cordiales bonne je veuillez un reciba con"
    " muchos cordial atento atentos saludo saludos atentamente atte abrazos cordiali "
    "distinti cari tanti porgo cordialmente saluti in"
    " atenciosamente att cumprimentos com melhores abraço abraços met vriendelijke "
    "hartelijke de groet groeten groetjes mvg hoogachtend с всего z"
    " poważaniem powazaniem pozdrawiam pozdrawiamy med venlig venlige vennlig vänlig vänliga "
    "bästa mange bedste hilsen mvh kh vh hälsning"
    " hälsningar ystävällisin terveisin s üdvözlettel saygılarımla danke dank merci gracias "
    "grazie obrigado obrigada bedankt tak tack"
)
_CLOSING_WORDS = frozenset(_CLOSING_WORDS_TEXT.split())
_THANKS = re.compile(
    r"[\s*_]*(?:many thanks|thank you(?: very much| so much)?|thanks(?: a lot| again| so much"
    r"| in advance)?|thx|danke(?: schön)?"
    r"|vielen dank(?: im voraus| und)?|besten dank|merci(?: beaucoup| d'avance)?"
    r"|(?:muchas )?gracias|grazie(?: mille)?|(?:muito )?obrigad[oa]"
    r"|(?:hartelijk )?(?:bedankt|dank)|спасибо|dziękuję|tack|tak|mange tak)[\s,.!*_-]*$"
)
_THANKS_WORDS_TEXT = (
    "many thank thanks thx danke vielen besten merci muchas gracias grazie muito obrigado "
    "obrigada hartelijk bedankt dank спасибо dziękuję"
    " tack tak mange"
)
_THANKS_WORDS = frozenset(_THANKS_WORDS_TEXT.split())
# Words of a sentence that somebody says, not of a card that somebody leaves.
_SPOKEN = re.compile(
    r"\b(?:ich|mir|mich|meine?[mnrs]?|wir|uns|unsere?[mnrs]?|bitte|sie|ihnen|ist|lautet|i|my"
    r"|me|mine|we|us|our|please|you|your|is|je|mon|ma|mes"
    r"|nous|notre|veuillez|mi|mis|por favor|mio|mia|per favore|meu|minha|ik|mijn|wij|graag|мой|моя|мне|я)\b"
)
_ADDRESS = re.compile(r"[^\s<>@]{1,80}@[^\s<>@]{1,80}\.[a-z]{2,}", re.IGNORECASE)
_SITE = re.compile(
    r"\b(?:https?://|www\.)\S|\b[a-z0-9-]{2,40}\.(?:de|com|org|net|ch|at|fr|it|es|nl|co\.uk|eu|io)\b(?!@)",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?:\+|\(0|\b0|\(\d|\b\d{3}[-.\s])[\d\s()/.-]{6,20}\d")
_LABELLED = re.compile(
    r"[\s*_]*(?:t|f|m|p|e|w|tel|telefon|phone|fon|fax|telefax|mobil|mobile|cell|handy|skype"
    r"|mail|e-?mail|web|internet|office|direct"
    r"|durchwahl|tél|téléphone|teléfono|móvil|telefono|cellulare|telefone|telemóvel|telefoon"
    r"|тел)\b\.?\s{0,3}[:.+(\d]",
    re.IGNORECASE,
)
_COMPANY = re.compile(
    r"\b(?:gmbh|ag|kg|ohg|e\.?k|se|inc|ltd|llc|corp|corporation|s\.?a\.?r\.?l|s\.?r\.?l"
    r"|s\.?p\.?a|b\.?v|bank|kgaa|mbh|plc)\b\.?\s*$"
    r"|\b(?:ceo|cto|cfo|director|manager|president|geschäftsführer|leiter|leiterin|abteilung"
    r"|vertrieb|kundenservice|head of)\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"[\s*_]*(?:(?:dr|prof|ing|dipl|mr|mrs|ms|herr|frau)\b\.?\s{0,3}(?:-\w{1,10}\.?\s{0,2})?){0,3}"
    r"[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30}(?:\s+(?:von|van|de|der|zu|da|di|dos|la|le|el"
    r"|[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30})){0,4}"
    r"(?:,\s*[A-Z][\w.\s]{0,12}){0,3}[\s*_,]*$"
)
_SHORT_NAME = re.compile(
    r"\s{0,3}(?:[-–—~/]\s?)[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30}(?:\s+[^\W\d_a-zß-öø-ÿ][\w.'’-]{0,30}){0,2}\s*$"
)
_POSTSCRIPT = re.compile(r"\s*(?:p\.?\s?s|n\.?b)\.?\s{0,2}[:\s-]", re.IGNORECASE)
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
    folded = line[:_LONGEST].lower()
    match = _MOBILE.match(folded) if _first_word(folded) in _MOBILE_WORDS or folded.startswith("发自") else None
    if match is None:
        return False
    named = match["en"] or match["de"] or match["de2"]
    return named is None or (len(named.split()) <= 8 and (_DEVICE.search(named) is not None or "http" in named))


def _first_word(folded: str) -> str:
    word, _, _ = folded.lstrip(" \t*_([").partition(" ")
    return word.rstrip(" ,.!*_&–-:)]")


def _is_prose(line: str) -> bool:
    words = len(line.split())
    if len(line) > _LONGEST or words > 2 * _PROSE_WORDS:
        return True
    return (words > _PROSE_WORDS or (words > 4 and _SENTENCE_END.search(line) is not None)) and not is_contact(line)


def is_postscript(line: str) -> bool:
    """Tell whether a line begins a postscript."""
    return _POSTSCRIPT.match(line) is not None


def signature_start(lines: Sequence[str], all_lines: bool = True) -> tuple[int, str] | None:
    """Return the first line of the signature and the rule that found it, None where there is none.

    Only the end of a mail is looked at, but for lines of mobile devices: below one, nobody writes on.

    Args:
        lines: with at most one blank line in a row.
        all_lines: look for lines of mobile devices everywhere; there are none above a place where one was found.
    """
    if all_lines:
        for number in range(1, len(lines)):
            if len(lines[number]) <= _LONGEST and _is_mobile(lines[number]):
                return _with_name_above(lines, number), "line of a mobile device or a mail program"
    window = range(max(0, len(lines) - 2 * _MOST_LINES - 4), len(lines))
    filled = [number for number in window if lines[number].strip()]
    if len(filled) < 2:
        return None
    for rule in (_by_delimiter, _by_closing, _by_contact_block, _by_short_name):
        found = rule(lines, filled)
        if found is not None:
            return found
    return None


def _with_name_above(lines: Sequence[str], number: int) -> int:
    named = number > 2 and not lines[number - 2].strip() and _is_name(lines[number - 1])
    return number - 1 if named else number


def _by_delimiter(lines: Sequence[str], filled: Sequence[int]) -> tuple[int, str] | None:
    for place, number in enumerate(filled[1:], 1):
        line = lines[number]
        if line.lstrip()[:1] not in tuple("-–—_=*") or len(line) > _LONGEST:
            continue
        rest = len(filled) - place - 1
        if rest > _MOST_LINES:
            continue
        if _DELIMITER.match(line):
            return number, "signature delimiter"
        if rest and _LONG_DELIMITER.match(line):
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
        folded = line.lower()
        first_word = _first_word(folded)
        closing = _CLOSING.match(folded) if first_word in _CLOSING_WORDS or not first_word.isascii() else None
        if closing is None and first_word not in _THANKS_WORDS:
            continue
        below = list(takewhile(lambda other: not is_postscript(other), (lines[other] for other in filled[place + 1 :])))
        if closing is not None:
            rest = line[len(line) - len(closing["rest"]) :].strip(" ,.!*_–-\t") if closing["rest"] else ""
            if (not rest or _is_name(rest)) and not any(map(_is_prose, below)):
                return filled[place], "closing phrase"
        elif (
            0 < len(below) <= _MOST_LINES // 4
            and _THANKS.match(folded)
            and _is_name(below[0])
            and not (_CLOSING.match(below[0].lower()) or any(map(_is_prose, below)))
        ):
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
    if any(_SPOKEN.search(line.lower()) for line in block):
        return None
    contacts = sum(map(is_contact, block))
    if contacts >= 2 or (contacts == 1 and len(block) > 1 and _is_name(block[0])):
        return filled[place], "contact details at the end"
    return None


def _by_short_name(lines: Sequence[str], filled: Sequence[int]) -> tuple[int, str] | None:
    if len(lines[filled[-1]]) < 60 and _SHORT_NAME.match(lines[filled[-1]]):
        return filled[-1], "dash and a name at the end"
    return None
