"""Seeded mails of a digital broker, German and English, with known truth for labels, cleaning and masking.

Three labels hang together with the text, the custodian bank and the time: label sets change by `broker.CHANGES`, some
labels are wrong, some are missing. Around the words stand signatures, footers, quotes, style sheets, message headers.
All seeds share one world (`broker`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from frontdesk.errors import UsageError
from frontdesk.simulation import broker, identities, layouts
from frontdesk.simulation.tickets import write
from frontdesk.simulation.topics import TOPICS, Topic

__all__ = ["HEADS", "SCHEMA", "TRUTH", "changes", "simulate", "write", "write_changes"]

DEMO_ROWS = 3_000
DEMO_PARAMETERS = ("vocabulary=2000", "folds=2", "grams=30000")
DEMO_QUESTION: dict[str, Any] = {
    "subject": "Sparplan",
    "body": "Guten Tag,\n\nbitte pausieren Sie den Sparplan für mein Depot.\n\nMit freundlichen Grüßen\nA. Kunde",
}
DRIFTS = tuple(broker.DRIFTS)
HEADS = ("business_line", "queue", "topic")
LABEL_NOISE = {"business_line": 0.03, "queue": 0.04, "topic": 0.05}
LABEL_EMPTY = {"business_line": 0.02, "queue": 0.04, "topic": 0.06}
ENGLISH = 0.2
COMPANIES = 0.12
DUPLICATES = 0.01


@dataclass(frozen=True)
class _Change:
    date: datetime
    head: str
    kind: str
    old: list[str]
    new: list[str]


_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=730)
_CHANGES = tuple(
    _Change(datetime.fromisoformat(one["date"]).replace(tzinfo=UTC), one["head"], one["change"], one["from"], one["to"])
    for one in broker.CHANGES
)
_BANKS = tuple(broker.BANKS)
_LINES = tuple(broker.LINES)

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("subject", pa.string()),
        ("body", pa.string()),
        ("custodian_bank", pa.string()),
        ("received_at", pa.timestamp("us", "UTC")),
        *((head, pa.string()) for head in HEADS),
    ]
)
"""Columns of a simulated table: those of the default column mapping of emails."""

TRUTH = pa.schema(
    [
        ("true_text", pa.string()),
        ("true_identifiers", pa.string()),
        *((f"true_{head}", pa.string()) for head in HEADS),
    ]
)
"""Columns of the truth: the author's words, ``[{"kind", "start", "end"}]`` in them as JSON, labels without noise."""


def simulate(rows: int, seed: int = 0, drift: str | None = None, *, truth: bool = False) -> pa.Table:
    """Return mails in the order of their time stamps.

    Args:
        rows: how many.
        seed: two calls with the same arguments return the same table.
        drift: a name in `broker.DRIFTS`; it acts on every mail of the table.
        truth: add the columns of `TRUTH`.

    Raises:
        UsageError: fewer than one row, or an unknown drift.
    """
    if rows < 1:
        raise UsageError(f"{rows} rows cannot be simulated", remedy="Ask for at least one")
    if drift is not None and drift not in broker.DRIFTS:
        raise UsageError(f"'{drift}' is no drift", remedy=f"Use one of {', '.join(broker.DRIFTS)}")
    stamps = np.sort(np.random.default_rng(seed).random(rows))
    mails: list[dict[str, Any]] = []
    for row, share in enumerate(stamps):
        dice = random.Random((seed << 40) + row)
        received = _FIRST + timedelta(seconds=round(float(share) * _SPAN.total_seconds()))
        repeated = row > 0 and dice.random() < DUPLICATES
        mail = dict(mails[-1]) if repeated else _mail(received, drift, dice)
        mails.append(mail | {"id": f"E{seed}-{row:07d}", "received_at": received})
    schema = pa.schema([*SCHEMA, *TRUTH]) if truth else SCHEMA
    return pa.table(
        {field.name: pa.array([mail[field.name] for mail in mails], field.type) for field in schema}, schema=schema
    )


