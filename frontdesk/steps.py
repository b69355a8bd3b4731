"""The edge of a pipeline step: what its process writes, how it fails, and when it gives up.

A step runs in a process of its own, on a laptop as a child of the runner, on a cluster in a pod. An error must reach
the user as the library meant it, so the process leaves it as JSON in the file that ``FRONTDESK_ERROR_FILE`` names and
exits with the error's exit code. The runner reads the file with `read_failure`.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from frontdesk import logs, progress
from frontdesk.errors import FrontdeskError
from frontdesk.settings import settings
from frontdesk.storage import canonical_json, write_atomically

ERROR_FILE = "FRONTDESK_ERROR_FILE"
_log = logging.getLogger(__name__)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Run the body of a step: logs as JSON lines, progress at both ends, errors left for the runner.

    Raises:
        SystemExit: the body raised; the code is the error's exit code.
    """
    logs.configure(settings().log_level)
    _end_with_reader()
    logs.event(_log, "step_started", step=name)
    began = time.monotonic()
    progress.report(name, 0, 1)
    try:
        yield
    except FrontdeskError as error:
        logs.event(_log, "step_failed", logging.ERROR, step=name, code=error.code)
        leave(error)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        # The message of a foreign exception may quote a customer: only its type and place are told.
        _log.exception("step_failed", extra={"fields": {"step": name}})
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        leave(
            FrontdeskError(f"{type(error).__name__} at {place}", where=name, remedy="The log names the calls before it")
        )
        raise SystemExit(1) from None
    progress.report(name, 1, 1)
    logs.event(_log, "step_finished", step=name, seconds=round(time.monotonic() - began, 3))


def leave(error: FrontdeskError) -> None:
    """Leave an error for the process that started this one, which reads it with `read_failure`."""
    if path := os.environ.get(ERROR_FILE):
        content = {"code": error.code, "exit_code": error.exit_code, "message": error.message}
        write_atomically(Path(path), canonical_json(content | {"where": error.where, "remedy": error.remedy}))


def read_failure(path: Path) -> FrontdeskError | None:
    """Return the error that a step left, as the class that it was, or None where there is none."""
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    kind = _by_code(FrontdeskError, content["code"]) or FrontdeskError
    return kind(content["message"], where=content["where"], remedy=content["remedy"])


def _by_code(kind: type[FrontdeskError], code: str) -> type[FrontdeskError] | None:
    if kind.code == code:
        return kind
    return next((found for child in kind.__subclasses__() if (found := _by_code(child, code))), None)


def _end_with_reader() -> None:
    """End this process when nobody reads its output any more.

    A runner that is killed leaves its step running; a second run would then meet the first one's step in one folder.
    The step's output is a pipe to the runner, and a pipe reports an error as soon as its reading end is closed.
    """
    if not stat.S_ISFIFO(os.fstat(1).st_mode):
        return

    def wait() -> None:
        poll = select.poll()
        poll.register(1, 0)
        poll.poll()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-reader", daemon=True).start()
