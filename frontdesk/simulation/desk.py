"""The world of the simulated desk: its label tree, words in six languages, reply templates. Fixed for every seed.

A ticket's core is a short sequence of *concepts* ("charge after refund"), written in the ticket's language. Some leaves
hold the same concepts in another order; the leaves under Devices say nothing of the device, which stands in the field
`product`; a reply depends on the contact type and on a field together.
"""

from __future__ import annotations

LANGUAGES = {"en": 0.42, "de": 0.22, "es": 0.12, "fr": 0.10, "pt": 0.08, "it": 0.06}
"""Languages and their shares, in the order of the columns of `WORDS`."""

CHANNELS = {"email": 0.40, "web": 0.30, "chat": 0.18, "phone": 0.12}
REGIONS = {"north": 0.30, "south": 0.25, "east": 0.15, "west": 0.20, "abroad": 0.10}
PRODUCTS = {"Router": 0.35, "Phone": 0.30, "Tablet": 0.20, "Speaker": 0.15}

# concept: en, de, es, fr, pt, it; a slash separates synonyms.
_WORDS = """
charge: charge/debit | Abbuchung/Belastung | cobro/cargo | prélèvement/débit | cobrança | addebito
refund: refund/money back | Erstattung/Rückzahlung | reembolso | remboursement | estorno | rimborso
twice: twice/two times | doppelt/zweimal | doble/dos veces | double/deux fois | duas vezes | doppio/due volte
after: after | nach | después de | après | depois de | dopo
unknown: unknown/unrecognised | unbekannt | desconocido | inconnu | desconhecido | sconosciuto
wrong: wrong/incorrect | falsch | incorrecto/equivocado | incorrect/faux | errado | sbagliato
amount: amount/sum | Betrag/Summe | importe | montant | valor | importo
missing: missing/not there | fehlt | falta/no llega | manquant | em falta | mancante
late: late/delayed | verspätet | retrasado | en retard | atrasado | in ritardo
invoice: invoice/bill | Rechnung | factura | facture | fatura | fattura
address: address | Adresse/Anschrift | dirección | adresse | endereço | indirizzo
tax: VAT/tax | Mehrwertsteuer | IVA/impuesto | TVA | imposto | imposta
discount: discount/voucher | Rabatt/Gutschein | descuento | remise/bon | desconto | sconto/buono
code: code | Code | código | code | código | codice
order: order | Bestellung | pedido | commande | encomenda | ordine
delivery: delivery/shipment | Lieferung/Zustellung | entrega/envío | livraison | entrega | consegna
parcel: parcel/package | Paket | paquete | colis | pacote | pacco
lost: lost | verloren | perdido | perdu | perdido | perso/smarrito
broken: broken/damaged | kaputt/beschädigt | roto/dañado | cassé/abîmé | quebrado | rotto
cancellation: cancellation | Stornierung/Kündigung | cancelación | annulation/résiliation | cancelamento | disdetta
new: new | neu | nuevo | nouveau | novo | nuovo
item: item/article | Artikel | artículo | article | artigo | articolo
return: return | Rücksendung/Retoure | devolución | retour | devolução | reso
label: label | Etikett/Aufkleber | etiqueta | étiquette | etiqueta | etichetta
pickup: pickup/collection | Abholung | recogida | enlèvement | recolha | ritiro
exchange: exchange/swap | Umtausch | cambio | échange | troca | cambio
password: password | Passwort/Kennwort | contraseña | mot de passe | palavra-passe/senha | password
login: login/sign-in | Anmeldung | acceso | connexion | acesso | accesso
locked: locked/blocked | gesperrt | bloqueado | bloqué | bloqueado | bloccato
email: email | E-Mail | correo | courriel/mail | correio | posta
number: phone number | Telefonnummer | teléfono | téléphone | telefone | telefono
change: change/update | ändern | cambiar | modifier/changer | alterar | cambiare
delete: delete/erase | löschen | borrar/eliminar | supprimer/effacer | apagar | cancellare
data: data | Daten | datos | données | dados | dati
copy: copy/export | Kopie/Auszug | copia | copie | cópia | copia
suspicious: suspicious/strange | verdächtig | sospechoso | suspect | suspeito | sospetto
subscription: subscription/contract | Abo/Vertrag | suscripción/contrato | abonnement/contrat | assinatura | abbonamento
renewal: renewal/extension | Verlängerung | renovación | renouvellement | renovação | rinnovo
upgrade: upgrade/bigger plan | Hochstufung | ampliación | passage supérieur | aumento | passaggio superiore
downgrade: downgrade/smaller plan | Herabstufung | reducción | passage inférieur | redução | passaggio inferiore
price: price/cost | Preis/Kosten | precio/coste | prix/tarif | preço | prezzo
app: app/application | App/Anwendung | aplicación | appli/application | aplicação | app
crash: crash/freeze | Absturz | bloqueo/cierre | plantage | falha/bloqueio | blocco
update: update/new version | Aktualisierung/Update | actualización | mise à jour | atualização | aggiornamento
slow: slow/sluggish | langsam | lento | lent | lento | lento
sync: sync/synchronisation | Synchronisierung | sincronización | synchronisation | sincronização | sincronizzazione
notification: notification/alert | Benachrichtigung | notificación/aviso | notification | notificação | notifica
power: does not switch on/dead | geht nicht an | no se enciende | ne s'allume pas | não liga | non si accende
heat: too hot/overheats | zu heiß/überhitzt | se calienta | trop chaud/surchauffe | aquece demais | si surriscalda
battery: battery empty | Akku leer | batería dura poco | batterie vide | bateria dura pouco | batteria scarica
setup: setup/installation | Einrichtung/Installation | instalación | installation | instalação | installazione
wait: waiting/hold line | Wartezeit/Warteschleife | espera | attente | espera | attesa
rude: rude/unfriendly | unfreundlich | grosero/maleducado | impoli/désagréable | mal-educado | scortese
agent: agent/employee | Mitarbeiter | agente/empleado | conseiller/employé | funcionário | operatore
thanks: thanks/great service | Danke/toller Service | gracias/gran servicio | merci | obrigado | grazie
question: question | Frage | pregunta | question | pergunta | domanda
hours: opening hours | Öffnungszeiten | horario | horaires | horário | orari
"""

