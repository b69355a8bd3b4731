"""Put empty libraries in the place of CUDA's, for a torch that computes on the CPU alone.

The wheel of torch in the lock is linked with CUDA's libraries: 3.4 GB that a machine without a GPU loads and never
calls. An image built with TORCH=cpu leaves their packages out. The loader still asks for each library and each name in
it: those written here have the names, and every function answers 100, CUDA's "no device". Needs binutils, x86-64.

usage: cuda_stubs.py SITE_PACKAGES
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

# Libraries of the GPU, and those of their names that carry no version, which would say whose they are.
LIBRARIES = re.compile(r"lib(cu|nccl|nvrtc|nvshmem)")
NAMES = re.compile(r"(nccl|cuFile|cusparseLt|nvshmem)\w+")
ANSWER = "mov $100, %eax; ret"


def readelf(library: Path, what: str) -> str:
    """Return what readelf prints."""
    return subprocess.run(["readelf", "-W", what, library], check=True, stdout=subprocess.PIPE, text=True).stdout


def asked_for(libraries: list[Path]) -> dict[str, dict[str, set[str]]]:
    """Return the names that torch's libraries ask of CUDA's: library, version (empty: none), names."""
    found: dict[str, dict[str, set[str]]] = {}
    owner: dict[str, str] = {}
    symbols: set[tuple[str, str]] = set()
    for path in libraries:
        needed = re.findall(r"\(NEEDED\).*\[(.+)\]", readelf(path, "-d"))
        found |= {name: defaultdict(set) for name in needed if LIBRARIES.match(name)}
        for part in readelf(path, "-V").split("File: ")[1:]:
            owner |= dict.fromkeys(re.findall(r"Name: (\S+)", part), part.split()[0])
        symbols |= set(re.findall(r" UND (\w+)(?:@(\S+))?", readelf(path, "--dyn-syms")))
    for name, version in symbols:
        if owner.get(version) in found:
            found[owner[version]][version].add(name)
        elif not version and NAMES.match(name):
            for names in found.values():
                names[""].add(name)
    return found


def write_stub(path: Path, versions: dict[str, set[str]]) -> None:
    """Assemble and link one library."""
    names = sorted(set().union(*versions.values()))
    code = "".join(f".globl {name}\n.type {name},@function\n{name}: {ANSWER}\n" for name in names)
    nodes = "".join(
        f"{version} {{ {' '.join(f'{name};' for name in sorted(of_it))} }};\n"
        for version, of_it in sorted(versions.items())
        if version
    )
    with tempfile.TemporaryDirectory() as scratch:
        source, script, compiled = (Path(scratch) / f"stub.{end}" for end in ("s", "map", "o"))
        source.write_text(f'.text\n{code}.section .note.GNU-stack,"",@progbits\n', "utf-8")
        script.write_text(nodes, "utf-8")
        subprocess.run(["as", "-o", compiled, source], check=True)
        options = ["-shared", "-soname", path.name, "-s", *([f"--version-script={script}"] if nodes else [])]
        subprocess.run(["ld", *options, "-o", path, compiled], check=True)


def main(site_packages: str) -> None:
    """Write a stub for each library that is not there."""
    folder = Path(site_packages) / "torch" / "lib"
    there = {path.name for path in Path(site_packages).glob("nvidia/**/*.so*")}
    for name, versions in sorted(asked_for(sorted(folder.glob("*.so"))).items()):
        if name not in there and name != "libcuda.so.1":  # the driver's
            write_stub(folder / name, versions)


if __name__ == "__main__":
    main(*sys.argv[1:])
