"""Find what identifies a person in a text: validated by checksums where a number has one.

Each finder reads text in which everything found before it is blanked out, proposes candidates by an anchored and bounded
pattern, and lets `python-stdnum` or `phonenumbers` decide. Both are loaded with the first candidate: a text without
digits costs neither. Security identifiers (ISIN) look like personal numbers and are what a mail is about: they stay.
"""

from __future__ import annotations

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
    r"(?<![\w.%+-])(?:mailto:)?([\w.%+-]{1,64})(?:@|\s?[\[(](?:at|ät)[\])]\s?)([\w-]{1,63}(?:(?:\.|\s?[\[(](?:dot|punkt)[\])]\s?)[\w-]{1,63}){1,6})(?![\w@])",
    re.IGNORECASE,
)
_AT = re.compile(r"\s?[\[(](?:at|ät)[\])]\s?", re.IGNORECASE)
_DOT = re.compile(r"\s?[\[(](?:dot|punkt)[\])]\s?", re.IGNORECASE)
_ENDINGS = (
    "com|net|org|info|biz|eu|de|at|ch|li|lu|fr|it|es|pt|nl|be|dk|se|no|fi|pl|cz|sk|hu|ro|bg|gr|ie|uk|us|ca|ru|ua|tr|io|ai"
    "|app|dev|online|shop|bank|finance|group|gmbh|berlin|hamburg|koeln|bayern|cloud|me|tv|cc|xyz"
)
_URL = re.compile(
    rf"(?<![\w@.-])(?:(?:https?|ftp)://[^\s<>\"]{{1,2000}}|www\.[^\s<>\"]{{1,2000}}"
    rf"|(?:[a-z0-9](?:[a-z0-9-]{{0,62}})\.){{1,4}}(?:{_ENDINGS})(?![\w@-])(?:[/?#][^\s<>\"]{{0,2000}})?)",
    re.IGNORECASE,
)
_ISIN = re.compile(r"(?<!\w)[A-Z]{2}[A-Z0-9]{9}[0-9](?!\w)")
_IBAN = re.compile(r"(?<!\w)([A-Za-z]{2}[ -]?[0-9]{2})((?:[ .-]{0,2}[A-Za-z0-9]){11,32})")
_CARD = re.compile(r"(?<![\w+])[2-6][0-9]{3}(?:[ .-]?[0-9]){9,15}(?!\w)")
_VAT = re.compile(
    r"(?<!\w)(AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK|XI)[ ]?((?:[ .-]?[A-Z0-9]){8,12})(?!\w)"
)
_TAX_ID = re.compile(r"(?<![\w/+.-])[1-9][0-9](?:[ ]?[0-9]){9}(?![\w/])")
_TAX_NUMBER = re.compile(r"(?<![\w/])[0-9]{2,3}[/ ][0-9]{3,4}[/ ][0-9]{4,5}(?![\w/])")
_TAX_WORD = re.compile(r"steuer|st\.?-?nr|finanzamt|\btax\b|\btin\b", re.IGNORECASE)
_TAX_REACH = 40

