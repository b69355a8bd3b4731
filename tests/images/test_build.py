"""The script that builds: what it lends a build must not reach an image."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "build"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    loader = SourceFileLoader("images_build", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_address_of_an_index_goes_into_a_secret_alone(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = "https://name:word@packages.example.org/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)
    with script.secrets(None) as options:
        assert address not in " ".join(options)
        file = Path(options[-1].removeprefix("id=build.env,src="))
        asked = subprocess.run(
            ["sh", "-c", f'. {file}; echo "$UV_DEFAULT_INDEX"'], capture_output=True, text=True, check=True, env={}
        )
        assert asked.stdout.strip() == address
        assert file.stat().st_mode & 0o077 == 0
    assert not file.exists()


def test_settings_of_pip_become_settings_of_uv(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in script.INDEX_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example.org/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example.org/simple https://b.example.org/simple")
    assert script.package_settings() == {
        "UV_DEFAULT_INDEX": "https://packages.example.org/simple",
        "UV_INDEX": "https://a.example.org/simple https://b.example.org/simple",
    }


def test_an_unknown_image_is_wrong_usage() -> None:
    ran = subprocess.run([sys.executable, SCRIPT, "database"], capture_output=True, text=True, check=False)
    assert (ran.returncode, "no image is called database" in ran.stderr) == (2, True)


def test_without_buildah_one_line_says_what_to_install(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, SCRIPT, "serving"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": str(tmp_path)},
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "buildah" in ran.stderr
