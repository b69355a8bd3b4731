"""The world of the simulated mail desk: a digital broker with custodian banks, its labels and their changes.

A topic decides most of the queue, the product that a mail names decides the business line; where a mail says only
"account", the custodian bank tells more than the text.
"""

from __future__ import annotations

from typing import Any

BANKS = {"Isar Depotbank": 0.44, "Nordlicht Bank": 0.26, "Rheinische Privatbank": 0.18, "Direktbank Süd": 0.12}
"""Custodian banks and their shares."""

# business line: share per bank, in the order of `BANKS`.
LINES = {
    "Brokerage": (0.74, 0.18, 0.10, 0.30),
    "Wealth": (0.12, 0.66, 0.20, 0.10),
    "Savings": (0.08, 0.10, 0.64, 0.15),
    "Crypto": (0.06, 0.06, 0.06, 0.45),
}

PRODUCTS = {
    "Brokerage": (
        ("Depot", "Wertpapierdepot", "Brokerkonto"),
        ("trading account", "brokerage account", "broker depot"),
    ),
    "Wealth": (("Portfolio", "ETF-Portfolio", "Mandat"), ("managed portfolio", "portfolio", "wealth plan")),
    "Savings": (
        ("Tagesgeld", "Tagesgeldkonto", "Zinskonto"),
        ("savings account", "overnight money", "interest account"),
    ),
    "Crypto": (
        ("Krypto-Wallet", "Kryptodepot", "Bitcoin-Bestand"),
        ("crypto wallet", "coin depot", "bitcoin holdings"),
    ),
}
"""Words for each business line, German and English."""
VAGUE = (("Konto", "Zugang", "Vertrag"), ("account", "contract", "profile"))
VAGUE_SHARE = 0.35

OTHER_QUEUES = {
    ("Crypto", "Trading"): "Crypto desk",
    ("Crypto", "Transfers"): "Crypto desk",
    ("Savings", "Payments"): "Savings desk",
}
"""``{(business line, queue of the topic): the queue that handles it instead}``."""
BANK_QUEUES = {
    ("Rheinische Privatbank", "Transfers"): "Partner bank desk",
    ("Direktbank Süd", "Login"): "Partner bank desk",
}
"""``{(custodian bank, queue of the topic): the queue that handles it instead}``."""

# In the order of time: a label carries its oldest name until the date.
CHANGES: tuple[dict[str, Any], ...] = (
    {"date": "2024-04-01", "head": "queue", "change": "rename", "from": ["Login"], "to": ["Access"]},
    {
        "date": "2024-07-01",
        "head": "topic",
        "change": "split",
        "from": ["Securities transfer"],
        "to": ["Transfer in", "Transfer out"],
    },
    {
        "date": "2024-10-01",
        "head": "topic",
        "change": "merge",
        "from": ["Address change", "Name change"],
        "to": ["Personal data"],
    },
    {"date": "2025-01-01", "head": "business_line", "change": "add", "from": [], "to": ["Crypto"]},
    {"date": "2025-01-01", "head": "queue", "change": "add", "from": [], "to": ["Crypto desk"]},
    {"date": "2025-03-01", "head": "business_line", "change": "rename", "from": ["Robo"], "to": ["Wealth"]},
    {"date": "2025-06-01", "head": "topic", "change": "retire", "from": ["Fax request"], "to": []},
    {"date": "2025-09-01", "head": "queue", "change": "rename", "from": ["Payments"], "to": ["Cash"]},
)
"""What changed in the label sets and when: rename, merge, split, add, retire."""

DRIFTS = {
    "text": "half of the mails tell of a failed migration in words that were not used before",
    "language": "most mails are English",
    "bank-mix": "the shares of the custodian banks are reversed",
    "topic-mix": "rare topics are frequent",
    "queue-rename": "offices have new names that no taxonomy file announces",
    "empty-bodies": "every third mail has lost its body",
}
"""Drifts that can be switched on, and what each does to every mail of a table."""

NEW_WORDS = (
    (
        "seit der Migration auf das neue Kernbanksystem geht das nicht mehr",
        "Ihr Relaunch hat Tokenisierung und Freigabe zerschossen",
    ),
    ("since you migrated to the new core platform this is broken", "your relaunch wrecked tokenisation and sign-off"),
)

