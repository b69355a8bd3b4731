"""The world of the simulated mail desk: a digital broker with custodian banks, its labels and their changes.

A topic decides most of the queue, the product that a mail names decides the business line; where a mail says only
"account", the custodian bank tells more than the text.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    "Brokerage": (("Depot", "Wertpapierdepot", "Brokerkonto"), ("trading account", "brokerage account", "broker depot")),
    "Wealth": (("Portfolio", "ETF-Portfolio", "Mandat"), ("managed portfolio", "portfolio", "wealth plan")),
    "Savings": (("Tagesgeld", "Tagesgeldkonto", "Zinskonto"), ("savings account", "overnight money", "interest account")),
    "Crypto": (("Krypto-Wallet", "Kryptodepot", "Bitcoin-Bestand"), ("crypto wallet", "coin depot", "bitcoin holdings")),
}
"""Words for each business line, German and English."""
VAGUE = (("Konto", "Zugang", "Vertrag"), ("account", "contract", "profile"))
VAGUE_SHARE = 0.35

# topic | queue | weight | German ways | English ways; {p} is the product.
_TOPICS = """
Transfer in | Transfers | 7 | ich möchte mein {p} von einer anderen Bank zu Ihnen übertragen; der Depotübertrag zu Ihnen ist noch nicht angekommen, es geht um mein {p}; wann kommen die Wertpapiere aus dem Übertrag in mein {p} | I want to move my {p} from another bank to you; the incoming transfer to my {p} has not arrived
Transfer out | Transfers | 5 | bitte übertragen Sie mein {p} zu einer anderen Bank; der Übertrag meiner Anteile aus dem {p} an die neue Bank dauert zu lange; ich ziehe mein {p} um, was brauchen Sie von mir | please transfer my {p} to another bank; the outgoing transfer from my {p} is taking too long
Order not executed | Trading | 8 | meine Order im {p} wurde nicht ausgeführt; der Kauf über das {p} steht seit Stunden auf offen; das Limit im {p} war erreicht, trotzdem kein Verkauf | my order in the {p} was not executed; the limit was reached but the {p} shows no sale
Savings plan | Trading | 7 | ich möchte die Sparrate in meinem {p} ändern; der Sparplan im {p} wurde diesen Monat nicht ausgeführt; bitte pausieren Sie den Sparplan für mein {p} | I want to change the savings plan of my {p}; the savings plan in my {p} did not run this month
Wrong price | Trading | 4 | der Kurs bei der Ausführung im {p} war viel schlechter als angezeigt; die Abrechnung im {p} zeigt einen falschen Kurs | the execution price in my {p} was far from the quote; the settlement of my {p} shows a wrong price
Dividend missing | Corporate actions | 5 | die Dividende fehlt in meinem {p}; wann wird die Ausschüttung auf mein {p} gebucht | the dividend is missing in my {p}; when will the distribution reach my {p}
Stock split | Corporate actions | 3 | nach dem Aktiensplit stimmt die Stückzahl im {p} nicht; die neuen Aktien aus der Kapitalmaßnahme fehlen im {p} | after the split the number of shares in my {p} is wrong; the new shares from the corporate action are missing in my {p}
Deposit missing | Payments | 8 | meine Einzahlung auf das {p} ist nicht gutgeschrieben; die Überweisung an mein {p} ist seit Tagen unterwegs; ich habe Geld an das {p} gesendet und sehe nichts | my deposit to the {p} has not been credited; I sent money to my {p} and see nothing
Withdrawal | Payments | 7 | ich möchte Geld aus dem {p} auszahlen lassen; die Auszahlung vom {p} ist nicht angekommen; wie lange dauert die Auszahlung aus dem {p} | I want to withdraw money from my {p}; the payout from my {p} has not arrived
Direct debit | Payments | 4 | die Lastschrift für mein {p} ist zurückgegangen; bitte ziehen Sie die Lastschrift für das {p} erneut ein | the direct debit for my {p} was returned; please collect the direct debit for my {p} again
Reference account | Payments | 5 | ich habe ein neues Referenzkonto für mein {p}; bitte ändern Sie die hinterlegte Bankverbindung beim {p} | I have a new reference account for my {p}; please change the bank details of my {p}
Interest rate | Payments | 4 | wie hoch ist der Zinssatz auf mein {p}; die Zinsgutschrift beim {p} ist zu niedrig | what interest rate does my {p} pay; the interest credited to my {p} is too low
Tax certificate | Tax | 7 | mir fehlt die Steuerbescheinigung für mein {p}; wann kommt die Jahressteuerbescheinigung zum {p} | I am missing the tax certificate of my {p}; when will the annual tax statement for my {p} be ready
Exemption order | Tax | 6 | ich möchte den Freistellungsauftrag für mein {p} ändern; der Freistellungsauftrag wurde beim {p} nicht berücksichtigt | I want to change the exemption order of my {p}; my tax allowance was ignored for the {p}
Loss offset | Tax | 3 | der Verlusttopf wurde beim {p} nicht verrechnet; bitte stellen Sie mir eine Verlustbescheinigung zum {p} aus | losses were not offset in my {p}; please issue a loss statement for my {p}
Login | Login | 8 | ich komme nicht mehr in mein {p}; die Anmeldung zum {p} klappt nicht, das Passwort wird abgelehnt; mein Zugang zum {p} ist gesperrt | I cannot log in to my {p}; the password for my {p} is rejected
Two-factor device | Login | 6 | ich habe ein neues Handy und kann Aufträge im {p} nicht mehr freigeben; der Code für das {p} kommt nicht an | I have a new phone and cannot approve orders in my {p}; the code for my {p} does not arrive
App error | Login | 5 | die App stürzt ab, sobald ich das {p} öffne; nach dem Update zeigt die App mein {p} nicht mehr | the app crashes when I open my {p}; since the update the app does not show my {p}
Address change | Master data | 5 | ich bin umgezogen, bitte ändern Sie die Anschrift zu meinem {p}; meine neue Adresse für das {p} wird nicht übernommen | I have moved, please change the address of my {p}
Name change | Master data | 3 | nach der Heirat heiße ich anders, bitte ändern Sie den Namen beim {p}; mein Nachname im {p} ist falsch | I have married, please change the name of my {p}; my last name in the {p} is wrong
Power of attorney | Master data | 4 | ich möchte eine Vollmacht für mein {p} erteilen; die Vollmacht zum {p} liegt Ihnen vor, aber der Zugriff fehlt | I want to give power of attorney over my {p}; the authorised person cannot see my {p}
Identity check | Opening | 7 | die Legitimation für mein {p} ist fehlgeschlagen; das Postident für das {p} habe ich gemacht, wie geht es weiter | the identity check for my {p} failed; I did the video identification for my {p}, what is next
Opening status | Opening | 6 | wann wird mein {p} eröffnet; ich warte seit Wochen auf die Eröffnung meines {p} | when will my {p} be opened; I have been waiting for weeks for my new {p}
Child account | Opening | 4 | ich möchte ein {p} für mein Kind eröffnen; welche Unterlagen brauchen Sie für ein Junior-{p} | I want to open a {p} for my child; which papers do you need for a junior {p}
Closing | Closing | 6 | hiermit kündige ich mein {p}; bitte lösen Sie mein {p} auf und bestätigen Sie die Kündigung | I hereby cancel my {p}; please close my {p} and confirm
Inheritance | Closing | 3 | mein Vater ist verstorben, was geschieht mit dem {p}; ich reiche den Erbschein zum {p} ein | my father has died, what happens to the {p}; I send the certificate of inheritance for the {p}
Fees | Complaints | 5 | warum wurden mir Gebühren für das {p} berechnet; die Kosten beim {p} sind höher als vereinbart | why was I charged fees for my {p}; the costs of my {p} are higher than agreed
Waiting time | Complaints | 4 | seit Wochen antwortet niemand auf meine Fragen zum {p}; ich erreiche bei Ihnen niemanden wegen meines {p} | nobody has answered my questions about the {p} for weeks; I cannot reach anyone about my {p}
Fax request | Complaints | 2 | bitte senden Sie mir die Auszüge zum {p} per Fax; Ihr Faxanschluss nimmt meinen Auftrag zum {p} nicht an | please send the statements of my {p} by fax; your fax line does not take my order for the {p}
"""


@dataclass(frozen=True)
class Topic:
    """A topic: where it goes, how frequent it is, how it is said in German and in English."""

    name: str
    queue: str
    weight: float
    ways: tuple[tuple[str, ...], tuple[str, ...]]


def _topics() -> tuple[Topic, ...]:
    topics = []
    for line in _TOPICS.strip().splitlines():
        name, queue, weight, german, english = (part.strip() for part in line.split("|"))
        ways = tuple(tuple(way.strip() for way in said.split(";")) for said in (german, english))
        topics.append(Topic(name, queue, float(weight), (ways[0], ways[1])))
    return tuple(topics)


TOPICS = _topics()

OTHER_QUEUES = {("Crypto", "Trading"): "Crypto desk", ("Crypto", "Transfers"): "Crypto desk", ("Savings", "Payments"): "Savings desk"}
"""``{(business line, queue of the topic): the queue that handles it instead}``."""
BANK_QUEUES = {("Rheinische Privatbank", "Transfers"): "Partner bank desk", ("Direktbank Süd", "Login"): "Partner bank desk"}
"""``{(custodian bank, queue of the topic): the queue that handles it instead}``."""

# In the order of time: a label carries its oldest name until the date.
CHANGES: tuple[dict[str, object], ...] = (
    {"date": "2024-04-01", "head": "queue", "change": "rename", "from": ["Login"], "to": ["Access"]},
    {"date": "2024-07-01", "head": "topic", "change": "split", "from": ["Securities transfer"], "to": ["Transfer in", "Transfer out"]},
    {"date": "2024-10-01", "head": "topic", "change": "merge", "from": ["Address change", "Name change"], "to": ["Personal data"]},
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
    ("seit der Migration auf das neue Kernbanksystem geht das nicht mehr", "Ihr Relaunch hat Tokenisierung und Freigabe zerschossen"),
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
        ("Meine IBAN lautet {}.", "Bitte zahlen Sie auf {} aus.", "Neues Referenzkonto: {}", "Überwiesen habe ich von {} aus."),
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
        ("Sie erreichen mich unter {}.", "Rufen Sie mich bitte an: {}", "Meine neue Handynummer ist {}.", "Rückruf gern abends, {}."),
        ("You can reach me on {}.", "Please call {} after six.", "My new mobile number is {}."),
    ),
    "email": (
        ("Antworten Sie bitte an {}.", "Meine neue Mailadresse ist {}.", "Kopie gern auch an {}."),
        ("Please answer to {}.", "My new address is {}."),
    ),
    "url": (("Der Fehler kommt auf {} vor.", "Siehe {} dazu."), ("The error shows on {} every time.", "See {} for details.")),
    "customer": (
        ("Meine Kundennummer ist {}.", "Kd.-Nr. {}", "Es geht um das Depot Nr. {}.", "Vertragsnummer: {}"),
        ("My customer number is {}.", "Account no. {}", "Client ID: {}"),
    ),
    "case": (
        ("Ihr Zeichen: {}", "Die Vorgangsnummer ist {}.", "Siehe Ticket {} von letzter Woche.", "Aktenzeichen {} liegt Ihnen vor."),
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
