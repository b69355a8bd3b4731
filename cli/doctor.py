"""``frontdesk doctor``: is everything there that the packages do not bring?"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass

import typer
from rich.table import Table

from frontdesk.cli.output import Json, console, print_json
from frontdesk.errors import FrontdeskError
from frontdesk.settings import settings


@dataclass(frozen=True)
class Finding:
    """What one check found: ``ok``, ``missing`` (a job cannot run) or ``note``."""

    name: str
    state: str
    words: str


def doctor(as_json: bool = Json) -> None:
    """Check this machine: Java, extras, memory, threads, accelerator, store."""
    findings = [check() for check in (_java, _extras, _memory, _accelerator, _store)]
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        table = Table("check", "state", "what was found")
        for finding in findings:
            table.add_row(finding.name, finding.state, finding.words)
        console().print(table)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _java() -> Finding:
    from frontdesk.preprocessing.java import java_home

    try:
        home = java_home()
    except FrontdeskError as error:
        return Finding("Java", "missing", str(error))
    return Finding("Java", "ok", str(home))


def _extras() -> Finding:
    needed = {"train": "torch", "spark": "pyspark", "serve": "kserve", "pipelines": "kfp"}
    absent = [extra for extra, module in needed.items() if importlib.util.find_spec(module) is None]
    if absent:
        return Finding("extras", "missing", f"not installed: {', '.join(absent)}; run make setup")
    return Finding("extras", "ok", ", ".join(needed))


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    words = f"{total:.1f} GiB, {os.cpu_count()} cores, {settings().threads} compute threads"
    return Finding("memory", "ok" if total >= 6 else "note", words)


def _accelerator() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("accelerator", "note", "none: training runs on the CPU")
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)  # noqa: S603
    return Finding("accelerator", "ok", listed.stdout.strip().splitlines()[0] if listed.stdout else "no answer")


def _store() -> Finding:
    from frontdesk.storage import Store

    place = settings().store
    if place is None:
        return Finding("store", "ok", "inside the run's folder")
    try:
        Store(place).manifest("doctor")
    except FrontdeskError as error:
        return Finding("store", "missing", str(error))
    return Finding("store", "ok", place)
