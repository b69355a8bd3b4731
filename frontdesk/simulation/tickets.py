"""Seeded tickets in six languages with known truth.

The task is learnable but not trivial: about seventy leaves with Zipf frequencies, word order that decides, products
that only a field tells, replies that need the contact type and a field together, label noise, labels that appear and
change their names over the two years, empty cells, duplicates, markup, quotes, signatures. All seeds share one world
(`desk`).
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from frontdesk.errors import UsageError
from frontdesk.simulation import desk

CONTACT_NOISE, REPLY_NOISE = 0.04, 0.05
CONTACT_EMPTY, REPLY_EMPTY = 0.015, 0.05
DUPLICATES = 0.01

_FIRST = datetime(2023, 1, 1, tzinfo=UTC)
_SPAN_SECONDS = 2 * 365 * 86_400
_DRAWS = 32
_ZIPF = 0.9
_STRUCTURE_SEED = 20_240
_LEAVES = tuple(desk.LEAVES)
_LANGUAGES = tuple(desk.LANGUAGES)
_BEGINS = np.array(
    [max((at for branch, at in desk.APPEARS.items() if leaf.startswith(branch)), default=0.0) for leaf in _LEAVES]
)

DEMO_ROWS = 3_000
DEMO_PARAMETERS = ("max_tokens=128",)
DEMO_QUESTION: dict[str, Any] = {
    "subject": "Charged twice",
    "body": "<p>Hello, I was charged <b>twice</b> for my last order, please send the money back.</p>",
    "channel": "email",
    "language": "en",
    "account_age_days": 412,
    "order_total": 79.9,
}

DRIFTS = ("wording", "mix", "channel")
"""``wording``: new words for half of the things that tickets are about. ``mix``: the rarest contact types become the
most frequent. ``channel``: nearly everything comes by chat. Each sets in at `DRIFT_BEGINS` of the time span."""
DRIFT_BEGINS = 0.5

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("created_at", pa.timestamp("us", "UTC")),
        ("subject", pa.string()),
        ("body", pa.string()),
        ("channel", pa.string()),
        ("language", pa.string()),
        ("product", pa.string()),
        ("region", pa.string()),
        ("account_age_days", pa.float64()),
        ("order_total", pa.float64()),
        ("contact_type", pa.string()),
        ("reply", pa.string()),
    ]
)
"""Columns of a simulated table: those of `frontdesk.records.DEFAULT_TICKET_COLUMNS`."""


def simulate(
    rows: int, seed: int = 0, drift: str | None = None, *, truth: bool = False, since: float = 0.0
) -> pa.Table:
    """Return tickets in the order of their time stamps.

    Args:
        rows: how many.
        seed: two calls with the same arguments return the same table.
        drift: one of `DRIFTS`; None for none. Rows before it sets in are the same with and without.
        truth: add `true_contact_type` and `true_reply`: the labels before noise and before cells were emptied.
        since: place in the time span (0 to 1) at which the rows begin; behind all of `desk.RENAMED` and `desk.APPEARS`,
            nothing but the drift changes.

    Raises:
        UsageError: fewer than one row, or an unknown drift.
    """
    if rows < 1:
        raise UsageError(f"{rows} rows cannot be simulated", remedy="Ask for at least one")
    if drift is not None and drift not in DRIFTS:
        raise UsageError(f"there is no drift {drift!r} of tickets", remedy=f"Drifts: {', '.join(DRIFTS)}")
    rng = np.random.default_rng(seed)
    share = since + (1 - since) * np.sort(rng.random(rows))
    late = share > DRIFT_BEGINS
    fields = _fields(rng, rows)
    leaves = _leaves(rng, share, fields["product"])
    if drift == "mix":
        leaves = np.where(late, _rare_first(leaves, share), leaves)
    if drift == "channel":
        moved = np.random.default_rng([seed, 1]).random(rows) < 0.9
        fields["channel"] = np.where(late & moved, "chat", fields["channel"])
    draws = rng.random((rows, _DRAWS))
    language = rng.choice(len(_LANGUAGES), rows, p=_shares(desk.LANGUAGES))
    numbers = _numbers(rng, leaves)
    tickets = []
    for row in range(rows):
        record = {name: values[row] for name, values in (fields | numbers).items()}
        reworded = drift == "wording" and bool(late[row])
        dice = _Dice(draws[row], reworded=reworded)
        tickets.append(_ticket(float(share[row]), int(leaves[row]), int(language[row]), record, dice))
    for row in map(int, np.flatnonzero(rng.random(rows) < DUPLICATES)):
        if row > 0:  # the same ticket sent again: everything but the id and the time stamp
            tickets[row] = tickets[row - 1]
    columns: dict[str, Any] = {name: [ticket[name] for ticket in tickets] for name in tickets[0]}
    columns["id"] = [f"T{seed}-{row:07d}" for row in range(rows)]
    seconds = np.round(share * _SPAN_SECONDS).astype(np.int64)
    stamps = (int(_FIRST.timestamp()) + seconds) * 1_000_000
    columns["created_at"] = pa.array(stamps, pa.int64()).cast(SCHEMA.field("created_at").type)
    schema = SCHEMA
    if truth:
        for name in ("true_contact_type", "true_reply"):
            schema = schema.append(pa.field(name, pa.string()))
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema=schema)


def write(table: pa.Table, path: Path) -> None:
    """Write a table as CSV, Parquet or JSON Lines, by the file's ending.

    Raises:
        UsageError: another ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pacsv.write_csv(table, path)
    elif path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd")
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in table.to_pylist()))
    else:
        raise UsageError(
            f"a table cannot be written as '{path.suffix}'", where=path.name, remedy="Use .csv, .parquet or .jsonl"
        )


