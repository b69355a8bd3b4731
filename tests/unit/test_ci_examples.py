"""Is every line of the example workflows one that the command line takes, and every setting one that there is?"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from frontdesk.cli.main import app
from frontdesk.recipes import names
from frontdesk.rollout import read_plan
from frontdesk.settings import Settings

FOLDER = Path(__file__).parents[2] / "examples" / "ci"
WORKFLOWS = sorted(FOLDER.glob("*.yaml"))
_SCENARIOS = {"dev": "dev", "prod": "production"}
_FILLED = re.compile(r"\$\{\{\s*([^}]+?)\s*\}\}")
_VALUES = {"matrix.recipe": names(), "inputs.approve": ["3"], "inputs.recipe": ["ticket"], "github.actor": ["ada"]}


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return found


def lines(path: Path) -> list[str]:
    return [step["run"] for job in jobs(path).values() for step in job["steps"] if "run" in step]


def filled(line: str) -> list[str]:
    """Return a line with each value that its expressions may have."""
    found = [line]
    for expression in set(_FILLED.findall(line)):
        assert expression in _VALUES, f"{expression} is not known here"
        place = re.compile(r"\$\{\{\s*" + re.escape(expression) + r"\s*\}\}")
        found = [place.sub(value, one) for one in found for value in _VALUES[expression]]
    return found


def parse(arguments: list[str]) -> None:
    """Parse a command line as the program would, without running it. Raises what click raises."""
    command, context, rest = typer.main.get_command(app), None, arguments
    while True:
        context = command.make_context(command.name or "frontdesk", list(rest), parent=context, resilient_parsing=False)
        if not hasattr(command, "commands"):
            return
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_command_is_one_of_ours(path: Path) -> None:
    commands = [line for line in lines(path) if line.startswith("frontdesk ")]
    assert len(commands) >= 3
    for line in commands:
        for one in filled(line):
            parse(shlex.split(one)[1:])


def test_a_line_that_is_wrong_would_be_found() -> None:
    for line in ("run ticket --data x", "approve ticket", "run ticket --data x --out y --colour red", "fly ticket"):
        with pytest.raises(Exception, match=r"(?i)missing|no such"):
            parse(shlex.split(line))


def test_the_branches_are_those_of_the_environments() -> None:
    assert [path.stem for path in WORKFLOWS] == ["dev", "prod"]
    for path, branch in zip(WORKFLOWS, ("dev", "main"), strict=True):
        triggers = yaml.safe_load(path.read_text())[True]  # YAML 1.1 reads `on` as true
        assert triggers["push"]["branches"] == [branch]
        for name in re.findall(r"examples/ci/(\S+)", "\n".join(lines(path))):
            assert (FOLDER / name).is_file()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.env")), ids=lambda path: path.stem)
def test_every_setting_is_one_that_there_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [line.split("=", 1) for line in path.read_text().splitlines() if line and not line.startswith("#")]
    for name, value in pairs:
        assert name.removeprefix("FRONTDESK_").lower() in Settings.model_fields, name
        monkeypatch.setenv(name, value)
    chosen = Settings()
    assert chosen.approval == ("required" if path.stem == "prod" else "none")
    if chosen.rollout is not None:
        assert read_plan(chosen.rollout).steps[-1] == 100


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_objects_of_an_environment_are_its_overlay(path: Path) -> None:
    """The overlay says the same of store and registry as the environment's settings do."""
    overlay = FOLDER.parents[1] / "manifests" / "overlays" / path.stem
    assert f"kubectl apply --server-side -k manifests/overlays/{path.stem}" in lines(path)
    assert (overlay / "kustomization.yaml").is_file()
    values = yaml.safe_load((FOLDER.parents[1] / f"helm/frontdesk/ci/{_SCENARIOS[path.stem]}-values.yaml").read_text())
    pairs = dict(line.split("=", 1) for line in path.with_suffix(".env").read_text().splitlines() if "=" in line)
    assert values["store"] == pairs["FRONTDESK_STORE"]
    assert values["mlflow"] == pairs["FRONTDESK_MLFLOW"]
    assert values["database"]["url"] == pairs["FRONTDESK_DATABASE"]
    assert pairs.get("FRONTDESK_KFP", values["pipelines"]["kfp"]["address"]) == values["pipelines"]["kfp"]["address"]
