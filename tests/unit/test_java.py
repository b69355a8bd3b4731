"""Spark's Java is found where systems put it, and its absence is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontdesk.errors import MissingTool
from frontdesk.preprocessing import java


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(java, "_FOLDERS", (str(tmp_path / "jvm"),))


def install(home: Path, version: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-01' >&2\n")
    program.chmod(0o755)
    return home


def test_java_home_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path / "jvm" / "17", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(install(tmp_path / "mine", "21.0.1")))
    assert java.java_home() == tmp_path / "mine"


def test_a_java_home_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(install(tmp_path / "old", "1.8.0_392")))
    newest = install(tmp_path / "jvm" / "b", "25")
    lowest = install(tmp_path / "jvm" / "c", "17.0.15")
    assert java.java_home() == lowest != newest


def test_the_path_is_followed_through_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = install(tmp_path / "opt", "17.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert java.java_home() == home


def test_none_or_only_old_ones_is_a_missing_tool_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingTool, match="Java 17 or later"):
        java.java_home()
    install(tmp_path / "jvm" / "11", "11.0.2")
    (tmp_path / "jvm" / "broken" / "bin").mkdir(parents=True)
    (tmp_path / "jvm" / "broken" / "bin" / "java").write_text("not a program")
    with pytest.raises(MissingTool, match="only version 11") as caught:
        java.java_home()
    assert "JAVA_HOME" in caught.value.remedy
