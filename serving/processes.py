"""A child process that never outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from frontdesk.errors import FrontdeskError

_STOP_SECONDS = 40.0
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own; it gets SIGTERM when this process dies (Linux only).

    A terminal's Ctrl-C goes to the parent alone, which then stops its children in order.

    Args:
        command: a program of ours with its arguments.
        options: of `subprocess.Popen`.
    """
    return subprocess.Popen(  # noqa: S603 - no part of it is a caller's
        command, stdin=subprocess.DEVNULL, preexec_fn=_tie(os.getpid()), **options
    )


def exit_code_of(work: Callable[[], object]) -> int:
    """Do what a process is there for and return its exit code; an error of ours is one line on standard error."""
    try:
        work()
    except FrontdeskError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def wait(process: subprocess.Popen[bytes], seconds: float = _STOP_SECONDS) -> None:
    """Wait for a process that was told to end, and kill it where it does not."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tie(parent: int) -> Callable[[], None]:
    """Return what a child does before it starts."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        os.setpgid(0, 0)
        if prctl is not None:
            prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:  # it died meanwhile
                os._exit(1)

    return prepare
