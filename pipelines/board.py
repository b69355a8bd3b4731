"""What a person sees while a pipeline runs: a bar per stage on a terminal, a line per finished stage elsewhere."""

from __future__ import annotations

import re
import sys
import time
from io import TextIOBase
from types import TracebackType
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from frontdesk.progress import Progress as Report
from frontdesk.progress import parse

_TITLES = {
    "etl": "1 etl",
    "spark_preprocess": "2 spark",
    "data_transfer": "3 transfer",
    "train": "4 train",
    "baselines": "4 baselines",
    "fuse": "5 fuse",
    "evaluate": "5 evaluate",
    "gate": "  gate",
    "deploy": "6 deploy",
    "hold": "  hold",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Board:
    """Draws the progress of stages on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars: Progress | None = None
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._last: Report | None = None

    def __enter__(self) -> Board:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end_stage()
        if self._bars is not None:
            self._bars.stop()

    def show(self, report: Report) -> None:
        """Draw one report. A stage ends where another one begins."""
        if self._last is not None and self._last.stage != report.stage:
            self._end_stage()
        self._began.setdefault(report.stage, time.monotonic())
        if not report.note and self._last is not None and self._last.stage == report.stage:
            report = Report(report.stage, report.done, report.total, self._last.note)
        self._last = report
        if self._bars is not None:
            if report.stage not in self._tasks:
                title = _TITLES.get(report.stage, report.stage)
                self._tasks[report.stage] = self._bars.add_task(title, total=1.0, note="")
            share = report.done / report.total if report.total else 1.0
            self._bars.update(self._tasks[report.stage], completed=share, note=report.note)

    def _end_stage(self) -> None:
        if self._last is None:
            return
        stage, note = self._last.stage, self._last.note
        if self._bars is not None:
            self._bars.update(self._tasks[stage], completed=1.0)
            self._bars.stop_task(self._tasks[stage])
            return
        seconds = time.monotonic() - self._began[stage]
        sys.stderr.write(f"{_TITLES.get(stage, stage):<12} {seconds:7.1f} s  {note}".rstrip() + "\n")
        sys.stderr.flush()


class Splitter(TextIOBase):
    """A text stream that sends progress lines to the board and every other line to the log."""

    def __init__(self, board: Board, log: IO[str]) -> None:
        super().__init__()
        self._board = board
        self._log = log
        self._rest = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Take text in any portions; whole lines are sent on."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            report = parse(line)
            if report is not None:
                self._board.show(report)
            elif line.strip():
                self._log.write(_COLOUR.sub("", line).rstrip() + "\n")
                self._log.flush()
        return len(text)
