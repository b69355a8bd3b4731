"""What a person sees while a pipeline runs: a bar per stage on a terminal, elsewhere a line per stage of each job."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from io import TextIOBase
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from frontdesk.progress import Progress as Report
from frontdesk.progress import parse

_JOBS = {
    "etl": "1 etl",
    "spark_preprocess": "2 spark",
    "data_transfer": "3 transfer",
    "train": "4 train",
    "fuse": "5 fuse",
    "gate": "  gate",
    "deploy": "6 deploy",
    "hold": "  hold",
    "materialise": "  features",
    "monitor": "  monitor",
    "retrain": "  retrain",
}
"""Titles of the pipeline's steps. Any other stage is a part of the step that runs."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class _Stage:
    title: str
    seconds: float = 0.0
    note: str = ""
    bar: TaskID | None = None


class Board:
    """Draws the progress of a run on standard error."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
            )
        self._job = ""
        self._stages: dict[str, _Stage] = {}
        """The stages of the running job, in the order in which they began."""
        self._running: _Stage | None = None
        self._since = time.monotonic()

    def __enter__(self) -> Board:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end_job()
        if self._bars is not None:
            self._bars.stop()

    def show(self, report: Report) -> None:
        """Draw one report."""
        if report.stage in _JOBS and report.stage != self._job:
            self._end_job()
            self._job = report.stage
        self._count_time()
        if report.stage not in self._stages:
            self._stages[report.stage] = _Stage(_JOBS.get(report.stage, f"  {report.stage}"))
        stage = self._running = self._stages[report.stage]
        stage.note = report.note or stage.note
        if self._bars is not None:
            if stage.bar is None:
                stage.bar = self._bars.add_task(stage.title, total=1.0, note="")
            share = report.done / report.total if report.total else 1.0
            self._bars.update(stage.bar, completed=share, note=stage.note)

    def _count_time(self) -> None:
        """Add the time since the last report to the stage that it named: a stage may come back after another one."""
        now = time.monotonic()
        if self._running is not None:
            self._running.seconds += now - self._since
        self._since = now

    def _end_job(self) -> None:
        self._count_time()
        for stage in self._stages.values():
            if self._bars is None:
                sys.stderr.write(f"{stage.title:<12} {stage.seconds:7.1f} s  {stage.note}".rstrip() + "\n")
            elif stage.bar is not None:
                self._bars.update(stage.bar, completed=1.0)
                self._bars.stop_task(stage.bar)
        sys.stderr.flush()
        self._stages, self._running = {}, None


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