@dataclass
class _Dice:
    """The random draws of one row, used one after the other."""

    draws: np.ndarray
    place: int = 0
    reworded: bool = False

    def roll(self) -> float:
        self.place += 1
        return float(self.draws[self.place - 1])

    def pick(self, options: tuple[Any, ...]) -> Any:
        return options[int(self.roll() * len(options))]


def _shares(of: dict[str, float]) -> np.ndarray:
    values = np.array(list(of.values()))
    return np.asarray(values / values.sum())


def _fields(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Draw the categorical fields but language."""
    tables = {"channel": desk.CHANNELS, "product": desk.PRODUCTS, "region": desk.REGIONS}
    return {name: rng.choice(np.array(list(table), object), rows, p=_shares(table)) for name, table in tables.items()}


def _leaves(rng: np.random.Generator, share: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Draw each row's leaf among those that exist at its time and fit its product, Zipf by a fixed order."""
    order = np.random.default_rng(_STRUCTURE_SEED).permutation(len(_LEAVES))
    weights = 1.0 / (1.0 + order) ** _ZIPF
    result = rng.choice(len(_LEAVES), len(share), p=weights / weights.sum())
    for _ in range(8):
        early = _BEGINS[result] > share
        if not early.any():
            break
        result[early] = rng.choice(len(_LEAVES), int(early.sum()), p=weights / weights.sum())
    result[_BEGINS[result] > share] = 0
    for row, leaf in enumerate(result):
        path = _LEAVES[leaf].split(" > ")
        if path[0] == "Devices":
            product[row] = path[1]
    return result


def _rare_first(leaves: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Put the rarest leaf in the place of the most frequent one, and so on; a leaf that is not there yet stays out."""
    counts = np.bincount(leaves, minlength=len(_LEAVES))
    falling = np.argsort(-counts, kind="stable")
    turned = np.empty(len(_LEAVES), np.int64)
    turned[falling] = falling[::-1]
    result = turned[leaves]
    return np.where(_BEGINS[result] > share, leaves, result)


def _numbers(rng: np.random.Generator, leaves: np.ndarray) -> dict[str, np.ndarray]:
    """Draw account age (days) and order total; NaN where missing."""
    rows = len(leaves)
    age = np.round(rng.lognormal(6.0, 1.1, rows))
    age[rng.random(rows) < 0.06] = np.nan
    tops = np.array([leaf.split(" > ")[0] for leaf in _LEAVES], object)[leaves]
    total = np.round(rng.lognormal(4.3, 0.9, rows), 2)
    total[tops == "Devices"] *= 2
    ordered = np.isin(tops, ["Billing", "Delivery", "Returns", "Devices"])
    total[rng.random(rows) < np.where(ordered, 0.08, 0.7)] = np.nan
    return {"account_age_days": age, "order_total": total}


def _named(leaf: str, share: float) -> str:
    """Return a leaf's name at a point of the time span."""
    for branch, (older, until) in desk.RENAMED.items():
        if share < until and (leaf == branch or leaf.startswith(f"{branch} > ")):
            return older + leaf[len(branch) :]
    return leaf


def _siblings(leaf: str, share: float) -> tuple[str, ...]:
    """Return the leaves of the same top-level branch that exist at a point of the time span."""
    top = leaf.split(" > ")[0]
    return tuple(other for place, other in enumerate(_LEAVES) if other.startswith(top) and _BEGINS[place] <= share)


def _reply(leaf: str, record: dict[str, Any]) -> str:
    for branch, field, condition, then, otherwise in desk.REPLIES:
        if leaf.startswith(branch):
            value = record[field]
            return then if (value in condition if isinstance(condition, tuple) else value >= condition) else otherwise
    raise AssertionError(f"no reply for {leaf}")


def _phrase(concepts: tuple[str, ...], language: int, dice: _Dice) -> str:
    roll = dice.roll()
    words = []
    for concept in concepts:
        synonyms = desk.WORDS[concept][language]
        word = synonyms[int(roll * 64) % len(synonyms)]
        # A word that no earlier ticket has, the same for every ticket after the change.
        renewed = dice.reworded and sum(map(ord, concept)) % 2
        words.append(f"{word[::-1]}o" if renewed else word)
        roll = (roll * 7919.0) % 1.0
    return " ".join(words)


def _ticket(share: float, leaf_index: int, language: int, record: dict[str, Any], dice: _Dice) -> dict[str, Any]:
    """Build one ticket: its fields, text, and labels with noise."""
    leaf = _LEAVES[leaf_index]
    core = _phrase(dice.pick(desk.LEAVES[leaf]), language, dice)
    generic = dice.roll() < 0.5
    subject = dice.pick(desk.OPENERS[language]).rstrip(" :") if generic else core.capitalize()
    text = _body(core, language, dice)
    blank = dice.roll()
    contact, reply = _named(leaf, share), _reply(leaf, record)
    given = leaf
    if dice.roll() < CONTACT_NOISE:
        given = dice.pick(_siblings(leaf, share))
    replies = tuple(name for rule in desk.REPLIES for name in rule[3:])
    noisy_reply = dice.pick(replies) if dice.roll() < REPLY_NOISE else reply
    unknown_language = dice.roll() < 0.03
    return {
        **{name: None if value != value else value for name, value in record.items()},
        "language": None if unknown_language else _LANGUAGES[language],
        "subject": None if blank < 0.04 else subject,
        "body": core if blank < 0.04 else ("" if blank > 0.995 else text),
        "contact_type": None if dice.roll() < CONTACT_EMPTY else _named(given, share),
        "reply": None if dice.roll() < REPLY_EMPTY else noisy_reply,
        "true_contact_type": contact,
        "true_reply": reply,
    }


def _body(core: str, language: int, dice: _Dice) -> str:
    """Wrap the core in a greeting, filler, an aside about another matter, a signature, a quote; a quarter is HTML."""
    parts = [dice.pick(desk.GREETINGS[language]), f"{dice.pick(desk.OPENERS[language])} {core}."]
    if dice.roll() < 0.6:
        parts.append(dice.pick(desk.FILLERS[language]))
    aside, topic = dice.roll(), dice.roll()
    if aside < 0.25:
        other = desk.LEAVES[_LEAVES[int(topic * len(_LEAVES))]][0]
        parts.append(desk.ASIDES[language].format(_phrase(other, language, dice)))
    if dice.roll() < 0.3:
        parts.append(f"Nr. {int(dice.roll() * 9_000_000) + 1_000_000}")
    if dice.roll() < 0.6:
        parts.append(dice.pick(desk.SIGNATURES[language]))
    if dice.roll() < 0.2:
        parts.append(desk.QUOTES[language])
    if dice.roll() < 0.25:
        lines = "".join(f"<p>{html.escape(part).replace(chr(10), '<br/>')}</p>" for part in parts)
        return f"<html><head><style>p {{margin:0}}</style></head><body>{lines}</body></html>"
    return "\n\n".join(parts)
