"""Does cleaning keep what the author says now and nothing else, in many languages, for any input, in linear time?"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontdesk.errors import UsageError
from frontdesk.text import mail
from frontdesk.text.mail import clean_mail

OWN = "Der Übertrag ist noch nicht da, bitte prüfen Sie das."

# Language and program: what stands below the author's words when somebody answers.
QUOTES = {
    "de gmail": "Am Di., 3. Sept. 2024 um 09:14 Uhr schrieb Kundendienst <\nhilfe@bank.example>:\n\n> "
    "Guten Tag\n> wir prüfen das",
    "de thunderbird": "Am 03.09.24 um 09:14 schrieb Kundendienst:\n> Guten Tag",
    "de outlook": "Von: Kundendienst <hilfe@bank.example>\nGesendet: Dienstag, 3. September 2024 "
    "09:14\nAn: Eva Roth\nBetreff: AW: Übertrag\n\nGuten Tag",
    "de separator": "-----Ursprüngliche Nachricht-----\nVon: Kundendienst\nGesendet: 03.09.2024\n\nGuten Tag",
    "de gmx": 'Gesendet: Dienstag, 03. September 2024 um 09:14 Uhr\nVon: "Bank" '
    "<hilfe@bank.example>\nAn: eva@roth.example\nBetreff: Übertrag\n\nGuten Tag",
    "en apple": "On 3 Sep 2024, at 09:14, Help <help@bank.example> wrote:\n\n> Hello\n> we look into it",
    "en outlook": "________________________________\nFrom: Help <help@bank.example>\nSent: Tuesday, "
    "September 3, 2024 9:14 AM\nTo: Eva Roth\nSubject: RE: transfer\n\nHello",
    "en bold": "*From:* Help [mailto:help@bank.example]\n*Sent:* Tuesday, September 3, 2024\n*To:* "
    "Eva\n*Subject:* transfer\n\nHello",
    "en android": "-------- Original message --------\nFrom: Help\nDate: 03/09/2024 09:14\n\nHello",
    "fr": "Le mar. 3 sept. 2024 à 09:14, Service <aide@banque.example> a écrit :\n\n> Bonjour",
    "fr outlook": "De : Service <aide@banque.example>\nEnvoyé : mardi 3 septembre 2024 09:14\nÀ : "
    "Eva\nObjet : RE: transfert\n\nBonjour",
    "fr separator": "----- Message d'origine -----\nDe : Service\n\nBonjour",
    "es": "El mar, 3 sept 2024 a las 9:14, Ayuda (<ayuda@banco.example>) escribió:\n\n> Hola",
    "es outlook": "De: Ayuda <ayuda@banco.example>\nEnviado el: martes, 3 de septiembre de 2024\nPara: "
    "Eva\nAsunto: RE: traspaso\n\nHola",
    "it": "Il giorno mar 3 set 2024 alle ore 09:14 Aiuto <aiuto@banca.example>\nha scritto:\n\n> Buongiorno",
    "it outlook": "Da: Aiuto <aiuto@banca.example>\nInviato: martedì 3 settembre 2024\nA: Eva\nOggetto: R: "
    "trasferimento\n\nBuongiorno",
    "pt": "Em ter., 3 de set. de 2024 às 09:14, Ajuda <ajuda@banco.example> escreveu:\n\n> Olá",
    "pt outlook": "De: Ajuda <ajuda@banco.example>\nEnviada em: terça-feira, 3 de setembro de 2024\nPara: "
    "Eva\nAssunto: RES: transferência\n\nOlá",
    "nl": "Op di 3 sep 2024 om 09:14 schreef Hulp <hulp@bank.example>:\n\n> Hallo",
    "nl outlook": "Van: Hulp <hulp@bank.example>\nVerzonden: dinsdag 3 september 2024\nAan: "
    "Eva\nOnderwerp: RE: overdracht\n\nHallo",
    "ru": "вт, 3 сент. 2024 г. в 09:14, Помощь <help@bank.example>:\n\n> Добрый день",
    "ru mail.ru": "Вторник, 3 сентября 2024, 9:14 +03:00 от Помощь <help@bank.example>:\n\n> Добрый день",
    "ru wrote": "3 сентября 2024 г., 9:14, Помощь <help@bank.example> написал(а):\n\n> Добрый день",
    "pl": "wt., 3 wrz 2024 o 09:14 Pomoc <pomoc@bank.example> napisał(a):\n\n> Dzień dobry",
    "da": "Den tirs. 3. sep. 2024 kl. 09.14 skrev Hjælp <hjaelp@bank.example>:\n\n> Hej",
    "sv": "Den tis 3 sep. 2024 kl 09:14 skrev Hjälp <hjalp@bank.example>:\n\n> Hej",
    "marked only": "> Guten Tag,\n> wir prüfen das.\n>\n> Ihre Bank",
}

SIGNATURES = {
    "delimiter": "-- \nEva Roth\nMusterweg 3",
    "de": "Mit freundlichen Grüßen\n\nEva Roth",
    "de short": "VG Eva",
    "de thanks": "Vielen Dank im Voraus und viele Grüße\nEva Roth",
    "de card": "Freundliche Grüße\n\nEva Roth\nLeiterin Einkauf\nRoth Handel GmbH\nTel.: 0221 / 99 88 "
    "77\nwww.roth.example",
    "card only": "Eva Roth\nRoth Handel GmbH\nTel. +49 221 998877\neva@roth.example",
    "en": "Kind regards,\nEva",
    "fr": "Cordialement,\nEva Roth",
    "es": "Un saludo,\nEva Roth",
    "it": "Cordiali saluti\nEva Roth",
    "pt": "Atenciosamente,\nEva Roth",
    "nl": "Met vriendelijke groet,\nEva Roth",
    "ru": "С уважением,\nЕва Рот",
    "pl": "Pozdrawiam serdecznie,\nEwa",
    "iphone de": "Von meinem iPhone gesendet",
    "iphone en": "Sent from my iPhone",
    "outlook": "Get Outlook for iOS<https://aka.ms/o0ukef>",
    "gmx": "Gesendet mit der GMX iPhone App",
    "iphone fr": "Envoyé de mon iPhone",
    "iphone it": "Inviato da iPhone",
    "iphone es": "Enviado desde mi iPad",
    "iphone nl": "Verstuurd vanaf mijn iPhone",
    "dash": "-Eva Roth",
}

FOOTERS = {
    "register": "Roth Handel GmbH, Sitz der Gesellschaft: Köln\nAmtsgericht Köln HRB 12345, Geschäftsführer: Eva Roth",
    "vertraulich": "Diese E-Mail enthält vertrauliche Informationen. Wenn Sie nicht der richtige Adressat "
    "sind, vernichten Sie diese E-Mail.",
    "confidential": "This e-mail is confidential. If you are not the intended recipient, please delete this message.",
    "confidentiel": "Ce message et ses pièces jointes sont confidentiels et établis à l'intention exclusive "
    "de ses destinataires.",
    "riservato": "Questo messaggio è riservato. Se lo avete ricevuto per errore, vi preghiamo di "
    "informare il destinatario.",
    "environment": "Please consider the environment before printing this e-mail.",
    "virus": "Virenfrei. www.avast.com",
}


@pytest.mark.parametrize("name", QUOTES)
def test_an_answered_mail_is_cut(name: str) -> None:
    cleaned = clean_mail(f"{OWN}\n\n{QUOTES[name]}\n", "plain")
    assert cleaned.text == OWN
    assert cleaned.reply == OWN
    assert {part.kind for part in cleaned.removed} == {"quote"}


@pytest.mark.parametrize("name", [name for name in QUOTES if ">" in QUOTES[name].rpartition("\n")[2]])
def test_words_below_and_between_quoted_lines_stay(name: str) -> None:
    cleaned = clean_mail(f"Hallo,\n\n{QUOTES[name]}\n\n{OWN}\n\n> Noch etwas?\n> Gern.\n\nNein, danke.", "plain")
    assert cleaned.text == f"Hallo,\n\n{OWN}\n\nNein, danke."


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_cut_and_told(name: str) -> None:
    cleaned = clean_mail(f"Guten Tag,\n\n{OWN}\n\n{SIGNATURES[name]}")
    assert cleaned.text == f"Guten Tag,\n\n{OWN}"
    assert cleaned.signature.split() == SIGNATURES[name].split()
    assert cleaned.reply.split() == f"Guten Tag,\n{OWN}\n{SIGNATURES[name]}".split()
    assert [part.kind for part in cleaned.removed] == ["signature"]


@pytest.mark.parametrize("name", FOOTERS)
def test_a_legal_footer_is_cut(name: str) -> None:
    cleaned = clean_mail(f"{OWN}\n\nMit freundlichen Grüßen\nEva Roth\n\n{FOOTERS[name]}")
    assert cleaned.text == OWN
    assert cleaned.signature == "Mit freundlichen Grüßen\nEva Roth"
    assert [part.kind for part in cleaned.removed] == ["footer", "signature"]


@pytest.mark.parametrize(
    "text",
    [
        "On Thursday I wrote to you about my account and nobody answered.",
        "Am 12.03.2024 schrieb ich Ihnen Folgendes:\n\nBitte zahlen Sie das Geld aus.",
        "On 12/03/2024 I wrote:\n\nPlease pay out the money.",
        "Bitte ändern Sie die Daten.\n\nMeine neue Adresse:\nEva Roth\nMusterweg 3\nTel. 0221 998877",
        "Überweisung:\nVon: DE89370400440532013000\nAn: AT611904300234573201\nBetrag: 100 Euro",
        "Ich brauche einen Handelsregisterauszug.\n\nWas kostet der?",
        "Die Rendite ist\n> 5 %\nim Jahr.",
        "Drei Fragen:\n\n- Kosten?\n- Dauer?\n- Steuern?",
        "Sent from my desk, this is easier to read than from my phone.",
        "Ist das vertraulich? Ich habe eine Nachricht von Ihnen erhalten.",
        "Meine Daten\n\nSie erreichen mich unter 0221 998877.\nMeine Mail ist eva@roth.example.",
        "Hier ein Hinweis -- das ist keine Signatur.\n\nBis dann soll das erledigt sein.",
        "MfG und mehr steht in meinem Brief vom Montag, den Sie bitte beantworten sollen.",
        "Freigabe -- was ist das?",
    ],
)
def test_what_only_looks_like_something_to_remove_stays(text: str) -> None:
    cleaned = clean_mail(text, "plain")
    assert cleaned.text == text
    assert not cleaned.removed


def test_a_postscript_stays() -> None:
    cleaned = clean_mail(f"{OWN}\n\nViele Grüße\nEva\n\nPS: Die IBAN hat sich geändert.")
    assert cleaned.text == f"{OWN}\n\nPS: Die IBAN hat sich geändert."


def test_a_forwarded_mail_without_words_above_is_the_mail() -> None:
    older = (
        "---------- Forwarded message ---------\nFrom: Bank <hilfe@bank.example>\nDate: Tue, Sep "
        "3, 2024\nSubject: Übertrag\nTo: Eva\n\nIhr Depot ist gesperrt."
    )
    cleaned = clean_mail(f"Zur Info\n\n{older}")
    assert cleaned.text == "Zur Info\n\nIhr Depot ist gesperrt."
    assert cleaned.reply.split() == f"Zur Info {older}".split()
    note = " ".join([OWN] * 3)
    assert clean_mail(f"{note}\n\n{older}").text == note


def test_a_mail_that_is_only_a_quote_or_only_a_signature_is_not_emptied() -> None:
    assert clean_mail("> Guten Tag\n> Ihr Depot ist gesperrt").text == "Guten Tag\nIhr Depot ist gesperrt"
    assert (
        clean_mail("Von: Bank <a@b.example>\nGesendet: heute\nBetreff: Depot\n\nIhr Depot ist gesperrt").text
        == "Ihr Depot ist gesperrt"
    )
    assert clean_mail("Mit freundlichen Grüßen\nEva").text == "Mit freundlichen Grüßen\nEva"
    assert clean_mail("-- \nEva").text == "--\nEva"


def test_a_gateway_warning_and_an_address_suffix_go() -> None:
    cleaned = clean_mail(
        f"ACHTUNG: Diese E-Mail kommt von einem externen Absender.\n\n{OWN} (Adresssuche nach: Musterweg 3, 50667 Köln)"
    )
    assert cleaned.text == OWN
    assert cleaned.counts() == {"banner": 1, "suffix": 1}


def test_links_lose_what_follows_people() -> None:
    cleaned = clean_mail(
        "Siehe https://bank.example/depot?id=3&utm_source=mail&fbclid=x und "
        "https://bank.example/?a=1 [cid:image001.png@01D7]"
    )
    assert cleaned.text == "Siehe https://bank.example/depot?id=3 und https://bank.example/?a=1"
    assert cleaned.counts() == {"tracking": 2}


HTML = """<!DOCTYPE html><html><head><title>x</title><style>p > a {color:red} .q {margin:0}</style></head><body>
<div style="display:none">Vorschau &amp; mehr</div><!-- Kommentar -->
<p>Guten&nbsp;Tag,</p><p>{own}<br>Zweite   Zeile &lt;3</p>
<ul><li>eins</li><li>zwei</li></ul><script>alert("<p>")</script><img src="https://t.example/p.gif" width=1 height=1>
<div class="gmail_quote"><div>Am Di., 3. Sept. 2024 um 09:14 Uhr schrieb Bank
&lt;<a href="mailto:a@b.example">a@b.example</a>&gt;:</div>
<blockquote>Alter <b>Text</b></blockquote></div></body></html>"""


def test_html_becomes_text() -> None:
    cleaned = clean_mail(HTML.replace("{own}", OWN))
    assert cleaned.text == f"Guten Tag,\n\n{OWN}\nZweite Zeile <3\n\n* eins\n* zwei"
    assert cleaned.counts() == {"hidden": 1, "quote": 1, "style": 1, "tracking": 1} | {"style": 1}


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a<p>b", "a\n\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<br/>a<br>b", "a\nb"),
        ("a <a href='x>y'>b</a> c<br>", "a b c"),
        ('<p class="x>offen</p>', "offen"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("<div style='display:none'>nur das", "nur das"),
        ("<p>5 < 6 &amp;amp; 7</p>", "5 < 6 & 7"),
        ("<style>p {}</style>", ""),
        ("<head><p>Kopf ohne Ende", "Kopf ohne Ende"),
        ("<p>&#99999999999999; x</p>", "x"),
    ],
)
def test_broken_markup(markup: str, text: str) -> None:
    assert clean_mail(markup, "html").text == text


def _message(cte: str, charset: str) -> bytes:
    message = EmailMessage()
    message["Subject"] = "AW: Übertrag"
    message["From"] = "eva@roth.example"
    message.set_content(f"{OWN}\n\nViele Grüße\nEva\n", charset=charset, cte=cte)
    message.add_alternative(f"<p>{OWN}</p>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Vollmacht.pdf")
    return message.as_bytes()


@pytest.mark.parametrize(
    ("cte", "charset"), [("base64", "utf-8"), ("quoted-printable", "iso-8859-1"), ("8bit", "utf-8")]
)
@pytest.mark.parametrize("as_text", [False, True])
def test_a_raw_message(cte: str, charset: str, as_text: bool) -> None:
    raw = _message(cte, charset)
    cleaned = clean_mail(raw.decode("utf-8") if as_text else raw)
    assert cleaned.subject == "AW: Übertrag"
    assert cleaned.text == OWN
    assert (cleaned.removed[0].kind, cleaned.removed[0].text) == ("attachment", "Vollmacht.pdf")


def test_a_pasted_header_is_no_message() -> None:
    cleaned = clean_mail(f"From: Eva\nSubject: Depot\n\n{OWN}")
    assert cleaned.subject is None
    assert cleaned.text == OWN


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Grüße für Ärger".encode("cp1252"), "Grüße für Ärger"),
        ("Grüße".encode("utf-16"), "Grüße"),
        ("GrÃ¼ÃŸe fÃ¼r 5 â‚¬", "Grüße für 5 €"),
        ("Gr=C3=BC=C3=9Fe und ein lang=\nes Wort", "Grüße und ein langes Wort"),
        ("NÃO, não; ÂNGELA; Ü", "NÃO, não; ÂNGELA; Ü"),
        ("a\u00a0b\u200bc\x00d\r\ne", "a bcd\ne"),
    ],
)
def test_character_sets(raw: str | bytes, text: str) -> None:
    assert clean_mail(raw).text == text


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="docx"):
        clean_mail("a", "docx")  # type: ignore[arg-type]


_PIECES = st.sampled_from(
    [
        *QUOTES.values(),
        *SIGNATURES.values(),
        *FOOTERS.values(),
        OWN,
        HTML,
        "<p>",
        "</blockquote>",
        "<blockquote>",
        "&lt;p&gt;",
        "&amp;lt;br&amp;gt;",
        "> ",
        "-- ",
        "\n\n",
        "\n",
        "Subject: x",
        "Content-Type: text/plain; charset=utf-16",
        "(Adresse: x)",
        "PS: y",
        "=C3=BC=\n",
        "Ã¼",
        "ÃƒÂ¼",
        "____",
        "a",
    ]
)
_MAILS = st.lists(_PIECES | st.text(max_size=12), max_size=8).map("\n".join)


@given(_MAILS)
@settings(max_examples=250, deadline=None)
@example("Eva\n\nVG\nEva\n\n-- \nEva")
@example("<p>&lt;p&gt;a")
@example("> Am 1.1.2024 schrieb a@b.de:\n> x")
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    cleaned = clean_mail(text)
    assert clean_mail(cleaned.text).text == cleaned.text
    plain = clean_mail(text, "plain")
    assert clean_mail(plain.text, "plain").text == plain.text
    if any(sign.isalnum() for sign in text):
        assert any(sign.isalnum() for sign in plain.text)


@given(st.binary(max_size=400) | st.lists(_PIECES.map(str.encode) | st.binary(max_size=20), max_size=8).map(b"\n".join))
@settings(max_examples=250, deadline=None)
@example(b'Content-Type: multipart/mixed; boundary="\n\n--\n')
@example(b'MIME-Version: 1.0\nSubject: =?utf-8?q?=?=\nContent-Type: text/plain; charset="\x00"\n\nx')
@example(b"Message-ID: <[\nContent-Disposition: attachment; filename*0*=x''%\n\nx")
def test_no_bytes_raise(raw: bytes) -> None:
    for kind in ("auto", "plain", "html", "eml"):
        clean_mail(raw, kind).text.encode()  # no lone surrogate is left


@pytest.mark.slow
def test_a_hundred_thousand_random_byte_strings_raise_nothing() -> None:
    dice = random.Random(7)
    pieces = [
        piece.encode()
        for piece in [
            *QUOTES.values(),
            *SIGNATURES.values(),
            HTML,
            "Content-Type: multipart/mixed; boundary=a\n\n--a\n",
        ]
    ]
    for _ in range(100_000):
        raw = dice.randbytes(dice.randrange(120))
        if dice.random() < 0.3:
            raw = dice.choice(pieces)[: dice.randrange(200)] + raw
        clean_mail(raw)


_HOSTILE: dict[str, Callable[[int], str]] = {
    "less": lambda size: "<" * size,
    "open tags": lambda size: "<div>" * (size // 5),
    "crossed tags": lambda size: "<b>" * (size // 8) + "</i>" * (size // 8),
    "attribute quotes": lambda size: '<a "' * (size // 4),
    "mixed quotes": lambda size: "<a \"<a '" * (size // 8),
    "comments": lambda size: "<p>" + "<!--" * (size // 4),
    "heads": lambda size: "<p>" + "<head>" * (size // 6),
    "styles": lambda size: "<style>" * (size // 7),
    "hidden": lambda size: "<p style='display:none'>a</p>" * (size // 29),
    "nested hidden": lambda size: "<p style='display:none'>" * (size // 24),
    "blockquotes": lambda size: "<blockquote>a" * (size // 13),
    "ampersands": lambda size: "<p>" + "&amp;" * (size // 5),
    "references": lambda size: "<p>&#" + "9" * size,
    "greater": lambda size: ">" * size,
    "quoted lines": lambda size: "> a\n" * (size // 4),
    "attributions": lambda size: "On 1/1/2024 10:10 x <\n" * (size // 22),
    "wrote": lambda size: "On 1/1/2024 a wrote:\n" * (size // 21),
    "nested originals": lambda size: "-----Original Message-----\n" * (size // 27),
    "headers": lambda size: "From: a\n" * (size // 8),
    "header blocks": lambda size: "From: a@b.de\nSubject: x\n" * (size // 24),
    "closings": lambda size: "Viele Grüße\nEva\n\n" * (size // 17),
    "footers": lambda size: "a\n\n" + "Impressum\n\n" * (size // 11),
    "banners": lambda size: "Achtung: externer Absender\n\n" * (size // 28),
    "delimiters": lambda size: "--\n" * (size // 3),
    "blank lines": lambda size: "a" + "\n" * size + "b",
    "spaces": lambda size: "a" + " " * size + "b",
    "one long line": lambda size: "x" * size,
    "dashes": lambda size: "-" * size,
    "brackets": lambda size: "(" * size + ")",
    "mojibake": lambda size: "Ã¼" * (size // 2),
    "deep mojibake": lambda size: "Ãƒ" * (size // 2),
    "quoted printable": lambda size: "=C3=\n" * (size // 5),
    "links": lambda size: "https://a.example/?utm_a=1&" * (size // 27),
    "parts": lambda size: "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n" + "--a\n\n" * (size // 5),
    "long header": lambda size: "MIME-Version: 1.0\nSubject: " + "=?utf-8?q?a?= " * (size // 14) + "\n\na",
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_work_grows_with_the_length_and_not_faster(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Twice the text may do twice the Python steps, not four times. Time would depend on the machine.
    monkeypatch.setattr(mail, "MAX_CHARACTERS", 1 << 20)
    short, long = (_steps(_HOSTILE[name](size)) for size in (2_048, 4_096))
    assert long <= 2.3 * short + 300


@pytest.mark.slow
@pytest.mark.parametrize("name", _HOSTILE)
def test_the_longest_mail_is_cleaned_soon(name: str) -> None:
    # Patterns run inside the regular expression engine, where steps cannot be counted: a wide bound on time for these.
    begin = time.process_time()
    clean_mail(_HOSTILE[name](2 * mail.MAX_CHARACTERS))
    assert time.process_time() - begin < 30


def _steps(text: str) -> int:
    """Count the lines of our own Python that cleaning a text runs."""
    steps, ours = 0, os.sep + "frontdesk" + os.sep

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal steps
        if event == "call" and ours not in frame.f_code.co_filename:  # type: ignore[attr-defined]
            return None
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        clean_mail(text)
    finally:
        sys.settrace(before)
    return steps
