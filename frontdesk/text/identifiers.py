"""Find what identifies a person in a text: validated by checksums where a number has one.

Each finder reads text in which everything found before it is blanked out, proposes candidates by an anchored and
bounded pattern, and lets `python-stdnum` or `phonenumbers` decide. Both are loaded with the first candidate: a text
without digits costs neither. Security identifiers (ISIN) look like personal numbers and are what a mail is about: they
stay.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Found:
    """One identifier.

    Attributes:
        start: first character.
        end: behind the last one.
        kind: email, url, iban, card, taxid, vatid, customer, case or phone.
        value: what a pseudonym is made of: the same for every way to write the identifier.
    """

    start: int
    end: int
    kind: str
    value: str


Finder = Callable[[str], Iterator[Found]]

_EMAIL = re.compile(
    r"(?<![\w.%+-])(?:mailto:)?([\w.%+-]{1,64})(?:@|\s?[\[(](?:at"
    r"|ät)[\])]\s?)([\w-]{1,63}(?:(?:\.|\s?[\[(](?:dot"
    r"|punkt)[\])]\s?)[\w-]{1,63}){1,6})(?![\w@])",
    re.IGNORECASE,
)
_AT = re.compile(r"\s?[\[(](?:at|ät)[\])]\s?", re.IGNORECASE)
_DOT = re.compile(r"\s?[\[(](?:dot|punkt)[\])]\s?", re.IGNORECASE)
_ENDINGS = (
    "com|net|org|info|biz|eu|de|at|ch|li|lu|fr|it|es|pt|nl|be|dk|se|no|fi|pl|cz|sk|hu|ro|bg"
    "|gr|ie|uk|us|ca|ru|ua|tr|io|ai"
    "|app|dev|online|shop|bank|finance|group|gmbh|berlin|hamburg|koeln|bayern|cloud|me|tv|cc|xyz"
)
_LINK = re.compile(r"(?<![\w@.-])(?:(?:https?|ftp)://|www\.)[^\s<>\"ª]{1,2000}", re.IGNORECASE)
_HOST = re.compile(
    rf"(?<![\w@.-])(?:[a-z0-9](?:[a-z0-9-]{{0,62}})\.){{1,4}}(?:{_ENDINGS})(?![\w@-])(?:[/?#][^\s<>\"ª]{{0,2000}})?",
    re.IGNORECASE,
)
_ISIN = re.compile(r"[A-Z](?<!\w[A-Z])[A-Z][A-Z0-9]{9}[0-9](?!\w)")
_IBAN = re.compile(r"(?<!\w)([A-Za-z]{2}[ -]?[0-9]{2})((?:[ .-]{0,2}[A-Za-z0-9]){11,32})")
_CARD = re.compile(r"[2-6](?<![\w+][2-6])[0-9]{3}(?:[ .-]?[0-9]){9,15}(?!\w)")
_VAT = re.compile(
    r"(?<!\w)(AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK"
    r"|XI)[ ]?((?:[ .-]?[A-Z0-9]){8,12})(?!\w)"
)
_TAX_ID = re.compile(r"[1-9](?<![\w/+.-][1-9])[0-9](?:[ ]?[0-9]){9}(?![\w/])")
_TAX_NUMBER = re.compile(r"[0-9](?<![\w/][0-9])[0-9]{1,2}[/ ][0-9]{3,4}[/ ][0-9]{4,5}(?![\w/])")
_TAX_WORD = re.compile(r"steuer|st\.?-?nr|finanzamt|\btax\b|\btin\b", re.IGNORECASE)
_TAX_REACH = 40

_CUSTOMER_WORDS = (
    r"kunden?[ -]?(?:nummer|nr\.?|id|kennung|konto)|kd\.?[ -]?nr\.?|mitglieds?[ -]?(?:nummer"
    r"|nr\.?)|depot[ -]?(?:nummer|nr\.?|konto)|depot"
    r"|konto[ -]?(?:nummer|nr\.?)|kto\.?[ -]?(?:nr\.?)?|vertrags?[ -]?(?:nummer|nr\.?)"
    r"|versicherten?[ -]?(?:nummer|nr\.?)|personal[ -]?(?:nummer|nr\.?)"
    r"|benutzer[ -]?(?:nummer|kennung|id)|client (?:number|no\.?|id)|customer (?:number|no\.?"
    r"|id|reference)|account (?:number|no\.?|id)"
    r"|contract (?:number|no\.?)|membership (?:number|no\.?)|member id|portfolio (?:number"
    r"|no\.?|id)|numéro (?:de )?client|n° client|número de cliente|numero cliente"
    r"|klantnummer|номер клиента"
)
_CASE_WORDS = (
    r"vorgangs?[ -]?(?:nummer|nr\.?)?|fall[ -]?(?:nummer|nr\.?)|ticket(?:[ -]?(?:nummer|number"
    r"|nr\.?|no\.?|id))?|case(?: (?:number|no\.?|id))?|aktenzeichen|az\.?"
    r"|referenz(?:[ -]?(?:nummer|nr\.?))?|reference(?: (?:number|no\.?))?|ref\.?"
    r"|bearbeitungs[ -]?(?:nummer|nr\.?)|auftrags?[ -]?(?:nummer|nr\.?)|order (?:number|no\.?"
    r"|id)"
    r"|bestell[ -]?(?:nummer|nr\.?)|rechnungs?[ -]?(?:nummer|nr\.?)|invoice (?:number|no\.?)"
    r"|beschwerde[ -]?(?:nummer|nr\.?)|(?:ihr|unser) zeichen|incident|request"
)
_LINK_WORDS = (
    r"(?:\s{0,2}(?:ist|lautet|is|war|was|nummer|number|no\.?|nr\.?|die|the|meine|my|der|für"
    r"|[:=#*])){0,4}\s{0,3}[\[(\"'#]{0,2}$"
)
_ANNOUNCED = re.compile(rf"\b(?:(?P<customer>{_CUSTOMER_WORDS})|(?:{_CASE_WORDS})){_LINK_WORDS}")
_REACH = 60
_NUMBER = re.compile(
    r"(?<!\w)(?<![0-9][.,/-])(?=[A-Za-z/.-]{0,10}[0-9])[A-Za-z0-9](?:[A-Za-z0-9]"
    r"|[/.-](?=[A-Za-z0-9])|[ ](?=[0-9]{2})){2,24}(?!\w)"
)
_HASHED = re.compile(r"#(?<![\w#&]#)[ ]?([0-9]{4,16})(?!\w)")
_LETTERED = re.compile(r"[A-Z](?<![\w-][A-Z])[A-Z]{0,4}[-/](?:[0-9]{2,4}[-/])?[0-9]{5,12}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w+,/-])(?<![0-9]\.)(?:\(?(?:\+|00)[1-9][0-9]{0,2}\)?(?:[ /.-]{0,2}\(0\))?"
    r"|\(0[1-9][0-9]{1,4}\)|0[1-9])(?:[ ./–-]{0,3}[0-9]){4,14}(?!\w)"
)
_PHONE_WORD = re.compile(
    r"(?:tel(?:efon)?|fon|phone|mobil\w*|handy\w*|fax|cell|call|ruf\w*|erreich\w*" r"|reach)\W{0,3}(?:\w+\W{1,3}){0,4}$"
)
_PHONE_REACH = 40
_MOST_VALIDATIONS = 200  # each takes a quarter of a millisecond; behind them, what looks like a number counts as one
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?!\d)|\d{4}-\d{2}-\d{2}(?!\d)")
_GAPS = re.compile(r"[^A-Za-z0-9]")


def _compact(text: str) -> str:
    return _GAPS.sub("", text).upper()


def emails(text: str) -> Iterator[Found]:
    """Find mail addresses, also as "name (at) host (punkt) de"."""
    if "@" not in text and "at" not in text and "ät" not in text:
        return
    for match in _EMAIL.finditer(text):
        domain = _DOT.sub(".", match[2]).rstrip("-")
        ending = domain.rpartition(".")[2]
        if (
            len(ending) > 1
            and not ending.isdigit()
            and (("@" in match.group()) or match.group().lower().find("at") >= 0)
        ):
            yield Found(match.start(), match.end(), "email", f"{match[1]}@{domain}".lower())


def links(text: str) -> Iterator[Found]:
    """Find web addresses with a scheme or ``www``; punctuation behind them is not theirs."""
    if "://" in text or "www." in text.lower():
        yield from _addresses(_LINK, text)


def hosts(text: str) -> Iterator[Found]:
    """Find web addresses that are written as a bare host, with or without a path."""
    if "." in text:
        yield from _addresses(_HOST, text)


def _addresses(pattern: re.Pattern[str], text: str) -> Iterator[Found]:
    for match in pattern.finditer(text):
        address = match.group().rstrip(".,;:!?)]}'*_»“”")
        if len(address) > 4:
            yield Found(match.start(), match.start() + len(address), "url", address.lower())


def securities(text: str) -> Iterator[Found]:
    """Find ISINs: not personal, and not to be taken for anything else."""
    for match in _ISIN.finditer(text):
        from stdnum import isin

        if isin.is_valid(match.group()):
            yield Found(match.start(), match.end(), "isin", match.group())


def ibans(text: str) -> Iterator[Found]:
    """Find IBANs of every country, grouped or not; one with mistyped check digits counts where its form is right."""
    position = 0
    while (match := _IBAN.search(text, position)) is not None:
        found = _iban_at(text, match)
        if found is None:
            position = match.start() + 2
        else:
            yield found
            position = found.end


def _iban_at(text: str, match: re.Match[str]) -> Found | None:
    from stdnum import iban

    length = _iban_length(match[1][:2].upper())
    if length is None:
        return None
    end, signs = match.start(), 0
    while end < match.end() and signs < length:
        signs += text[end].isalnum()
        end += 1
    value = _compact(text[match.start() : end])
    if len(value) != length or (end < len(text) and text[end].isalnum()):
        return None
    if not value[4:].isdigit() and not iban.is_valid(value, check_country=False):
        return None  # letters make it a word rather than a slip of the pen
    return Found(match.start(), end, "iban", value)


@functools.cache
def _iban_length(country: str) -> int | None:
    """Return how long the IBANs of a country are."""
    from stdnum import numdb

    for part, values in numdb.get("iban").info(country + "0" * 30):
        if part == country and "bban" in values:
            return 4 + sum(int(number) for number in re.findall(r"(\d+)!", values["bban"]))
    return None


def cards(text: str) -> Iterator[Found]:
    """Find card numbers: 13 to 19 digits that pass the Luhn check."""
    for match in _CARD.finditer(text):
        from stdnum import luhn

        value = _compact(match.group())
        if 13 <= len(value) <= 19 and luhn.is_valid(value):
            yield Found(match.start(), match.end(), "card", value)


def vat_ids(text: str) -> Iterator[Found]:
    """Find VAT identification numbers of the European Union."""
    for match in _VAT.finditer(text):
        from stdnum.eu import vat

        value = _compact(match.group())
        if vat.is_valid(value):
            yield Found(match.start(), match.end(), "vatid", value)


def tax_ids(text: str) -> Iterator[Found]:
    """Find German tax identification numbers, and tax numbers next to a word about taxes."""
    for match in _TAX_ID.finditer(text):
        from stdnum.de import idnr

        value = _compact(match.group())
        if idnr.is_valid(value):
            yield Found(match.start(), match.end(), "taxid", value)
    for match in _TAX_NUMBER.finditer(text):
        if _TAX_WORD.search(text, max(0, match.start() - _TAX_REACH), match.start()):
            from stdnum.de import stnr

            value = _compact(match.group())
            if stnr.is_valid(value):
                yield Found(match.start(), match.end(), "taxid", value)


def numbered(text: str) -> Iterator[Found]:
    """Find customer and case numbers behind a word that announces one."""
    for match in _NUMBER.finditer(text):
        number = match.group()
        if sum(sign.isdigit() for sign in number) < 3 or _DATE.match(number):
            continue
        announced = _ANNOUNCED.search(text[max(0, match.start() - _REACH) : match.start()].lower())
        if announced is not None:
            yield Found(match.start(), match.end(), "customer" if announced["customer"] else "case", _compact(number))


def marked_numbers(text: str) -> Iterator[Found]:
    """Find case numbers behind ``#`` and of the form ``AB-123456``."""
    for match in _HASHED.finditer(text):
        yield Found(match.start(1), match.end(1), "case", match[1])
    for match in _LETTERED.finditer(text):
        yield Found(match.start(), match.end(), "case", _compact(match.group()))


