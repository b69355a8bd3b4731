"""Does the board tell logs from progress, and say once per stage how long it took?"""

from __future__ import annotations

import io

import pytest

from frontdesk import progress
from frontdesk.pipelines.board import Board, Splitter


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_PROGRESS", "lines")


def told(capsys: pytest.CaptureFixture[str], *reports: tuple[str, float, float, str]) -> str:
    """Return what a step prints for its reports."""
    for report in reports:
        progress.report(*report)
    return capsys.readouterr().out


def test_progress_goes_to_the_board_and_the_rest_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, ("etl", 0, 1, ""), ("etl", 1, 1, "600 rows"), ("train", 1, 1, ""))
    log = io.StringIO()
    with Board() as board:
        stream = Splitter(board, log)
        # KFP indents the first line of what a child prints, and hands on any portion.
        for start in range(0, len(text), 7):
            stream.write(text[start : start + 7])
        stream.write("\x1b[96m'etl'\x1b[0m finished\n\n    a log line\n")
    assert log.getvalue() == "'etl' finished\n    a log line\n"
    found = capsys.readouterr().err.splitlines()
    assert [line[:12].strip() for line in found] == ["1 etl", "4 train"]
    assert found[0].endswith("s  600 rows")


def test_parts_of_a_job_stand_below_it_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(
        capsys,
        ("fuse", 1, 1, "graph"),
        ("evaluate", 1, 1, ""),
        ("baselines", 1, 1, "SVC"),
        ("evaluate", 1, 1, "120 rows"),
        ("fuse", 1, 1, ""),
        ("gate", 1, 1, ""),
        ("evaluate", 1, 1, ""),
    )
    with Board() as board:
        Splitter(board, io.StringIO()).write(text)
    found = [line[:12].rstrip() for line in capsys.readouterr().err.splitlines()]
    assert found == ["5 fuse", "  evaluate", "  baselines", "  gate", "  evaluate"]


def _written(board: Board, text: str) -> KeyError:
    Splitter(board, io.StringIO()).write(text)
    return KeyError()


def test_a_job_that_failed_is_not_told_as_done(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, ("etl", 1, 1, ""), ("train", 1, 1, ""))
    with pytest.raises(KeyError), Board() as board:
        raise _written(board, text)
    assert [line[:12].strip() for line in capsys.readouterr().err.splitlines()] == ["1 etl"]
