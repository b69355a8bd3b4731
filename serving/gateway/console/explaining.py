"""Why a label was chosen, and what cleaning took away.

Two views. The exact one: the model server takes apart the part of the model that is linear in the words
(`frontdesk.bundle.explaining`), and the words' shares and the rest add up. The other: every word of a text is left out
once and the model asked again (occlusion, Zeiler and Fergus 2014): how much less likely the label is then. That holds
for any model behind any server and sees all of it, but its effects add up to nothing. Both show what the model does,
not what it should.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from frontdesk.text.cleaning import clean
from frontdesk.text.mail import clean_mail
from frontdesk.text.masking import mask

MOST_WORDS = 80
_WORD = re.compile(r"\S+")
Ask = Callable[[Sequence[dict[str, Any]]], Awaitable[list[dict[str, Any]]]]


@dataclass(frozen=True)
class Word:
    """A piece of a text and what it does for a label.

    Attributes:
        text: as it stands.
        after: the space behind it.
        effect: how much less likely the label is without it; None for a piece that was not left out.
        strength: -3 to 3, for colours.
    """

    text: str
    after: str
    effect: float | None
    strength: int


@dataclass(frozen=True)
class Cleaned:
    """What a model reads of a text.

    Attributes:
        text: that.
        removed: ``(kind, text, why)`` of what was taken out.
    """

    text: str
    removed: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Exact:
    """What a label owes to the words, through the part of the model that is linear in them.

    Attributes:
        against: the next label.
        times: how many times as likely the label is.
        words: as the model reads them; the effect is what a word adds to the logarithm of `times`.
        sum: of the words' effects.
        rest: what everything else adds.
    """

    against: str
    times: float
    words: list[Word]
    sum: float
    rest: float


def exact(answer: dict[str, Any], head: str) -> Exact | None:
    """Return the exact view of a head's label; None where the server gave none."""
    given = (answer.get("explanation") or {}).get(head)
    if given is None:
        return None
    shares = [(str(one["token"]), float(one["share"])) for one in given["tokens"]]
    most = max((abs(share) for _, share in shares), default=0.0) or 1.0
    words = [Word(token, " ", share, round(3 * share / most)) for token, share in shares]
    total = math.fsum(share for _, share in shares)
    return Exact(given["against"], math.exp(min(given["difference"], 50.0)), words, total, given["rest"])


def cleaned(recipe: str, field: str, text: str) -> Cleaned:
    """Return what cleaning leaves of a text: of a mail its author's words, masked; of a ticket its words."""
    if recipe != "email":
        return Cleaned(clean(text), [])
    if field != "body":
        return Cleaned(mask(text).text, [])
    mail = clean_mail(text)
    masked = mask(mail.text)
    return Cleaned(masked.text, [(part.kind, part.text, part.why) for part in mail.removed])


async def explain(ask: Ask, instance: dict[str, Any], field: str, head: str, answer: dict[str, Any]) -> list[Word]:
    """Return the words of a text field with what each does for the label of a head.

    Args:
        ask: instances -> the model's answers.
        answer: to the whole instance.
    """
    text, said = str(instance.get(field) or ""), answer["labels"][head]
    found = list(_WORD.finditer(text))[:MOST_WORDS]
    if not found:
        return []
    without = [{**instance, field: text[: one.start()] + text[one.end() :]} for one in found]
    effects = [said["confidence"] - _confidence(other["labels"][head], said["label"]) for other in await ask(without)]
    most = max(max(map(abs, effects)), 0.02)  # less than two per cent of the confidence is no reason
    ends = [one.start() for one in found[1:]] + [found[-1].end()]
    words = [
        Word(one[0], text[one.end() : end], effect, round(3 * effect / most))
        for one, end, effect in zip(found, ends, effects, strict=True)
    ]
    return words + ([Word(rest, "", None, 0)] if (rest := text[found[-1].end() :]) else [])


def _confidence(said: dict[str, Any], label: str) -> float:
    """Return what an answer gives to a label; an answer that does not name it gives it nothing that counts."""
    named = {one["label"]: one["confidence"] for one in (said, *said["alternatives"])}
    return float(named.get(label, 0.0))
