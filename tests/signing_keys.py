"""Keys that sign bundles, made by OpenSSL as an operator makes them; settings that name them for one test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from frontdesk.settings import settings


@dataclass(frozen=True)
class KeyPair:
    """The files of a key."""

    private: Path
    public: Path


def openssl(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run OpenSSL's command."""
    return subprocess.run(["openssl", *arguments], check=check, capture_output=True)


def key_pair(folder: Path, name: str, *, kind: tuple[str, ...] = ("EC", "ec_paramgen_curve:P-256")) -> KeyPair:
    """Make a key: the two commands of docs/trust.md."""
    pair = KeyPair(folder / f"{name}.key", folder / f"{name}.pub")
    algorithm, *options = kind
    chosen = [part for option in options for part in ("-pkeyopt", option)]
    openssl("genpkey", "-algorithm", algorithm, *chosen, "-out", pair.private)
    openssl("pkey", "-in", pair.private, "-pubout", "-out", pair.public)
    return pair


class Trust:
    """Sets and unsets which keys this process signs with and trusts."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self._patched = patched

    def use(self, *, sign: Path | None = None, verify: Path | None = None, password: Path | None = None) -> None:
        """Name the files; None unsets one."""
        files = {"SIGNING_KEY": sign, "VERIFY_KEY": verify, "SIGNING_PASSWORD": password}
        for name, path in files.items():
            if path is None:
                self._patched.delenv(f"FRONTDESK_{name}_FILE", raising=False)
            else:
                self._patched.setenv(f"FRONTDESK_{name}_FILE", str(path))
        settings.cache_clear()


@pytest.fixture
def trust() -> Iterator[Trust]:
    """The settings of keys, as they were after the test."""
    with pytest.MonkeyPatch.context() as patched:
        yield Trust(patched)
    settings.cache_clear()


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyPair, KeyPair]:
    """Two keys."""
    folder = tmp_path_factory.mktemp("keys")
    return key_pair(folder, "first"), key_pair(folder, "second")