def changes() -> list[dict[str, Any]]:
    """Return the changes of the label sets in the order of their dates."""
    return [dict(change) for change in broker.CHANGES]


def write_changes(path: Path) -> None:
    """Write the changes of the label sets as JSON: ``{"changes": [{"date", "head", "change", "from", "to"}]}``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps({"changes": changes()}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _mail(received: datetime, drift: str | None, dice: random.Random) -> dict[str, Any]:
    """Build one mail."""
    shares = list(broker.BANKS.values())
    (bank,) = dice.choices(_BANKS, shares[::-1] if drift == "bank-mix" else shares)
    line = _line(bank, received, dice)
    topic = _topic(received, drift, dice)
    language = int(dice.random() < (0.75 if drift == "language" else ENGLISH))
    words = _words(topic, line, language, drift, dice)
    labels = _labels(line, topic, bank, received, drift)
    firm = f"{identities.person(dice)[1].title()} Handel" if dice.random() < COMPANIES else None
    writer = layouts.Writer(language, *identities.person(dice), firm)
    subject = _subject(topic, words.core, language, dice)
    body = _body(words.text, subject, writer, received, dice)
    if drift == "empty-bodies" and dice.random() < 1 / 3:
        body = ""
    given = {head: _noisy(head, labels[head], received, drift, dice) for head in HEADS}
    return {
        "subject": None if dice.random() < 0.03 else subject,
        "body": body,
        "custodian_bank": None if dice.random() < 0.02 else bank,
        **given,
        **{f"true_{head}": label for head, label in labels.items()},
        "true_text": words.text,
        "true_identifiers": orjson.dumps(words.identifiers).decode(),
    }


def _line(bank: str, received: datetime, dice: random.Random) -> str:
    place = _BANKS.index(bank)
    lines = [line for line in _LINES if line != "Crypto" or not _before(received, "business_line", "Crypto")]
    return dice.choices(lines, [broker.LINES[line][place] for line in lines])[0]


def _topic(received: datetime, drift: str | None, dice: random.Random) -> Topic:
    topics = [topic for topic in TOPICS if topic.name != "Fax request" or _before(received, "topic", "Fax request")]
    weights = [1 / topic.weight**2 if drift == "topic-mix" else topic.weight for topic in topics]
    return dice.choices(topics, weights)[0]


def _before(received: datetime, head: str, label: str) -> bool:
    """Tell whether the change that names a label lies ahead."""
    return any(received < one.date for one in _CHANGES if one.head == head and label in (*one.old, *one.new))


@dataclass(frozen=True)
class _Words:
    """What the author says: the core, the whole text, and where identifiers stand in it."""

    core: str
    text: str
    identifiers: list[dict[str, Any]]


def _words(topic: Topic, line: str, language: int, drift: str | None, dice: random.Random) -> _Words:
    """Write greeting, matter, and sentences about numbers."""
    product = dice.choice(
        broker.VAGUE[language] if dice.random() < broker.VAGUE_SHARE else broker.PRODUCTS[line][language]
    )
    core = dice.choice(topic.ways[language]).format(p=product)
    opener = dice.choice(broker.OPENERS[language])
    matter = opener + core
    sentences = [matter[0].upper() + matter[1:] + dice.choice((".", ".", "!", "?"))]
    if drift == "text" and dice.random() < 0.5:
        new = dice.choice(broker.NEW_WORDS[language])
        sentences.insert(0, new[0].upper() + new[1:] + ".")
    if dice.random() < 0.3:
        sentences.append(_distractor(language, dice))
    sentences += dice.sample(broker.FILLERS[language], k=dice.choice((0, 0, 1, 1, 2)))
    parts = [dice.choice(broker.GREETINGS[language])] if dice.random() < 0.85 else []
    parts.append(" ".join(sentences))
    placed: list[tuple[str, str, str]] = []
    for kind, share in broker.TELLING_SHARES.items():
        if dice.random() < share:
            value = identities.MAKERS[kind](dice)
            placed.append((kind, value, dice.choice(broker.TELLING[kind][language]).format(value)))
    dice.shuffle(placed)
    if placed:
        parts.append((" " if dice.random() < 0.6 else "\n").join(sentence for _, _, sentence in placed))
    text = "\n\n".join(parts)
    identifiers, position = [], 0
    for kind, value, sentence in placed:
        begin = text.index(sentence, position)
        position = begin + len(sentence)
        number = value.removeprefix("#")
        at = text.index(number, begin)
        identifiers.append({"kind": kind, "start": at, "end": at + len(number)})
    return _Words(core, text, identifiers)


def _distractor(language: int, dice: random.Random) -> str:
    day = _FIRST - timedelta(days=dice.randrange(1, 900))
    return dice.choice(broker.DISTRACTORS[language]).format(
        amount=f"{dice.randrange(1, 90)}.{dice.randrange(100, 999)},{dice.randrange(10, 99)}",
        date=day.strftime(dice.choice(("%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d", "%d/%m/%Y"))),
        time=f"{dice.randrange(24):02d}:{dice.randrange(60):02d}",
        isin=identities.isin(dice),
        count=dice.randrange(1, 5_000),
        percent=f"{dice.randrange(1, 9)},{dice.randrange(10, 99)}",
    )


def _subject(topic: Topic, core: str, language: int, dice: random.Random) -> str:
    prefix = dice.choice(("", "", "", "AW: " if language == 0 else "Re: "))
    if dice.random() < 0.35:
        return prefix + dice.choice(
            (("Anfrage", "Frage", "Bitte um Hilfe"), ("Question", "Request", "Help needed"))[language]
        )
    if language == 1 and dice.random() < 0.5:
        return prefix + topic.name
    return prefix + core[0].upper() + core[1:60].rsplit(" ", 1)[0]


def _body(text: str, subject: str, writer: layouts.Writer, received: datetime, dice: random.Random) -> str:
    """Wrap the author's words as a mail program does: plain, HTML, or a raw message."""
    below = layouts.signature(writer, dice)
    quoted = layouts.quote(writer, received, dice) if dice.random() < 0.35 else None
    form = dice.random()
    if form < 0.68:
        place = None
        if not below and quoted is None and dice.random() < 0.5:
            place = f"{identities.person(dice)[1]}straße {dice.randrange(1, 200)}, 50667 Köln"
        return layouts.plain(text, below, quoted, place)
    markup = layouts.marked_up(text, below, quoted, dice)
    if form < 0.92:
        return markup
    body = layouts.plain(text, below, quoted, None)
    return layouts.message(subject, body, markup if dice.random() < 0.6 else None, writer, received)


