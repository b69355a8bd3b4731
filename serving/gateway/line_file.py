"""The lines' configuration from a file, read again when it changes."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from frontdesk.errors import FrontdeskError
from frontdesk.intent.configuration import Configuration, load_configuration
from frontdesk.logs import event

_LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)


class LineFile:
    """Holds the configuration in force.

    Args:
        path: YAML or JSON; None for the built-in defaults.

    Raises:
        UnreadableFile, UsageError: the file cannot be read, or has a wrong key.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._stamp = self._changed()
        self._configuration = Configuration() if self._path is None else load_configuration(self._path)
        self._look_at = time.monotonic() + _LOOK_SECONDS

    def current(self) -> Configuration:
        """Return the configuration. A file that has become wrong is logged, and the last good one stays."""
        if self._path is not None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            if (stamp := self._changed()) != self._stamp:
                self._stamp = stamp
                try:
                    self._configuration = load_configuration(self._path)
                    event(_log, "lines_configured", version=self._configuration.version)
                except FrontdeskError as error:
                    event(_log, "lines_wrong", level=logging.ERROR, words=str(error))
        return self._configuration

    def _changed(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size)