WORDS: dict[str, tuple[tuple[str, ...], ...]] = {
    concept.strip(): tuple(tuple(word.strip() for word in words.split("/")) for words in translations.split("|"))
    for concept, _, translations in (line.partition(":") for line in _WORDS.strip().splitlines())
}
"""``{concept: synonyms per language}``, languages in the order of `LANGUAGES`."""

# path: sequences of concepts, one per way to say it. `*` stands for the ticket's product.
_LEAVES = """
Billing > Charges > Charged twice: charge twice; order charge twice; twice charge order
Billing > Charges > Charged after refund: charge after refund; charge twice after refund; new charge after refund
Billing > Refunds > Refund after charge: refund after charge; refund after charge twice; new refund after charge
Billing > Charges > Unknown charge: unknown charge; charge unknown order
Billing > Charges > Wrong amount: charge wrong amount; wrong amount order charge
Billing > Refunds > Wrong amount: refund wrong amount; wrong amount refund
Billing > Refunds > Refund missing: refund missing; refund late; order refund missing
Billing > Invoice > Missing: invoice missing; order invoice missing
Billing > Invoice > Wrong address: invoice wrong address; invoice address change
Billing > Invoice > Wrong tax: invoice wrong tax; tax missing invoice
Billing > Discount: discount code wrong; discount missing; discount missing order
Delivery > Late: delivery late; parcel late; order late
Delivery > Lost parcel: parcel lost; delivery lost parcel
Delivery > Damaged: parcel broken; delivery broken item
Delivery > Wrong address: delivery wrong address; parcel wrong address
Delivery > Items > Wrong item: wrong item parcel; delivery wrong item
Delivery > Items > Missing item: item missing parcel; delivery item missing
Delivery > Changes > Delivered after cancellation: delivery after cancellation; new delivery after cancellation order
Delivery > Changes > Cancelled after delivery: cancellation after delivery; cancellation order after new delivery
Delivery > Changes > New address: new address order; change address delivery
Returns > Return label: return label missing; label return missing
Returns > Pickup late: pickup late; return pickup late; pickup missing
Returns > Exchange: exchange item; exchange wrong item; exchange order
Returns > Refund after return: refund after return; refund late after return
Returns > Return after refund: return after refund; return late after refund
Account > Sign-in > Password: password wrong; password change; new password
Account > Sign-in > Code missing: login code missing; code late login
Account > Sign-in > Locked: login locked; locked after wrong password
Account > Sign-in > Suspicious sign-in: suspicious login; unknown login
Account > Details > Email: change email; new email
Account > Details > Phone number: change number; new number
Account > Details > Address: change address; new address
Account > Privacy > Delete data: delete data; data delete email
Account > Privacy > Copy of data: copy data; data copy email
Subscription > Cancel: cancellation subscription; subscription cancellation late
Subscription > Renewal: renewal subscription; renewal wrong price
Subscription > Plan > Cancelled after upgrade: cancellation after upgrade; cancellation subscription after upgrade
Subscription > Plan > Upgraded after cancellation: upgrade after cancellation; upgrade subscription after cancellation
Subscription > Plan > Upgrade: upgrade subscription; upgrade price
Subscription > Plan > Downgrade: downgrade subscription; downgrade price
Subscription > Price: subscription price; subscription wrong price
App > Crash after update: crash after update; app crash after new update
App > Update after crash: update after crash; app update after new crash
App > Slow: app slow; slow after login app
App > Sync: sync missing; data sync slow
App > Notifications: notification missing; notification late; notification twice
Devices > * > No power: power; power after setup; power after update
Devices > * > Overheats: heat; heat after setup; heat after update
Devices > * > Battery: battery; battery after update
Devices > * > Setup: setup; setup question; setup wrong code
Service > Complaint > Waiting time: wait; wait late
Service > Complaint > Agent: rude agent; agent wrong
Service > Praise: thanks; thanks agent
Service > Question > Opening hours: question hours; hours
Service > Question > Prices: question price; price item
"""

