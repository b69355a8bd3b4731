"""Session sets as files: what job 2 leaves for the training node."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from frontdesk.intent.mapped import map_arrays, write_arrays
from frontdesk.intent.sessions import SessionSet

TRAIN, TEST = "train.safetensors", "test.safetensors"


def write_sessions(path: Path, sessions: SessionSet) -> None:
    """Write a session set without its names: nothing behind the snapshot needs to know whose session it was."""
    names = [field.name for field in fields(SessionSet) if field.name != "session_ids"]
    arrays = {name: getattr(sessions, name) for name in names}
    write_arrays(path, {name: a.astype(np.int32) if a.dtype == bool else a for name, a in arrays.items()})


def open_sessions(path: Path) -> SessionSet:
    """Return a session set, mapped into memory. Raises `BundleError` for a file of another form."""
    arrays = map_arrays(path)
    names = tuple(str(place) for place in range(len(arrays["offsets"]) - 1))
    flags = {name: arrays.pop(name).astype(bool) for name in ("is_intent", "is_target")}
    return SessionSet(session_ids=names, **arrays, **flags)
