"""The topics of the simulated mail desk and how people put them, in German and in English."""

from __future__ import annotations

import re
from dataclasses import dataclass

# topic | queue | weight, then ways to say it; {p} is the product.
_TOPICS = """
Transfer in | Transfers | 7
  de: ich möchte mein {p} von einer anderen Bank zu Ihnen übertragen
  de: der Depotübertrag zu Ihnen ist noch nicht angekommen, es geht um mein {p}
  de: wann kommen die Wertpapiere aus dem Übertrag in mein {p}
  en: I want to move my {p} from another bank to you
  en: the incoming transfer to my {p} has not arrived
Transfer out | Transfers | 5
  de: bitte übertragen Sie mein {p} zu einer anderen Bank
  de: der Übertrag meiner Anteile aus dem {p} an die neue Bank dauert zu lange
  de: ich ziehe mein {p} um, was brauchen Sie von mir
  en: please transfer my {p} to another bank
  en: the outgoing transfer from my {p} is taking too long
Order not executed | Trading | 8
  de: meine Order im {p} wurde nicht ausgeführt
  de: der Kauf über das {p} steht seit Stunden auf offen
  de: das Limit im {p} war erreicht, trotzdem kein Verkauf
  en: my order in the {p} was not executed
  en: the limit was reached but the {p} shows no sale
Savings plan | Trading | 7
  de: ich möchte die Sparrate in meinem {p} ändern
  de: der Sparplan im {p} wurde diesen Monat nicht ausgeführt
  de: bitte pausieren Sie den Sparplan für mein {p}
  en: I want to change the savings plan of my {p}
  en: the savings plan in my {p} did not run this month
Wrong price | Trading | 4
  de: der Kurs bei der Ausführung im {p} war viel schlechter als angezeigt
  de: die Abrechnung im {p} zeigt einen falschen Kurs
  en: the execution price in my {p} was far from the quote
  en: the settlement of my {p} shows a wrong price
Dividend missing | Corporate actions | 5
  de: die Dividende fehlt in meinem {p}
  de: wann wird die Ausschüttung auf mein {p} gebucht
  en: the dividend is missing in my {p}
  en: when will the distribution reach my {p}
Stock split | Corporate actions | 3
  de: nach dem Aktiensplit stimmt die Stückzahl im {p} nicht
  de: die neuen Aktien aus der Kapitalmaßnahme fehlen im {p}
  en: after the split the number of shares in my {p} is wrong
  en: the new shares from the corporate action are missing in my {p}
Deposit missing | Payments | 8
  de: meine Einzahlung auf das {p} ist nicht gutgeschrieben
  de: die Überweisung an mein {p} ist seit Tagen unterwegs
  de: ich habe Geld an das {p} gesendet und sehe nichts
  en: my deposit to the {p} has not been credited
  en: I sent money to my {p} and see nothing
Withdrawal | Payments | 7
  de: ich möchte Geld aus dem {p} auszahlen lassen
  de: die Auszahlung vom {p} ist nicht angekommen
  de: wie lange dauert die Auszahlung aus dem {p}
  en: I want to withdraw money from my {p}
  en: the payout from my {p} has not arrived
Direct debit | Payments | 4
  de: die Lastschrift für mein {p} ist zurückgegangen
  de: bitte ziehen Sie die Lastschrift für das {p} erneut ein
  en: the direct debit for my {p} was returned
  en: please collect the direct debit for my {p} again
Reference account | Payments | 5
  de: ich habe ein neues Referenzkonto für mein {p}
  de: bitte ändern Sie die hinterlegte Bankverbindung beim {p}
  en: I have a new reference account for my {p}
  en: please change the bank details of my {p}
Interest rate | Payments | 4
  de: wie hoch ist der Zinssatz auf mein {p}
  de: die Zinsgutschrift beim {p} ist zu niedrig
  en: what interest rate does my {p} pay
  en: the interest credited to my {p} is too low
Tax certificate | Tax | 7
  de: mir fehlt die Steuerbescheinigung für mein {p}
  de: wann kommt die Jahressteuerbescheinigung zum {p}
  en: I am missing the tax certificate of my {p}
  en: when will the annual tax statement for my {p} be ready
Exemption order | Tax | 6
  de: ich möchte den Freistellungsauftrag für mein {p} ändern
  de: der Freistellungsauftrag wurde beim {p} nicht berücksichtigt
  en: I want to change the exemption order of my {p}
  en: my tax allowance was ignored for the {p}
Loss offset | Tax | 3
  de: der Verlusttopf wurde beim {p} nicht verrechnet
  de: bitte stellen Sie mir eine Verlustbescheinigung zum {p} aus
  en: losses were not offset in my {p}
  en: please issue a loss statement for my {p}
Login | Login | 8
  de: ich komme nicht mehr in mein {p}
  de: die Anmeldung zum {p} klappt nicht, das Passwort wird abgelehnt
  de: mein Zugang zum {p} ist gesperrt
  en: I cannot log in to my {p}
  en: the password for my {p} is rejected
Two-factor device | Login | 6
  de: ich habe ein neues Handy und kann Aufträge im {p} nicht mehr freigeben
  de: der Code für das {p} kommt nicht an
  en: I have a new phone and cannot approve orders in my {p}
  en: the code for my {p} does not arrive
App error | Login | 5
  de: die App stürzt ab, sobald ich das {p} öffne
  de: nach dem Update zeigt die App mein {p} nicht mehr
  en: the app crashes when I open my {p}
  en: since the update the app does not show my {p}
Address change | Master data | 5
  de: ich bin umgezogen, bitte ändern Sie die Anschrift zu meinem {p}
  de: meine neue Adresse für das {p} wird nicht übernommen
  en: I have moved, please change the address of my {p}
Name change | Master data | 3
  de: nach der Heirat heiße ich anders, bitte ändern Sie den Namen beim {p}
  de: mein Nachname im {p} ist falsch
  en: I have married, please change the name of my {p}
  en: my last name in the {p} is wrong
Power of attorney | Master data | 4
  de: ich möchte eine Vollmacht für mein {p} erteilen
  de: die Vollmacht zum {p} liegt Ihnen vor, aber der Zugriff fehlt
  en: I want to give power of attorney over my {p}
  en: the authorised person cannot see my {p}
Identity check | Opening | 7
  de: die Legitimation für mein {p} ist fehlgeschlagen
  de: das Postident für das {p} habe ich gemacht, wie geht es weiter
  en: the identity check for my {p} failed
  en: I did the video identification for my {p}, what is next
Opening status | Opening | 6
  de: wann wird mein {p} eröffnet
  de: ich warte seit Wochen auf die Eröffnung meines {p}
  en: when will my {p} be opened
  en: I have been waiting for weeks for my new {p}
Child account | Opening | 4
  de: ich möchte ein {p} für mein Kind eröffnen
  de: welche Unterlagen brauchen Sie für ein Junior-{p}
  en: I want to open a {p} for my child
  en: which papers do you need for a junior {p}
Closing | Closing | 6
  de: hiermit kündige ich mein {p}
  de: bitte lösen Sie mein {p} auf und bestätigen Sie die Kündigung
  en: I hereby cancel my {p}
  en: please close my {p} and confirm
Inheritance | Closing | 3
  de: mein Vater ist verstorben, was geschieht mit dem {p}
  de: ich reiche den Erbschein zum {p} ein
  en: my father has died, what happens to the {p}
  en: I send the certificate of inheritance for the {p}
Fees | Complaints | 5
  de: warum wurden mir Gebühren für das {p} berechnet
  de: die Kosten beim {p} sind höher als vereinbart
  en: why was I charged fees for my {p}
  en: the costs of my {p} are higher than agreed
Waiting time | Complaints | 4
  de: seit Wochen antwortet niemand auf meine Fragen zum {p}
  de: ich erreiche bei Ihnen niemanden wegen meines {p}
  en: nobody has answered my questions about the {p} for weeks
  en: I cannot reach anyone about my {p}
Fax request | Complaints | 2
  de: bitte senden Sie mir die Auszüge zum {p} per Fax
  de: Ihr Faxanschluss nimmt meinen Auftrag zum {p} nicht an
  en: please send the statements of my {p} by fax
  en: your fax line does not take my order for the {p}
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
    for block in re.split(r"\n(?=\S)", _TOPICS.strip()):
        head, *said = block.splitlines()
        name, queue, weight = (part.strip() for part in head.split("|"))
        ways = [tuple(line.strip()[4:] for line in said if line.strip().startswith(code)) for code in ("de:", "en:")]
        topics.append(Topic(name, queue, float(weight), (ways[0], ways[1])))
    return tuple(topics)


TOPICS = _topics()
