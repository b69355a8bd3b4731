"""JSON logs, one event per line, without customer text; progress bars on a terminal.

>>> event(logger, "snapshot_written", snapshot_id="3f2a", rows=10)
{"at": "...", "level": "INFO", "event": "snapshot_written", "snapshot_id": "3f2a", "rows": 10}
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson


class JsonFormatter(logging.Formatter):
    """Format a record as one line of JSON. Fields come from ``event``; other records keep their message.

    Args:
        always: fields of every line.
    """

    def __init__(self, **always: Any) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
            **self._always,
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            # The type and the place, never the message: an exception's message may quote a customer.
            line["exception"] = record.exc_info[0].__name__
            line["traceback"] = _places(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def _places(exc_info: Any) -> list[str]:
    places = []
    trace = exc_info[2]
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places


class StandardError(logging.Handler):
    """Write to what standard error is at the moment of the record: a stream taken earlier may be closed by then."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def configure(level: str = "INFO", **always: Any) -> None:
    """Send the library's logs as JSON lines to standard error, each with the fields ``always``."""
    handler = StandardError()
    handler.setFormatter(JsonFormatter(**always))
    root = logging.getLogger("frontdesk")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False


def event(logger: logging.Logger, name: str, /, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event with its fields. Never pass a customer's text."""
    logger.log(level, name, extra={"fields": fields})
