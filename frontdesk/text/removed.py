"""What cleaning took out of a mail, and why."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_EXCERPT = 2_000


@dataclass(frozen=True)
class Removed:
    """One part that was removed.

    Attributes:
        kind: quote, forward, header, signature, footer, banner, tracking, hidden, style, suffix, attachment.
        text: what was removed, cut at `LONGEST_EXCERPT` characters.
        why: the rule, in words.
    """

    kind: str
    text: str
    why: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text[:LONGEST_EXCERPT])
