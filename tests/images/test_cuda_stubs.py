"""A library that stands in for CUDA's is loaded, and answers that there is no device."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "cuda_stubs.py"

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the stubs are for x86-64"),
    pytest.mark.skipif(shutil.which("ld") is None, reason="there is no ld (Debian: binutils)"),
]


def link(folder: Path, name: str, code: str, *options: str | Path) -> Path:
    """Assemble and link a library."""
    source, compiled, library = folder / f"{name}.s", folder / f"{name}.o", folder / name
    source.write_text(f'.text\n{code}\n.section .note.GNU-stack,"",@progbits\n', "utf-8")
    subprocess.run(["as", "-o", compiled, source], check=True)
    subprocess.run(["ld", "-shared", "-soname", name, "-o", library, compiled, *options], check=True)
    return library


def test_the_stub_has_the_names_and_versions_that_are_asked_for(tmp_path: Path) -> None:
    site, real = tmp_path / "site-packages", tmp_path / "real"
    lib = site / "torch" / "lib"
    lib.mkdir(parents=True)
    real.mkdir()
    (real / "map").write_text("libcublas.so.13 { cublasCreate_v2; };", "utf-8")
    function = ".globl {0}\n.type {0},@function\n{0}: mov $7, %eax; ret"
    blas = link(real, "libcublas.so.13", function.format("cublasCreate_v2"), f"--version-script={real / 'map'}")
    nccl = link(real, "libnccl.so.2", function.format("ncclInit"))
    calls = "\n".join(
        f".globl ask_{name}\n.type ask_{name},@function\nask_{name}: jmp {name}@PLT"
        for name in ("cublasCreate_v2", "ncclInit")
    )
    torch = link(lib, "libtorch_small.so", calls, "-rpath", "$ORIGIN", blas, nccl)

    subprocess.run([sys.executable, SCRIPT, site], check=True)

    assert {path.name for path in lib.glob("*.so.[0-9]*")} == {"libcublas.so.13", "libnccl.so.2"}
    probe = (
        "import ctypes, os, sys; library = ctypes.CDLL(sys.argv[1], os.RTLD_NOW); "
        "print(library.ask_cublasCreate_v2(), library.ask_ncclInit())"
    )
    ran = subprocess.run([sys.executable, "-c", probe, torch], capture_output=True, text=True, check=True)
    assert (ran.stdout.strip(), ran.stderr) == ("100 100", "")
