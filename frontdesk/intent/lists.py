"""From ranked candidates to the list on the screen: rights, validity, repeats, defaults, steadiness, reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Literal, NamedTuple

from frontdesk.intent.configuration import ListSettings

Reason = Literal["sequence", "popular", "line_default"]


class Candidate(NamedTuple):
    """A ranked intent by name, with its score and where it comes from."""

    intent: str
    score: float
    reason: Reason


@dataclass(frozen=True)
class Validity:
    """When a procedure may be opened: from a moment on, up to another (left out). None is no bound."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether the procedure is valid at a moment. A moment without a zone is UTC."""
        now = _aware(now)
        return (self.since is None or _aware(self.since) <= now) and (self.until is None or now < _aware(self.until))


@dataclass(frozen=True)
class Access:
    """Who may open what, and when.

    Attributes:
        rights: ``{operator: intents}``; an operator without an entry may open everything.
        validity: ``{intent: when}``; an intent without an entry is always valid.
    """

    rights: Mapping[str, Collection[str]] = field(default_factory=dict)
    validity: Mapping[str, Validity] = field(default_factory=dict)

    def allows(self, operator: str, intent: str, now: datetime) -> bool:
        """Return whether an operator may open an intent at the time of the request."""
        granted = self.rights.get(operator)
        if granted is not None and intent not in granted:
            return False
        valid = self.validity.get(intent)
        return valid is None or valid.holds(now)


def assemble(
    candidates: Iterable[Candidate],
    settings: ListSettings,
    *,
    operator: str,
    now: datetime,
    access: Access | None = None,
    opened: Collection[str] = (),
    before: Sequence[str] = (),
) -> list[Candidate]:
    """Return the list to show: at most ``settings.shown`` suggestions, best first, none twice.

    What the operator may not open, or what is not valid now, would end in an error and never gets on the list, whoever
    proposes it. Candidates are filtered before they are cut, so that few rights do not mean few suggestions.

    Args:
        candidates: best first, as many as there are.
        settings: the line's.
        operator: who asks.
        now: the time of the request.
        access: rights and validity; None allows everything.
        opened: intents of the session so far.
        before: what the operator saw last, for ``settings.damping``.
    """
    hidden = set(opened) if settings.hide_opened else set()
    seen = set(before) if settings.damping else set()
    defaults = (Candidate(intent, 0.0, "line_default") for intent in settings.defaults)
    kept: dict[str, Candidate] = {}
    for candidate in chain(candidates, defaults):
        allowed = access is None or access.allows(operator, candidate.intent, now)
        if allowed and candidate.intent not in hidden and candidate.intent not in kept:
            kept[candidate.intent] = candidate
            if len(kept) == settings.shown and not seen:
                break
    ranked = list(kept.values())
    if seen:
        factor = 1 + settings.damping
        ranked.sort(key=lambda each: -each.score * (factor if each.intent in seen else 1))
    return ranked[: settings.shown]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