_CUSTOMER_WORDS = (
    r"kunden?[ -]?(?:nummer|nr\.?|id|kennung|konto)|kd\.?[ -]?nr\.?|mitglieds?[ -]?(?:nummer|nr\.?)|depot[ -]?(?:nummer|nr\.?|konto)|depot"
    r"|konto[ -]?(?:nummer|nr\.?)|kto\.?[ -]?(?:nr\.?)?|vertrags?[ -]?(?:nummer|nr\.?)|versicherten?[ -]?(?:nummer|nr\.?)|personal[ -]?(?:nummer|nr\.?)"
    r"|benutzer[ -]?(?:nummer|kennung|id)|client (?:number|no\.?|id)|customer (?:number|no\.?|id|reference)|account (?:number|no\.?|id)"
    r"|contract (?:number|no\.?)|membership (?:number|no\.?)|member id|portfolio (?:number|no\.?|id)|numéro (?:de )?client|n° client|número de cliente|numero cliente"
    r"|klantnummer|номер клиента"
)
_CASE_WORDS = (
    r"vorgangs?[ -]?(?:nummer|nr\.?)?|fall[ -]?(?:nummer|nr\.?)|ticket(?:[ -]?(?:nummer|number|nr\.?|no\.?|id))?|case(?: (?:number|no\.?|id))?|aktenzeichen|az\.?"
    r"|referenz(?:[ -]?(?:nummer|nr\.?))?|reference(?: (?:number|no\.?))?|ref\.?|bearbeitungs[ -]?(?:nummer|nr\.?)|auftrags?[ -]?(?:nummer|nr\.?)|order (?:number|no\.?|id)"
    r"|bestell[ -]?(?:nummer|nr\.?)|rechnungs?[ -]?(?:nummer|nr\.?)|invoice (?:number|no\.?)|beschwerde[ -]?(?:nummer|nr\.?)|(?:ihr|unser) zeichen|incident|request"
)
_LINK_WORDS = r"(?:\s{0,2}(?:ist|lautet|is|war|was|nummer|number|no\.?|nr\.?|die|the|meine|my|der|für|[:=#*])){0,4}\s{0,3}[\[(\"'#]{0,2}"
_NUMBERED = re.compile(
    rf"(?<!\w)(?:(?P<customer>{_CUSTOMER_WORDS})|(?P<case>{_CASE_WORDS})){_LINK_WORDS}"
    r"(?P<number>(?=[A-Z/.-]{0,10}[0-9])[A-Z0-9](?:[A-Z0-9]|[/.-](?=[A-Z0-9])|[ ](?=[0-9]{2,})){2,24})(?!\w)",
    re.IGNORECASE,
)
_MARKED = re.compile(r"(?<![\w#&])#[ ]?([0-9]{4,16})(?!\w)|(?<![\w-])([A-Z]{1,5}[-/](?:[0-9]{2,4}[-/])?[0-9]{5,12})(?![\w-])")
_PHONE = re.compile(r"(?<![\w+,/-])(?<![0-9]\.)(?:\+|00|\(\+|\(0|0)[0-9()](?:[ ./()–-]{0,3}[0-9]){5,16}(?!\w)")
_PHONE_WORD = re.compile(r"(?:tel(?:efon)?|fon|phone|mobil\w*|handy\w*|fax|cell|call|ruf\w*|erreich\w*|reach)\W{0,3}(?:\w+\W{1,3}){0,4}$", re.IGNORECASE)
_PHONE_REACH = 40
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
        if len(ending) > 1 and not ending.isdigit() and (("@" in match.group()) or match.group().lower().find("at") >= 0):
            yield Found(match.start(), match.end(), "email", f"{match[1]}@{domain}".lower())


def urls(text: str) -> Iterator[Found]:
    """Find web addresses, with and without scheme; punctuation behind them is not theirs."""
    if "." not in text:
        return
    for match in _URL.finditer(text):
        address = match.group().rstrip(".,;:!?)]}'*_»“”")
        if len(address) > 3:
            yield Found(match.start(), match.start() + len(address), "url", address.lower())


def securities(text: str) -> Iterator[Found]:
    """Find ISINs: not personal, and not to be taken for anything else."""
    for match in _ISIN.finditer(text):
        from stdnum import isin

        if isin.is_valid(match.group()):
            yield Found(match.start(), match.end(), "isin", match.group())


def ibans(text: str) -> Iterator[Found]:
    """Find IBANs of every country, grouped or not; one whose check digits are mistyped counts where its form is right."""
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
    if not iban.is_valid(value, check_country=False):
        digits = sum(sign.isdigit() for sign in value[4:])
        if digits < 12 or value[4:].lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == value[4:] != "" and digits < len(value) - 4:
            return None
    return Found(match.start(), end, "iban", value)


def _iban_length(country: str) -> int | None:
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
    for match in _NUMBERED.finditer(text):
        value = _compact(match["number"])
        if sum(sign.isdigit() for sign in value) >= 3 and not _DATE.match(match["number"]):
            kind = "customer" if match["customer"] else "case"
            yield Found(match.start("number"), match.end("number"), kind, value)


def marked_numbers(text: str) -> Iterator[Found]:
    """Find case numbers behind ``#`` and of the form ``AB-123456``."""
    for match in _MARKED.finditer(text):
        group = 1 if match[1] else 2
        yield Found(match.start(group), match.end(group), "case", _compact(match[group]))


def phones(text: str) -> Iterator[Found]:
    """Find phone numbers, those without a country's code as German ones."""
    position = 0
    while (match := _PHONE.search(text, position)) is not None:
        found = None if _DATE.match(text, match.start()) else _phone_at(text, match.start(), match.end())
        if found is None:
            position = match.start() + 1
        else:
            yield found
            position = found.end


def _phone_at(text: str, start: int, end: int) -> Found | None:
    """Return the longest valid number that begins here and ends at a gap."""
    import phonenumbers

    announced = _PHONE_WORD.search(text[max(0, start - _PHONE_REACH) : start]) is not None
    while end - start >= 6:
        try:
            number = phonenumbers.parse(text[start:end], "DE")
            valid = phonenumbers.is_valid_number(number) or (announced and phonenumbers.is_possible_number(number))
        except phonenumbers.NumberParseException:
            return None
        if valid:
            value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            return Found(start, end, "phone", str(value))
        gap = text.rfind(" ", start + 5, end)
        if gap < 0:
            return None
        end = gap
        while end > start and not text[end - 1].isdigit():
            end -= 1
    return None


FINDERS: tuple[Finder, ...] = (emails, urls, ibans, securities, vat_ids, cards, numbered, tax_ids, phones, marked_numbers)
"""In the order in which they claim characters."""
