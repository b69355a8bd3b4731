"""Does a step's error arrive as it was raised, and does a step end when its runner has gone?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frontdesk.errors import BadColumns, FrontdeskError, GateRefused
from frontdesk.steps import read_failure


def run(body: str, error_file: Path) -> subprocess.CompletedProcess[str]:
    code = f"from frontdesk.errors import *\nfrom frontdesk.steps import step\nwith step('etl'):\n    {body}\n"
    environment = os.environ | {"FRONTDESK_ERROR_FILE": str(error_file), "FRONTDESK_PROGRESS": "lines"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_error_of_the_library_comes_back_as_it_was(tmp_path: Path) -> None:
    done = run("raise BadColumns('no column subject', where='a.csv', remedy='Name it')", tmp_path / "error.json")
    failure = read_failure(tmp_path / "error.json")
    assert done.returncode == 3
    assert type(failure) is BadColumns
    assert str(failure) == "a.csv: no column subject. Name it"
    assert "Traceback" not in done.stderr


def test_a_foreign_error_is_told_by_type_and_place_never_by_its_words(tmp_path: Path) -> None:
    done = run("{}['a customer wrote this']", tmp_path / "error.json")
    failure = read_failure(tmp_path / "error.json")
    assert done.returncode == 1
    assert type(failure) is FrontdeskError
    assert "KeyError at <string>:4" in str(failure)
    assert "customer" not in done.stderr + done.stdout + (tmp_path / "error.json").read_text()


def test_a_step_that_ends_well_leaves_no_error_and_reports_both_ends(tmp_path: Path) -> None:
    done = run("pass", tmp_path / "error.json")
    assert done.returncode == 0
    assert read_failure(tmp_path / "error.json") is None
    assert done.stdout.count("@@progress") == 2
    assert "step_finished" in done.stderr


@pytest.mark.parametrize("kind", [BadColumns, GateRefused, FrontdeskError])
def test_every_class_is_found_by_its_code(tmp_path: Path, kind: type[FrontdeskError]) -> None:
    run(f"raise {kind.__name__}('m')", tmp_path / "error.json")
    assert type(read_failure(tmp_path / "error.json")) is kind


def test_a_damaged_error_file_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "error.json").write_text("{")
    assert read_failure(tmp_path / "error.json") is None


def test_a_step_ends_when_its_runner_is_killed(tmp_path: Path) -> None:
    """The runner reads the step's output; SIGKILL gives it no chance to end the step itself."""
    body = "import time; from frontdesk.steps import step\nwith step('etl'):\n    time.sleep(60)"
    runner = (
        "import subprocess, sys\n"
        f"body = {body!r}\n"
        "child = subprocess.Popen([sys.executable, '-c', body], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n"
        "print(child.pid, flush=True)\n"
        "child.stdout.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", runner], stdout=subprocess.PIPE, text=True) as parent:
        step = int(parent.stdout.readline())
        time.sleep(1.5)  # long enough for the step to be inside its body
        assert alive(step)
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while alive(step) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(step)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