def phones(text: str) -> Iterator[Found]:
    """Find phone numbers, those without a country's code as German ones."""
    position = tries = 0
    while (match := _PHONE.search(text, position)) is not None:
        tries += 1
        if _DATE.match(text, match.start()):
            found = None
        elif tries > _MOST_VALIDATIONS:
            found = Found(match.start(), match.end(), "phone", _compact(match.group()))
        else:
            found = _phone_at(text, match.start(), match.end())
        if found is None:
            position = match.start() + 1
        else:
            yield found
            position = found.end


def _phone_at(text: str, start: int, end: int) -> Found | None:
    """Return the longest valid number that begins here and ends at a gap."""
    import phonenumbers

    announced = _PHONE_WORD.search(text[max(0, start - _PHONE_REACH) : start].lower()) is not None
    while True:
        try:
            number = phonenumbers.parse(text[start:end], "DE")
        except phonenumbers.NumberParseException:
            return None
        if phonenumbers.is_valid_number(number) or (announced and phonenumbers.is_possible_number(number)):
            value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            return Found(start, end, "phone", str(value))
        end = text.rfind(" ", start + 5, end)
        while end > start and not text[end - 1].isdigit():
            end -= 1
        if end - start < 6:
            return None


ADDRESSES: tuple[Finder, ...] = (links, emails, hosts)
NUMBERS: tuple[Finder, ...] = (ibans, securities, vat_ids, cards, numbered, tax_ids, phones, marked_numbers)
"""In the order in which they claim characters, behind `ADDRESSES`; a text without digits has none of these."""
