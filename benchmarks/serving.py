"""Latency of one ticket: in process and behind KServe, next to torch eager and to servers that compute nothing.

``python -m benchmarks.serving [--bundle DIR] [--data FILE.parquet] [--rounds N] [--out FILE.json]``

One run holds everything: all servers stand at once, every round visits every cell in another order, the first round is
thrown away. A cell's figure is the median of its rounds' percentiles, with the lowest and highest round beside it; CPU
is what the computing process used per ticket, the figure that a busy machine changes least. One compute thread each.
Load is a closed loop over plain sockets: each connection sends its next ticket when it has the answer to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.servers import SERVERS
from frontdesk.bundle import Bundle

CONNECTIONS = (1, 4)
PACKAGES = ("kserve", "fastapi", "uvicorn", "onnxruntime", "torch", "numpy")
Instances = list[dict[str, Any]]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", help="a ticket bundle; default: that of `make demo`, or a small new one")
    parser.add_argument("--data", type=Path, help="Parquet file with the bundle's fields; default: simulated tickets")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds")
    parser.add_argument("--requests", type=int, default=300, help="tickets per round and cell")
    parser.add_argument("--out", type=Path, default=Path("out/bench/serving.json"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded here, and for the servers
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as scratch:
        location = options.bundle or _small_bundle(Path(scratch))
        instances = _instances(Bundle.load(location), options.data, options.requests)
        result = {
            "machine": machine(),
            "bundle": _describe(location),
            "tickets": _lengths(instances),
            "rounds": options.rounds,
            "requests": options.requests,
            "in_process": in_process(location, instances, options.rounds),
            "http": asyncio.run(over_http(location, instances, options.rounds, Path(scratch))),
            "load_average_after": os.getloadavg(),
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(report(result))
    print(f"\nwritten to {options.out}")


def _small_bundle(scratch: Path) -> str:
    if (demo := Path("out/demo/bundle")).is_dir():
        return str(demo)
    from tests.bundles import build_ticket_bundles

    print("training a small bundle on simulated tickets ...", flush=True)
    return str(build_ticket_bundles(scratch / "made", rows=1_000, epochs=1).network)


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    info = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "python": sys.version.split()[0],
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _describe(location: str) -> dict[str, Any]:
    bundle = Bundle.load(location)
    return {
        "model_id": bundle.model_id,
        "kind": bundle.manifest["model_kind"],
        "engine": getattr(bundle.model, "name", "classical"),
        "labels": {head: len(labels) for head, labels in bundle.spec.labels.items()},
        "words": len(bundle.spec.vocabulary),
        "max_tokens": bundle.spec.max_tokens,
    }


def _instances(bundle: Bundle, data: Path | None, count: int) -> Instances:
    import pyarrow.parquet as pq

    from frontdesk.simulation.tickets import simulate

    table = pq.read_table(data) if data else simulate(count, seed=99)
    rows = table.select([name for name in bundle.spec.fields if name in table.column_names]).slice(0, count).to_pylist()
    instances: Instances = orjson.loads(orjson.dumps(rows))  # time stamps as text, NaN as null: as a caller sends them
    bundle.validate(instances[:1])
    return instances


def _lengths(instances: Instances) -> dict[str, float]:
    sizes = np.array([len(orjson.dumps(instance)) for instance in instances])
    return {"count": len(sizes), "bytes_p50": float(np.median(sizes)), "bytes_p95": float(np.percentile(sizes, 95))}


@dataclass
class Cell:
    """Seconds of every ticket by round, and the computing process's CPU seconds per ticket by round."""

    rounds: list[list[float]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, seconds: list[float], cpu: float) -> None:
        """Count a round."""
        self.rounds.append(seconds)
        self.cpu.append(cpu / len(seconds))


def summary(cell_: Cell) -> dict[str, Any]:
    """Summarise rounds: for each percentile the median, lowest and highest round, in milliseconds."""
    rounds = cell_.rounds
    cell: dict[str, Any] = {"samples": sum(map(len, rounds)), "cpu": statistics.median(cell_.cpu) * 1e3}
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        values = [float(np.percentile(one, share)) * 1e3 for one in rounds]
        cell[name] = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return cell


