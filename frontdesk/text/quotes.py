"""The author's own text apart from the older messages that it answers or passes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from frontdesk.text.boundaries import RULE_LINE, boundary_at, is_quoted
from frontdesk.text.removed import Removed

_WORD = re.compile(r"[^\W_]")


@dataclass
class Separated:
    """A mail taken apart.

    Attributes:
        own: the lines that the author wrote, above, between and below the quoted ones.
        passed_on: the newest forwarded message, its headers included.
        passed_on_body: the same without headers.
        removed: the older messages.
    """

    own: list[str] = field(default_factory=list)
    passed_on: list[str] = field(default_factory=list)
    passed_on_body: list[str] = field(default_factory=list)
    removed: list[Removed] = field(default_factory=list)


def has_words(lines: Sequence[str]) -> bool:
    """Tell whether any line has a letter or a digit."""
    return any(_WORD.search(line) for line in lines)


def separate(lines: list[str]) -> Separated:
    """Find the newest message. Where nothing is left of it, the next older one that says something takes its place."""
    if not has_words(lines):
        return Separated(own=lines)
    result = Separated()
    quoted = [is_quoted(line) for line in lines]
    several = sum(quoted) > 1
    begin = 0
    while begin < len(lines):
        own, older = _newest(lines, quoted, several, begin, result.removed)
        if older is not None and older.kind == "forward":
            inner, nested = _newest(lines, quoted, several, older.body, result.removed)
            if has_words(own) or has_words(inner):
                result.passed_on, result.passed_on_body = [*lines[older.line : older.body], *inner], inner
                older = nested
        if has_words(own) or result.passed_on:
            result.own = own
            if older is not None:
                result.removed.append(Removed("quote", "\n".join(lines[older.line :]), "an older message begins here"))
            return result
        if older is None:
            break
        headers = "\n".join(lines[older.line : older.body])
        result.removed.append(Removed("header", headers, "headers of the only message there is"))
        begin = older.body
    # Everything is quoted.
    result.removed.clear()
    bare = [line.lstrip("> \t") for line in lines]
    result.own = bare if has_words(bare) else lines
    return result


@dataclass(frozen=True)
class _Older:
    """The line where an older message begins, the first line of its own text, and its kind."""

    line: int
    body: int
    kind: str


def _newest(
    lines: Sequence[str], quoted: Sequence[bool], several: bool, begin: int, removed: list[Removed]
) -> tuple[list[str], _Older | None]:
    """Read from a line down to the first older message; ``>`` lines on the way are skipped.

    A single marked line without an attribution stays: people begin lines with ``>`` too.
    """
    own: list[str] = []
    number = begin
    while number < len(lines):
        if not lines[number].strip():
            own.append("")
            number += 1
            continue
        boundary = boundary_at(lines, number)
        if quoted[number] and (several or boundary is not None):
            end = _end_of_quote(lines, quoted, number)
            removed.append(Removed("quote", "\n".join(lines[number:end]), "lines marked with >"))
        elif boundary is None:
            own.append(lines[number])
            number += 1
            continue
        else:
            if boundary.column:
                own.append(lines[number][: boundary.column])
            below = boundary.body
            while below < len(lines) and not lines[below].strip():
                below += 1
            if not (boundary.attribution and below < len(lines) and quoted[below]):
                _drop_rules(own)
                return own, _Older(number, boundary.body, boundary.kind)
            end = _end_of_quote(lines, quoted, below)
            removed.append(Removed("quote", "\n".join(lines[number:end]), boundary.why))
        number = end
    return own, None


def _end_of_quote(lines: Sequence[str], quoted: Sequence[bool], number: int) -> int:
    """Return the line behind a run of marked lines, with the blank and the wrapped ones inside it."""
    end = number
    while end < len(lines):
        if quoted[end] or not lines[end].strip():
            end += 1
        elif end + 1 < len(lines) and quoted[end - 1] and quoted[end + 1]:
            end += 2  # a program wrapped a long line
        else:
            break
    while end > number and not lines[end - 1].strip():
        end -= 1
    return end


def _drop_rules(own: list[str]) -> None:
    """Drop lines of dashes above the headers of an older message."""
    while own and (not own[-1].strip() or RULE_LINE.match(own[-1])):
        own.pop()
