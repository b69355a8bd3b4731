"""A rehearsal as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frontdesk.storage import canonical_json, write_atomically

STORY = "rehearsal.json"


def write_story(content: dict[str, Any], folder: Path) -> Path:
    """Write ``rehearsal.json``; return its path."""
    write_atomically(folder / STORY, canonical_json(content))
    return folder / STORY