GREETINGS = (
    ("Guten Tag,", "Hallo,", "Sehr geehrte Damen und Herren,", "Hallo liebes Team,", "Moin,", "Grüß Gott,"),
    ("Hello,", "Hi team,", "Dear Sir or Madam,", "Good morning,"),
)
OPENERS = (
    ("", "", "es geht um Folgendes: ", "ich wende mich an Sie, denn ", "kurze Frage: ", "leider muss ich schreiben: "),
    ("", "", "a short question: ", "I am writing because ", "here is my problem: "),
)
FILLERS = (
    (
        "Bitte geben Sie mir kurz Bescheid.",
        "Ich habe schon zweimal angerufen und hing in der Warteschleife.",
        "Über eine schnelle Antwort würde ich mich freuen.",
        "Sonst bin ich mit Ihrem Angebot zufrieden.",
        "Das kann doch nicht so schwer sein.",
        "In der App finde ich dazu nichts.",
    ),
    (
        "Please let me know what to do.",
        "I have called twice and was kept waiting.",
        "A quick answer would be appreciated.",
        "Otherwise I am happy with your service.",
        "I cannot find anything about it in the app.",
    ),
)
# Numbers that identify nobody.
DISTRACTORS = (
    (
        "Es geht um {amount} Euro vom {date}.",
        "Die Abrechnung vom {date} um {time} Uhr weist {amount} EUR aus.",
        "Betroffen ist die ISIN {isin}, {count} Stück.",
        "Der Zins lag bei {percent} %.",
        "Das war am {date}, {count} Anteile zu je {amount} €.",
    ),
    (
        "It is about {amount} euros of {date}.",
        "The statement of {date}, {time}, shows EUR {amount}.",
        "It concerns ISIN {isin}, {count} shares.",
        "The rate was {percent} %.",
    ),
)
# kind: sentences; the identifier is the only thing in braces.
TELLING = {
    "iban": (
        (
            "Meine IBAN lautet {}.",
            "Bitte zahlen Sie auf {} aus.",
            "Neues Referenzkonto: {}",
            "Überwiesen habe ich von {} aus.",
        ),
        ("My IBAN is {}.", "Please pay to {} instead.", "I sent it from {} last week."),
    ),
    "card": (
        ("Gezahlt habe ich mit der Karte {}.", "Kreditkarte {} wurde belastet."),
        ("I paid with card {}.", "My credit card {} was charged."),
    ),
    "taxid": (
        ("Meine Steuer-ID: {}", "Die steuerliche Identifikationsnummer ist {}."),
        ("My German tax id is {}.",),
    ),
    "vatid": (("Unsere USt-IdNr. ist {}.", "Rechnung bitte auf die Firma, {}."), ("Our VAT number is {}.",)),
    "phone": (
        (
            "Sie erreichen mich unter {}.",
            "Rufen Sie mich bitte an: {}",
            "Meine neue Handynummer ist {}.",
            "Rückruf gern abends, {}.",
        ),
        ("You can reach me on {}.", "Please call {} after six.", "My new mobile number is {}."),
    ),
    "email": (
        ("Antworten Sie bitte an {}.", "Meine neue Mailadresse ist {}.", "Kopie gern auch an {}."),
        ("Please answer to {}.", "My new address is {}."),
    ),
    "url": (
        ("Der Fehler kommt auf {} vor.", "Siehe {} dazu."),
        ("The error shows on {} every time.", "See {} for details."),
    ),
    "customer": (
        ("Meine Kundennummer ist {}.", "Kd.-Nr. {}", "Es geht um das Depot Nr. {}.", "Vertragsnummer: {}"),
        ("My customer number is {}.", "Account no. {}", "Client ID: {}"),
    ),
    "case": (
        (
            "Ihr Zeichen: {}",
            "Die Vorgangsnummer ist {}.",
            "Siehe Ticket {} von letzter Woche.",
            "Aktenzeichen {} liegt Ihnen vor.",
        ),
        ("Your reference: {}", "See ticket {} from last week.", "Case number {} is still open."),
    ),
}
TELLING_SHARES = {
    "iban": 0.20,
    "phone": 0.18,
    "customer": 0.22,
    "case": 0.12,
    "email": 0.12,
    "url": 0.06,
    "taxid": 0.04,
    "card": 0.04,
    "vatid": 0.02,
}
