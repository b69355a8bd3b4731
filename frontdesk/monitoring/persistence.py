"""A change is drift when it persists: seen in k windows in a row; until then it is watched."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from frontdesk.monitoring.verdict import Cause, Level, Verdict

Alarm = tuple[str, str]
"""Kind and column of a change that a window showed."""


def alarms_of(verdict: Verdict) -> list[Alarm]:
    """Return what is drift in a window by itself."""
    return sorted({(cause.kind, cause.column) for cause in verdict.causes if cause.level == "drift"})


def persistent(verdict: Verdict, before: Sequence[Collection[Alarm]], windows: int) -> Verdict:
    """Return a window's verdict in the light of the windows before it.

    Args:
        verdict: of the window by itself.
        before: alarms of the windows before it, newest first; windows with too few rows are left out.
        windows: in how many in a row, this one included, a change must be seen.
    """
    causes = tuple(_judged(cause, before, windows) for cause in verdict.causes)
    # Stable order: what persists first, and within it the worst first as before.
    causes = tuple(sorted(causes, key=lambda cause: cause.level != "drift"))
    level: Level = "stable"
    if causes:
        level = "drift" if any(cause.level == "drift" for cause in causes) else "watch"
    return replace(verdict, verdict=level, causes=causes)


def _judged(cause: Cause, before: Sequence[Collection[Alarm]], windows: int) -> Cause:
    if cause.level != "drift" or windows == 1:
        return cause
    seen = 1
    for alarms in before:
        if (cause.kind, cause.column) not in alarms:
            break
        seen += 1
    if seen >= windows:
        return replace(cause, words=f"{cause.words} (seen in {seen} windows in a row)")
    return replace(cause, level="watch", words=f"{cause.words} (seen in {seen} of {windows} windows in a row)")
