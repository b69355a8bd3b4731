"""Progress of long work, from a step's process to whoever watches it.

A step may run in a child process whose standard output is a pipe (KFP's local runner) or a pod's log. It prints one
line per change, prefixed so that a watcher can tell it from logs; `frontdesk.pipelines.local` draws bars from them.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

import orjson

PREFIX = "@@progress "
_INTERVAL_SECONDS = 0.2
_last: dict[str, float] = {}


@dataclass(frozen=True)
class Progress:
    """How far a stage has come: ``done`` of ``total`` units, and a short note (loss, rows per second)."""

    stage: str
    done: float
    total: float
    note: str = ""


def report(stage: str, done: float, total: float, note: str = "") -> None:
    """Tell the watcher how far a stage is. Cheap to call often; silent unless ``FRONTDESK_PROGRESS=lines``."""
    if os.environ.get("FRONTDESK_PROGRESS") != "lines":
        return
    now = time.monotonic()
    if done < total and now - _last.get(stage, 0.0) < _INTERVAL_SECONDS:
        return
    _last[stage] = now
    line = orjson.dumps({"stage": stage, "done": done, "total": total, "note": note}).decode()
    sys.stdout.write(f"{PREFIX}{line}\n")
    sys.stdout.flush()


def parse(line: str) -> Progress | None:
    """Return the progress that a line of output reports, or None for any other line."""
    start = line.find(PREFIX)
    if start < 0:
        return None
    try:
        return Progress(**orjson.loads(line[start + len(PREFIX) :]))
    except (orjson.JSONDecodeError, TypeError):
        return None