LEAVES: dict[str, tuple[tuple[str, ...], ...]] = {}
"""``{leaf: sequences of concepts}``."""
for _line in _LEAVES.strip().splitlines():
    _path, _, _ways = _line.partition(":")
    _sequences = tuple(tuple(way.split()) for way in _ways.split(";"))
    for _product in PRODUCTS if "*" in _path else ("",):
        LEAVES[_path.replace("*", _product)] = _sequences

RENAMED = {"Account > Sign-in": ("Account > Login", 0.30), "App": ("Mobile app", 0.55)}
"""``{branch: (its older name, share of the time span at which the new name takes over)}``."""

APPEARS = {"Devices > Speaker": 0.40, "App > Sync": 0.60, "Service > Praise": 0.88}
"""``{branch: share of the time span before which it does not exist}``."""

# The first branch that fits decides: (branch, field, values or least number, reply where it holds, reply elsewhere).
REPLIES: tuple[tuple[str, str, tuple[str, ...] | float, str, str], ...] = (
    ("Billing > Invoice", "region", ("abroad", "east"), "New invoice without tax", "New invoice"),
    ("Billing > Discount", "account_age_days", 365.0, "Voucher for loyal customers", "Discount rules"),
    ("Billing", "order_total", 100.0, "Refund after approval", "Refund at once"),
    ("Delivery > Changes", "channel", ("chat", "phone"), "Order changed while you wait", "Order change confirmed"),
    ("Delivery", "region", ("abroad",), "Search with the foreign carrier", "Search with the carrier"),
    ("Returns", "order_total", 100.0, "Pickup at your door", "Return label attached"),
    ("Account > Privacy", "region", ("abroad",), "Privacy request: proof of identity", "Privacy request received"),
    ("Account", "channel", ("phone", "chat"), "Identity check by call", "Reset link"),
    ("Subscription", "account_age_days", 365.0, "Loyalty offer", "Plan changed"),
    ("App", "product", ("Phone", "Tablet"), "Reinstall the app", "Update the device first"),
    ("Devices", "account_age_days", 730.0, "Repair at your cost", "Free repair"),
    ("Service", "channel", ("phone", "chat"), "Call back by the team lead", "Thank you for your message"),
)

