"""What the workers of one server know of each other: who of them is ready."""

from __future__ import annotations

import mmap
import socket
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class State(IntEnum):
    """Of a worker's place."""

    STARTING = 0
    """Nobody has been ready here."""
    READY = 1
    RETURNING = 2
    """Who was ready here has died, and the next one loads. It listens only when it is ready, so until then nobody is
    answered worse than before."""


class Crew:
    """One byte for the state of each worker, in a file that all of them map.

    Args:
        file: of the bytes; see `assemble`.
    """

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._bytes = mmap.mmap(opened.fileno(), 0)

    @classmethod
    def assemble(cls, file: Path, workers: int) -> Crew:
        """Make the file of so many workers, all of them starting."""
        file.write_bytes(bytes(workers))
        return cls(file)

    def __getitem__(self, number: int) -> State:
        """Return the state of a worker."""
        return State(self._bytes[number])

    def __setitem__(self, number: int, state: State) -> None:
        """Change the state of a worker."""
        self._bytes[number] = state

    def complete(self) -> bool:
        """Return whether every worker has been ready: from then on, whoever listens is."""
        return State.STARTING not in self._bytes[:]


@dataclass(frozen=True)
class Worker:
    """What makes a process one of several workers.

    Attributes:
        number: from 0.
        again: whether it was started because another one died.
        listener: the socket that all of them share.
        crew: all of them.
    """

    number: int
    again: bool
    listener: socket.socket
    crew: Crew

    @property
    def returning(self) -> bool:
        """Whether the others answer meanwhile."""
        return self.crew[self.number] == State.RETURNING

    def report(self) -> None:
        """Say that this worker is ready."""
        self.crew[self.number] = State.READY
