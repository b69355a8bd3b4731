"""Find the Java that Spark needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from frontdesk.errors import MissingTool

LOWEST_VERSION = 17
_FOLDERS = (
    "/usr/lib/jvm",
    "/opt/java",
    "/opt/jdk",
    "/Library/Java/JavaVirtualMachines",
    "~/.sdkman/candidates/java",
    "~/.jdks",
)
_VERSION = re.compile(r'version "?(?:1\.)?(\d+)')


def java_home() -> Path:
    """Return the home folder of a Java of version 17 or later.

    Looks at ``JAVA_HOME``, then at ``java`` on the ``PATH``, then into the folders where systems install Java, lowest
    version first, because that is the one that Spark was tested with longest.

    Raises:
        MissingTool: none was found; the message names what was found and is too old.
    """
    too_old: list[str] = []
    for home in _candidates():
        found = _version(home)
        if found >= LOWEST_VERSION:
            return home
        if found:
            too_old.append(str(found))
    seen = f" (found only version {', '.join(sorted(set(too_old)))})" if too_old else ""
    raise MissingTool(
        f"Spark needs Java {LOWEST_VERSION} or later and there is none{seen}",
        remedy=f"Install Java (Debian: apt-get install openjdk-{LOWEST_VERSION}-jre-headless) or set JAVA_HOME",
    )


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if program := shutil.which("java"):
        yield Path(program).resolve().parent.parent
    installed = [
        home
        for folder in _FOLDERS
        for entry in sorted(Path(folder).expanduser().glob("*"))
        for home in (entry, entry / "Contents" / "Home")
        if (home / "bin" / "java").is_file()
    ]
    yield from sorted(installed, key=_version)


def _version(home: Path) -> int:
    """Return the major version of the Java in a folder; 0 where there is none that runs."""
    program = home / "bin" / "java"
    if not program.is_file():
        return 0
    try:
        answer = subprocess.run([str(program), "-version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    found = _VERSION.search(answer.stderr + answer.stdout)
    return int(found.group(1)) if found else 0
