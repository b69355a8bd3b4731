"""The README's snippets run as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frontdesk.cli.main import app
from frontdesk.simulation import tickets

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    fences = README.split("```")[1::2]
    return [fence.partition("\n")[2] for fence in fences if fence.partition("\n")[0] == language]


def commands() -> list[list[str]]:
    """Return the arguments of every ``frontdesk`` line of the README's shell blocks."""
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("frontdesk ")]


@pytest.fixture
def place(tmp_path: Path, ticket_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the snippets name: the demo's bundle, a run's bundle, tables, a mapping."""
    for name in ("out/demo/ticket/bundle", "out/run/bundle"):
        shutil.copytree(ticket_bundle, tmp_path / name)
    table = tickets.simulate(60, seed=3)
    tickets.write(table, tmp_path / "tickets.csv")
    tickets.write(table.drop_columns(["contact_type", "reply"]), tmp_path / "new.csv")
    shutil.copy(ROOT / "examples/tickets.yaml", tmp_path / "columns.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_snippets(place: Path) -> None:
    snippets = blocks("python")
    assert snippets
    for snippet in snippets:
        ran = subprocess.run([sys.executable, "-c", snippet], cwd=place, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert " > " in ran.stdout, "the snippet prints a contact type"


def test_readiness_and_predict_lines(place: Path) -> None:
    lines = [line for line in commands() if line[0] in ("readiness", "predict")]
    assert {line[0] for line in lines} == {"readiness", "predict"}
    for line in lines:
        result = CliRunner().invoke(app, line)
        assert result.exit_code == 0, result.output
    header, *rows = (place / "labels.csv").read_text("utf-8").splitlines()
    assert "contact_type_decision" in header
    assert len(rows) == 60


def test_every_line_names_a_command_with_its_options() -> None:
    runner = CliRunner()
    assert {"run", "serve", "compile"} <= {line[0] for line in commands()} | {"compile"}
    for command, *arguments in commands():
        shown = runner.invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert shown.exit_code == 0, command
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in shown.output, f"{command} {option}"


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z0-9-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.M), target