def in_process(location: str, instances: Instances, rounds: int) -> dict[str, Any]:
    """Time ``bundle.predict`` on one ticket, by engine."""
    predict: dict[str, Callable[[Instances], Any]] = {}
    for engine in ("auto", "graph", "eager"):
        predict[engine] = Bundle.load(location, engine=engine).predict
    cells = {engine: Cell() for engine in predict}
    order = list(predict)
    for number in range(rounds + 1):
        random.shuffle(order)
        for engine in order:
            one: list[float] = []
            gc.collect()
            cpu = time.process_time()
            for instance in instances:
                began = time.perf_counter()
                predict[engine]([instance])
                one.append(time.perf_counter() - began)
            if number:
                cells[engine].add(one, time.process_time() - cpu)
    return {engine: summary(cell) for engine, cell in cells.items()}


async def over_http(location: str, instances: Instances, rounds: int, scratch: Path) -> dict[str, Any]:
    """Time every server of `benchmarks.servers` at each number of connections."""
    bodies = [orjson.dumps({"instances": [instance]}) for instance in instances]
    requests = [
        b"POST /v1/models/ticket:predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
        for body in bodies
    ]
    cells = {(name, connections): Cell() for name in SERVERS for connections in CONNECTIONS}
    running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
    try:
        for name in SERVERS:
            running[name] = start(name, location, scratch)
        for name, (process, port) in running.items():
            await until_ready(name, process, port, requests[0])
        order = list(cells)
        for number in range(rounds + 1):
            random.shuffle(order)
            for name, connections in order:
                process, port = running[name]
                cpu = cpu_seconds(process.pid)
                one = await load(port, requests, connections)
                if number:
                    cells[name, connections].add(one, cpu_seconds(process.pid) - cpu)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait(30)
    return {f"{name} x{connections}": summary(cell) for (name, connections), cell in cells.items()}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(name: str, location: str, scratch: Path) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (scratch / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "benchmarks.servers", name, location, str(port)]
        return subprocess.Popen(command, stdout=log, stderr=log), port


async def until_ready(name: str, process: subprocess.Popen[bytes], port: int, request: bytes) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            await load(port, [request], 1)
        except (OSError, RuntimeError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.1)
        else:
            return
    raise SystemExit(f"the server {name} did not start")


async def load(port: int, requests: list[bytes], connections: int) -> list[float]:
    """Send every request once over some connections; return the seconds of each."""
    times: list[float] = []
    todo = iter(requests)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for request in todo:
                began = time.perf_counter()
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"the server answered {head[:16]!r}")
                start = head.lower().index(b"content-length:") + 15
                await reader.readexactly(int(head[start : head.index(b"\r", start)]))
                times.append(time.perf_counter() - began)
        finally:
            writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return times


def report(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    made, bundle = result["machine"], result["bundle"]
    lines = [
        f"{made['cpu']}, {made['cores']} cores, load {made['load_average'][0]:.1f} before and "
        f"{result['load_average_after'][0]:.1f} after; Python {made['python']}, "
        + ", ".join(f"{name} {version}" for name, version in made["packages"].items()),
        f"bundle {bundle['model_id']} ({bundle['kind']}, engine {bundle['engine']}, {bundle['labels']} labels, "
        f"{bundle['words']} words); tickets of {result['tickets']['bytes_p50']:.0f} bytes (p95 "
        f"{result['tickets']['bytes_p95']:.0f}); {result['rounds']} rounds of {result['requests']} tickets per cell",
        "",
        "| one ticket, milliseconds | p50 | p95 | p99 | p95, lowest-highest round | CPU |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    cells = {f"in process, {name}": cell for name, cell in result["in_process"].items()} | result["http"]
    for name, cell in cells.items():
        p50, p95, p99 = (cell[key]["median"] for key in ("p50", "p95", "p99"))
        span = f"{cell['p95']['low']:.2f}-{cell['p95']['high']:.2f}"
        lines.append(f"| {name} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {span} | {cell['cpu']:.2f} |")
    auto, eager = (result["in_process"][engine]["p50"]["median"] for engine in ("auto", "eager"))
    goal = result["http"]["frontdesk x4"]["p95"]["median"]
    lines += [
        "",
        f"in process, p50 against torch eager: {auto / eager:.2f} (goal: at most 0.50)",
        f"p95 behind HTTP at 4 connections: {goal:.2f} ms (goal: under 10)",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
