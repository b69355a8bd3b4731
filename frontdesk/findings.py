"""What a check of ``frontdesk doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One check and its outcome.

    Attributes:
        name: what was looked at.
        state: ``ok``; ``note``, what one should know; ``missing``, something needed is not there; ``wrong``, it is
            there and cannot work as it is.
        words: what was found.
        remedy: what to do about it.
    """

    name: str
    state: State
    words: str
    remedy: str = ""

    @property
    def bad(self) -> bool:
        """Whether something cannot work."""
        return self.state in ("missing", "wrong")
