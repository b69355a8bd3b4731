"""Is personal data found, is everything else left alone, and does masking twice change nothing?"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontdesk.errors import UsageError
from frontdesk.simulation.emails import simulate
from frontdesk.text.cleaning import clean
from frontdesk.text.masking import KINDS, find, mask, placeholder, read_key

KEY = b"a key of more than sixteen bytes"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("IBAN DE89 3704 0044 0532 0130 00, danke", "IBAN maskediban, danke"),
        ("auf de89370400440532013000.", "auf maskediban."),
        ("GB29 NWBK 6016 1331 9268 19 und FR1420041010050500013M02606", "maskediban und maskediban"),
        ("Konto DE89-3704-0044-0532-0130-00", "Konto maskediban"),
        ("vertippt: DE88 3704 0044 0532 0130 00", "vertippt: maskediban"),
        ("Visa 4111 1111 1111 1111 / Amex 3782-822463-10005", "Visa maskedcard / Amex maskedcard"),
        ("Steuer-ID 86 095 742 719", "Steuer-ID maskedtaxid"),
        ("Steuernummer beim Finanzamt: 181/815/08155", "Steuernummer beim Finanzamt: maskedtaxid"),
        ("USt-IdNr. DE 136 695 976, ATU13585627", "USt-IdNr. maskedvatid, maskedvatid"),
        ("Tel. 0221/99 88 77, mobil 0171-1234567", "Tel. maskedphone, mobil maskedphone"),
        ("+49 (0) 89 / 12 34 56 oder 0043 1 5880421", "maskedphone oder maskedphone"),
        ("(030) 12345678 und (0211) 998877", "maskedphone und maskedphone"),
        ("0171 1234567 0172 7654321", "maskedphone maskedphone"),
        ("ruf an +1 650-253-0000!", "ruf an maskedphone!"),
        ("eva.roth+bank@mail.roth-handel.de, (EVA@GMX.NET)", "maskedemail, (maskedemail)"),
        ("eva (at) roth (punkt) de, eva[at]roth.de", "maskedemail, maskedemail"),
        ("<mailto:eva@roth.de>", "<maskedemail>"),
        (
            "siehe https://bank.de/a?b=c#d, www.bank.de und mein-broker.com/hilfe.",
            "siehe maskedurl, maskedurl und maskedurl.",
        ),
        ("Kundennummer: 12345-678; Depot-Nr. 4711000815", "Kundennummer: maskedcustomer; Depot-Nr. maskedcustomer"),
        ("Mein Depot 1234567 ist leer", "Mein Depot maskedcustomer ist leer"),
        ("customer number is AB-99812", "customer number is maskedcustomer"),
        ("[Ticket #445566] Vorgang 2024/00123 Az. 12-345/24", "[Ticket #maskedcase] Vorgang maskedcase Az. maskedcase"),
        ("wegen SR-2024-004711", "wegen maskedcase"),
    ],
)
def test_found(text: str, masked: str) -> None:
    assert mask(text).text == masked


@pytest.mark.parametrize(
    "text",
    [
        "ISIN DE0007164600, US0378331005, WKN 716460",
        "am 01.02.2024 um 10:30 Uhr, 02.03.24, 2024-03-01",
        "100.000,50 EUR, 1,000.00 USD, 12,5 %, 2.500 Stück",
        "DAX 40 bei 18.000, S&P 500, MSCI World",
        "Paragraf 12 Abs. 3, Seite 4, Frage 5",
        "50667 Köln, Musterweg 12",
        "Nr. 5 und Nr. 6 sind offen. Depot wird eröffnet.",
        "bei z.B. zwei, d.h. 3 oder u.a. vier",
        "1234567890123456 ist keine Karte",
        "Das Ticket war teuer, 30 Euro.",
        "Seit 2019 Kunde, 3 Depots, 4 Konten",
    ],
)
def test_left_alone(text: str) -> None:
    assert mask(text).text == text


@pytest.mark.parametrize(("rows", "seed", "drift"), [(1_200, 5, None), (600, 6, "language")])
def test_precision_and_recall_on_the_simulated_desk(rows: int, seed: int, drift: str | None) -> None:
    table = simulate(rows, seed, drift=drift, truth=True)
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for text, truth in zip(
        table.column("true_text").to_pylist(), table.column("true_identifiers").to_pylist(), strict=True
    ):
        expected = {(one["kind"], one["start"], one["end"]) for one in orjson.loads(truth)}
        given_spans = {(one.kind, one.start, one.end) for one in find(text)}
        right.update(kind for kind, *_ in expected & given_spans)
        wrong.update(kind for kind, *_ in given_spans - expected)
        missed.update(kind for kind, *_ in expected - given_spans)
    assert set(right) == set(KINDS)
    assert right.total() / (right.total() + wrong.total()) >= 0.98, wrong
    assert right.total() / (right.total() + missed.total()) >= 0.99, missed


def test_placeholders_survive_cleaning_and_count() -> None:
    masked = mask("Von eva@roth.de: DE89 3704 0044 0532 0130 00, Tel. 0221 998877, noch einmal eva@roth.de", KEY)
    words = clean(masked.text).split()
    assert Counter(word for word in words if word.startswith("masked")) == {
        placeholder(kind): count for kind, count in masked.counts.items()
    }
    assert masked.counts == {"email": 2, "iban": 1, "phone": 1}
    for kind in KINDS:
        assert clean(placeholder(kind)) == placeholder(kind)


def test_a_pseudonym_belongs_to_the_value_and_the_key() -> None:
    spaced, bare = mask("DE89 3704 0044 0532 0130 00", KEY).text, mask("de89370400440532013000", KEY).text
    assert spaced == bare
    assert spaced.startswith("maskediban-")
    assert mask("0221/998877", KEY).text == mask("+49 221 99 88 77", KEY).text
    assert mask("DE89370400440532013000", b"another key of sixteen bytes").text != bare
    assert mask("AT611904300234573201", KEY).text != bare
    assert "3704" not in spaced


def test_a_key_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    assert read_key(tmp_path / "key") == KEY
    (tmp_path / "short").write_bytes(b"abc")
    for name in ("short", "missing"):
        with pytest.raises(UsageError, match=name):
            read_key(tmp_path / name)


_PIECES = st.sampled_from(
    [
        "DE89 3704 0044 0532 0130 00",
        "4111111111111111",
        "0171 1234567",
        "+49",
        "(0",
        "eva@roth.de",
        "eva (at) roth.de",
        "https://a.de/x",
        "www.",
        ".de",
        "Kundennummer",
        "Ticket #",
        "DE136695976",
        "86095742719",
        "12",
        "0",
        " ",
        "-",
        "/",
        ".",
        ",",
        "\n",
        "maskediban",
        "ist",
        "DE",
        "AB-123456",
        "Tel.",
        "@",
    ]
)


@given(st.lists(_PIECES | st.text(max_size=6), max_size=10).map("".join))
@settings(max_examples=400, deadline=None)
@example("0171 1234567 089 123456")
@example("Ticket #Kundennummer 12345")
@example("DE89DE89370400440532013000")
@example("1.0171 1234567")
def test_masking_twice_is_masking_once(text: str) -> None:
    for key in (None, KEY):
        masked = mask(text, key)
        assert mask(masked.text, key).text == masked.text
        spans = [(one.start, one.end) for one in masked.found]
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


_HOSTILE: dict[str, Callable[[int], str]] = {
    "digits": lambda size: "1" * size,
    "zeros": lambda size: "0" * size,
    "phones": lambda size: "0 1 " * (size // 4),
    "brackets": lambda size: "(0" * (size // 2),
    "at": lambda size: "a@" * (size // 2),
    "dots": lambda size: "a." * (size // 2),
    "hosts": lambda size: "a-" * (size // 2) + ".de",
    "letters": lambda size: "DE12" * (size // 4),
    "iban": lambda size: "DE12 " * (size // 5),
    "words": lambda size: "Kundennummer ist " * (size // 17),
    "hashes": lambda size: "#1" * (size // 2),
    "cards": lambda size: "4111 " * (size // 5),
    "at words": lambda size: "a (at) " * (size // 7),
    "one word": lambda size: "a" * size,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _HOSTILE)
def test_time_grows_with_the_length_and_not_faster(name: str) -> None:
    import time

    def seconds(size: int) -> float:
        begin = time.process_time()
        mask(_HOSTILE[name](size))
        return time.process_time() - begin

    seconds(100)
    assert seconds(80_000) <= 6 * seconds(20_000) + 0.5


def test_libraries_are_loaded_with_the_first_candidate() -> None:
    probe = (
        "import sys; from frontdesk.text.masking import mask; from frontdesk.text.mail import clean_mail;"
        "clean_mail('Hallo'); mask('Hallo Welt');"
        "print([m for m in ('phonenumbers', 'stdnum', 'charset_normalizer', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