GREETINGS = (
    ("Hello,", "Hi team,", "Dear support,"),
    ("Guten Tag,", "Hallo,", "Sehr geehrte Damen und Herren,"),
    ("Hola,", "Buenos días,"),
    ("Bonjour,", "Madame, Monsieur,"),
    ("Olá,", "Bom dia,"),
    ("Buongiorno,", "Salve,"),
)
OPENERS = (
    ("I am writing about this:", "We have a problem here:", "Please look at this:"),
    ("es geht um Folgendes:", "wir haben ein Problem:", "bitte prüfen Sie:"),
    ("escribo por lo siguiente:", "tenemos un problema:"),
    ("je vous écris à ce sujet :", "nous avons un problème :"),
    ("escrevo sobre isto:", "temos um problema:"),
    ("scrivo per questo:", "abbiamo un problema:"),
)
FILLERS = (
    ("It has been like this for days.", "I have already called once.", "Everything else was fine.", "Please be quick."),
    ("Das geht seit Tagen so.", "Ich habe schon angerufen.", "Sonst war alles gut.", "Bitte beeilen Sie sich."),
    ("Llevo días así.", "Ya llamé una vez.", "Lo demás estaba bien."),
    ("Cela dure depuis des jours.", "J'ai déjà appelé.", "Le reste allait bien."),
    ("Está assim há dias.", "Já liguei uma vez.", "O resto estava bem."),
    ("È così da giorni.", "Ho già chiamato.", "Il resto andava bene."),
)
ASIDES = (
    "By the way, this was fine: {}.",
    "Übrigens, das war in Ordnung: {}.",
    "Por cierto, esto estuvo bien: {}.",
    "Au fait, ceci allait bien : {}.",
    "A propósito, isto estava bem: {}.",
    "A proposito, questo andava bene: {}.",
)
SIGNATURES = (
    ("Kind regards,\nA. Customer", "Thanks\n-- \nSent from my phone"),
    ("Mit freundlichen Grüßen\nA. Kunde", "Gruß\n-- \nVon meinem Handy gesendet"),
    ("Un saludo,\nA. Cliente",),
    ("Cordialement,\nA. Client",),
    ("Cumprimentos,\nA. Cliente",),
    ("Cordiali saluti,\nA. Cliente",),
)
QUOTES = (
    "On Monday the support desk wrote:\n> Thank you for your message. We will come back to you.\n> Your support desk",
    "Am Montag schrieb der Kundendienst:\n> Vielen Dank für Ihre Nachricht. Wir melden uns.\n> Ihr Kundendienst",
    "El lunes, soporte escribió:\n> Gracias por su mensaje. Le responderemos pronto.",
    "Lundi, le support a écrit :\n> Merci de votre message. Nous reviendrons vers vous.",
    "Na segunda-feira, o suporte escreveu:\n> Obrigado pela mensagem. Responderemos em breve.",
    "Lunedì l'assistenza ha scritto:\n> Grazie del messaggio. Le risponderemo presto.",
)
