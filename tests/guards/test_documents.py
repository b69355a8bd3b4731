"""Do the documents name only what there is: files, headings, commands with their options, settings, tests?"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from frontdesk.cli.main import app
from frontdesk.serving.gateway.settings import GatewaySettings
from frontdesk.settings import Settings, SparkOnKubernetes, TrainNodes
from tests.guards.test_structure import ROOT, files

DOCUMENTS = sorted(files(".md"))
_FENCE = re.compile(r"^```.*?^```$", re.S | re.M)
_LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_TEST = re.compile(r"\btests/[\w/]+\.py(?:::\w+)?")
_SETTING = re.compile(r"\bFRONTDESK_[A-Z0-9_]+\b")
_NOT_OURS = {"FRONTDESK_UPDATE_GOLDEN", "FRONTDESK_IMAGE_TAG"}


def named(path: Path) -> str:
    """Return a file's name as a test's parameter."""
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """Return a document without its code blocks."""
    return _FENCE.sub("", path.read_text("utf-8"))


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(path), re.M)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain)


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{link}: there is no such file"
        assert found.is_relative_to(ROOT), f"{link} leaves the repository"
        if anchor:
            assert anchor in anchors(found), f"{link}: there is no such heading"


def command_lines(path: Path) -> Iterator[list[str]]:
    """Yield the arguments of every ``frontdesk`` command that a document names, in blocks and in words."""
    text = path.read_text("utf-8")
    lines = [line for block in _FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += _SPAN.findall(prose(path))
    for line in lines:
        for part in re.split(r"\s(?:;|&&|\|)\s|;\s*do\s", line):
            words = re.sub(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*", "", part)
            if words.startswith("frontdesk "):
                try:
                    yield shlex.split(words, comments=True)[1:]
                except ValueError:  # a quotation that goes on in the next line
                    yield words.split()[1:]


def problem(arguments: list[str]) -> str | None:
    """Return what is wrong with a command line as far as names go: a command or an option that does not exist."""
    command: Any = typer.main.get_command(app)
    options = {"--help", "--version"}
    for argument in arguments:
        if hasattr(command, "commands") and not argument.startswith("-"):
            if not re.fullmatch(r"[a-z][a-z-]*", argument):  # several at once, or a placeholder
                break
            if argument not in command.commands:
                return f"there is no command {argument}"
            command = command.commands[argument]
            options |= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        elif re.fullmatch(r"--[a-z][a-z-]*", argument.partition("=")[0]) and argument.partition("=")[0] not in options:
            return f"there is no option {argument}"
    return None


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_commands_and_their_options_exist(path: Path) -> None:
    wrong = [(" ".join(line), said) for line in command_lines(path) if (said := problem(line))]
    assert not wrong


def test_a_wrong_command_is_seen() -> None:
    assert problem(["keys", "list"]) is None
    assert problem(["keys", "burn"]) == "there is no command burn"
    assert problem(["serve", "BUNDLE", "--sideways"]) == "there is no option --sideways"
    assert sum(1 for path in DOCUMENTS for _ in command_lines(path)) > 60


def test_settings_exist() -> None:
    known = set(_NOT_OURS)
    for kind in (Settings, GatewaySettings, SparkOnKubernetes, TrainNodes):
        prefix = str(kind.model_config["env_prefix"]).upper()
        known |= {f"{prefix}{name.upper()}" for name in kind.model_fields}
    for path in DOCUMENTS:
        for name in _SETTING.findall(path.read_text("utf-8")):
            if name.startswith("FRONTDESK_TEST_"):  # of the tests on a cluster
                continue
            whole = name.rstrip("_") in known or any(one.startswith(name) for one in known)
            assert whole, f"{named(path)} names {name}, which no settings know"


def test_named_tests_exist() -> None:
    for path in DOCUMENTS:
        for name in _TEST.findall(path.read_text("utf-8")):
            place, _, function = name.partition("::")
            assert (ROOT / place).is_file(), f"{named(path)} names {place}"
            if function:
                tree = ast.parse((ROOT / place).read_text("utf-8"))
                functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
                assert function in functions, f"{named(path)} names {name}"
