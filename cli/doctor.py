"""``frontdesk doctor``: is everything there that the packages, or the chart, do not bring?"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from frontdesk.cli.output import Json, console, print_json
from frontdesk.errors import FrontdeskError, UsageError
from frontdesk.findings import Finding
from frontdesk.settings import settings

DEFAULT_NAMESPACE = "frontdesk"


def doctor(
    cluster: bool = typer.Option(False, "--cluster", help="Check the cluster of KUBECONFIG instead."),
    namespace: str | None = typer.Option(None, "--namespace", help="With --cluster: where the chart is installed."),
    as_json: bool = Json,
) -> None:
    """Check this machine: Java, extras, memory, threads, accelerator, store. Or a cluster, and what we run in it."""
    if namespace is not None and not cluster:
        raise UsageError("only a cluster has namespaces", where="--namespace", remedy="Add --cluster")
    if cluster:
        findings = list(_cluster(namespace or DEFAULT_NAMESPACE))
    else:
        findings = [check() for check in (_java, _extras, _memory, _accelerator, _store)]
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        table = Table()
        for title in ("check", "state", "what was found", "what to do"):
            table.add_column(title, overflow="fold")
        for finding in findings:
            table.add_row(*(escape(text) for text in (finding.name, finding.state, finding.words, finding.remedy)))
        console().print(table)
    if any(finding.bad for finding in findings):
        raise typer.Exit(1)


def _cluster(namespace: str) -> Iterator[Finding]:
    from frontdesk.cluster_checks import check_cluster
    from frontdesk.kubernetes_api import Cluster

    yield from check_cluster(Cluster(), namespace)
    yield _pipelines()


def _pipelines() -> Finding:
    if settings().kfp is None:
        return Finding("pipelines", "note", "no pipeline server is set: lifecycles run where they are started")
    from frontdesk.pipelines.applying import pipeline_server

    try:
        pipeline_server().check()
    except FrontdeskError as error:
        return Finding("pipelines", "wrong", error.message, error.remedy)
    return Finding("pipelines", "ok", "the pipeline server answers")


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
