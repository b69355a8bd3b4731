"""Invented identifiers with right check digits, in the ways that people write them.

The check digits are computed here from their standards, not by the libraries that find them: a simulation that shared
code with the masker would prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable

# country: digits of the BBAN.
_IBAN_DIGITS = {"DE": 18, "AT": 16, "CH": 17, "BE": 12, "DK": 14, "ES": 20}
_IBAN_SHARES = (0.82, 0.06, 0.04, 0.03, 0.02, 0.03)
_FIRST_NAMES = (
    "Anna", "Lukas", "Mia", "Jonas", "Emma", "Paul", "Lena", "Felix", "Sofia", "Max", "Jürgen", "Renate",
    "Ayşe", "Mehmet", "Olga", "Tim", "Birgit", "Hans-Peter", "Chiara", "Noah", "Grace", "Oliver", "Emily",
    "Harry",
)  # fmt: skip
_LAST_NAMES = (
    "Schneider", "Müller", "Weber", "Wagner", "Becker", "Hoffmann", "Schäfer", "Koch", "Richter", "Klein",
    "Wolf", "Neumann", "Yılmaz", "Krüger", "Hartmann", "Lange", "Werner", "Krause", "Lehmann", "Huber", "Mayr",
    "Smith", "Taylor", "von Berg",
)  # fmt: skip
_HOSTS = (
    "web.de", "gmx.de", "gmx.net", "t-online.de", "gmail.com", "outlook.de", "posteo.de", "freenet.de",
    "kanzlei-huber.de", "proton.me", "icloud.com", "mail.uni-bonn.de",
)  # fmt: skip
_MOBILE = ("151", "152", "157", "160", "162", "170", "171", "172", "173", "175", "176", "177", "178", "179")
_CITIES = {"30": 7, "40": 7, "89": 7, "69": 7, "221": 6, "711": 6, "341": 6, "6221": 5}
_PLAIN_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ş": "s", "ı": "i", " ": "", "-": ""})


def person(dice: random.Random) -> tuple[str, str]:
    """Return a first and a last name."""
    return dice.choice(_FIRST_NAMES), dice.choice(_LAST_NAMES)


def _digits(dice: random.Random, count: int) -> str:
    return "".join(dice.choices("0123456789", k=count))


def _grouped(text: str, size: int, gap: str) -> str:
    return gap.join(text[at : at + size] for at in range(0, len(text), size))


def iban(dice: random.Random) -> str:
    """Return an IBAN: ISO 13616, check digits by ISO 7064 mod 97-10."""
    (country,) = dice.choices(list(_IBAN_DIGITS), _IBAN_SHARES)
    bban = _digits(dice, _IBAN_DIGITS[country])
    if country == "BE":
        bban = bban[:10] + f"{int(bban[:10]) % 97 or 97:02d}"
    number = int(bban + "".join(str(ord(letter) - 55) for letter in country) + "00")
    value = f"{country}{98 - number % 97:02d}{bban}"
    form = dice.random()
    if form < 0.5:
        return _grouped(value, 4, " ")
    if form < 0.85:
        return value
    if form < 0.93:
        return value.lower()
    return f"{value[:2]} {_grouped(value[2:], 4, ' ')}" if form < 0.96 else _grouped(value, 4, "-")


def card(dice: random.Random) -> str:
    """Return a card number: check digit by Luhn (ISO/IEC 7812)."""
    amex = dice.random() < 0.15
    body = (dice.choice(("34", "37")) if amex else dice.choice(("4", "51", "53", "55"))) + _digits(dice, 14)
    body = body[: 14 if amex else 15]
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    number = body + str(-total % 10)
    form = dice.random()
    if form < 0.3:
        return number
    gap = " " if form < 0.85 else "-"
    return gap.join((number[:4], number[4:10], number[10:])) if amex else _grouped(number, 4, gap)


def _mod_11_10(digits: str) -> str:
    """Return the check digit of ISO 7064 mod 11,10."""
    product = 10
    for digit in digits:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return str((11 - product) % 10)


def tax_id(dice: random.Random) -> str:
    """Return a German tax identification number: one of the first ten digits occurs twice, one not at all."""
    digits = dice.sample("0123456789", 9)
    digits.insert(dice.randrange(1, 9), digits[dice.randrange(9)])
    while digits[0] == "0" or any(a == b == c for a, b, c in zip(digits, digits[1:], digits[2:], strict=False)):
        dice.shuffle(digits)
    number = "".join(digits)
    number += _mod_11_10(number)
    return number if dice.random() < 0.5 else f"{number[:2]} {number[2:5]} {number[5:8]} {number[8:]}"


def vat_id(dice: random.Random) -> str:
    """Return a German VAT identification number."""
    body = dice.choice("123456789") + _digits(dice, 7)
    number = body + _mod_11_10(body)
    return f"DE{number}" if dice.random() < 0.7 else f"DE {number}"


def phone(dice: random.Random) -> str:
    """Return a phone number: German mobile or land line, sometimes Austrian, Swiss or British."""
    form = dice.random()
    if form < 0.06:
        return dice.choice((f"+43 1 {_digits(dice, 7)}", f"+43 664 {dice.randrange(1_000_000, 9_999_999)}"))
    if form < 0.10:
        return f"+41 44 {dice.randrange(200, 700)} {_grouped(_digits(dice, 4), 2, ' ')}"
    if form < 0.15:
        return f"+44 20 7{_digits(dice, 3)} {_digits(dice, 4)}"
    if dice.random() < 0.6:
        area, number = dice.choice(_MOBILE), str(dice.randrange(1_000_000, 9_999_999))
        if area in ("151", "152", "157", "160", "176"):
            number += _digits(dice, 1)
    else:
        area, length = dice.choice(list(_CITIES.items()))
        number = dice.choice("2345678") + _digits(dice, length - 1)
    shown = number if dice.random() < 0.6 else _grouped(number, dice.choice((2, 3)), " ")
    ways = (
        f"0{area} {shown}",
        f"0{area}/{shown}",
        f"0{area}-{number}",
        f"0{area}{number}",
        f"(0{area}) {shown}",
        f"+49 {area} {shown}",
        f"+49{area}{number}",
        f"+49 (0){area} {shown}",
        f"0049 {area} {shown}",
        f"0{area} / {shown}",
    )
    return dice.choice(ways)


def email(dice: random.Random) -> str:
    """Return a mail address."""
    first, last = (name.lower().translate(_PLAIN_LETTERS) for name in person(dice))
    local = dice.choice(
        (f"{first}.{last}", f"{first[0]}.{last}", f"{last}{dice.randrange(50, 99)}", f"{first}_{last}", f"{first}+bank")
    )
    address = f"{local}@{dice.choice(_HOSTS)}"
    if dice.random() < 0.05:
        return address.replace("@", " (at) ")
    return address.capitalize() if dice.random() < 0.08 else address


def url(dice: random.Random) -> str:
    """Return a web address."""
    host = dice.choice(
        ("www.mein-broker.de", "mein-broker.de", "app.sparfuchs.com", "www.finanzforum.net", "hilfe.depotwelt.eu")
    )
    path = dice.choice(("", "/login", "/konto/uebersicht?seite=2", "/a/b-c.html", "/faq#limit"))
    return dice.choice(("https://", "http://", "")) + host + path if "www" in host else f"https://{host}{path}"


def customer(dice: random.Random) -> str:
    """Return a customer, depot or contract number."""
    number = _digits(dice, 9)
    return dice.choice(
        (f"4{number[:7]}", f"{number[:3]}-{number[3:8]}", f"7{number}", f"K{number[:6]}", f"{number[:4]}/{number[4:7]}")
    )


def case(dice: random.Random) -> str:
    """Return a case number."""
    number = _digits(dice, 8)
    return dice.choice((f"#{number[:6]}", f"2024-{number[:5]}", f"SR-{number[:7]}", f"V/{number[:6]}", f"{number}"))


def isin(dice: random.Random) -> str:
    """Return a security's number (ISO 6166): it identifies no person."""
    body = dice.choice(("DE000", "US", "IE00B")) + _digits(dice, 9)
    body = body[:11]
    expanded = "".join(str(int(sign, 36)) for sign in body)
    total = 0
    for place, digit in enumerate(reversed(expanded)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return body + str(-total % 10)


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "iban": iban,
    "card": card,
    "taxid": tax_id,
    "vatid": vat_id,
    "phone": phone,
    "email": email,
    "url": url,
    "customer": customer,
    "case": case,
}
"""``{kind: maker}``, kinds as in `frontdesk.text.masking`."""
