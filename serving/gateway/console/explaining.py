"""Why a label was chosen, and what cleaning took away.

Every word of a text is left out once and the model asked again (occlusion, Zeiler and Fergus 2014): how much less
likely the label is then, is the word's share in it. That holds for any model behind any server, and shows what the
model does, not what it should.
"""

from __future__ import annotations

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
