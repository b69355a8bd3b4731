"""The version of the package, and the digest of its source."""

from __future__ import annotations

import functools
import hashlib
import re
from importlib import metadata
from pathlib import Path

VERSION = "0.1.0"
_TRAINING_EXTRAS = ("train", "spark")


@functools.cache
def code_digest(root: Path = Path(__file__).parent) -> str:
    """Return 12 hex digits over every source file of a folder, the library's by default.

    The keys of finished work contain it, so that a changed transform never meets the results of the old one.
    """
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that models are trained with."""
    found = {}
    for requirement in metadata.requires("frontdesk") or []:
        name, extra = re.match(r"[\w.-]+", requirement), re.search(r'extra == "(\w+)"', requirement)
        if name is None or (extra is not None and extra[1] not in _TRAINING_EXTRAS):
            continue
        try:
            found[name[0].lower()] = metadata.version(name[0])
        except metadata.PackageNotFoundError:
            continue
    return found