def _labels(line: str, topic: Topic, bank: str, received: datetime, drift: str | None) -> dict[str, str]:
    """Return the labels as they are called at the mail's time."""
    queue = broker.BANK_QUEUES.get((bank, topic.queue), broker.OTHER_QUEUES.get((line, topic.queue), topic.queue))
    labels = {"business_line": _called("business_line", line, received), "queue": _called("queue", queue, received)}
    if drift == "queue-rename":
        labels["queue"] = f"Team {labels['queue']}"
    return labels | {"topic": _called("topic", topic.name, received)}


def _called(head: str, label: str, received: datetime) -> str:
    """Return a label's name at a time: older before a rename or split, newer since a rename or merge."""
    for one in reversed(_CHANGES):
        if one.head == head and one.kind in ("rename", "split") and label in one.new and received < one.date:
            label = one.old[0]
    for one in _CHANGES:
        if one.head == head and one.kind in ("rename", "merge") and label in one.old and received >= one.date:
            label = one.new[0]
    return label


def _noisy(head: str, label: str, received: datetime, drift: str | None, dice: random.Random) -> str | None:
    """Return a label as somebody entered it: sometimes none, sometimes that of another mail."""
    if dice.random() < LABEL_EMPTY[head]:
        return None
    if dice.random() >= LABEL_NOISE[head]:
        return label
    bank = dice.choice(_BANKS)
    return _labels(_line(bank, received, dice), _topic(received, None, dice), bank, received, drift)[head]
