"""Latency of one ticket on every way to a model: one process or two, with the gateway in front or without, and echoes.

``python -m benchmarks.gateway --bundle DIR [--rounds N] [--requests N] [--out FILE.json]``

``collocated``  one process cleans, encodes, asks the model and decides
``split-rest``  a transformer in front of a predictor, over V2 REST
``split-grpc``  the same over gRPC
``echo``        uvicorn around a fixed answer

All servers stand at once; every round visits every cell in another order, the first round is thrown away. The gateway
checks a key, asks the model server, and commits a row of the prediction log (SQLite, flushed to the disk) before it
answers; in front of the echo server it shows what it costs itself. CPU is that of all processes on a way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.serving import Cell, cpu_seconds, load, machine, start, summary, until_ready
from frontdesk.database import open_database
from frontdesk.database.keys import create_key
from frontdesk.simulation.tickets import simulate

CONNECTIONS = (1, 4, 16)
MODEL, GATEWAY = "/v1/models/ticket:predict", "/v1/tickets:suggest"
FIELDS = ("subject", "body", "channel", "language", "product", "region", "account_age_days", "order_total")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", required=True, help="a ticket bundle with the simulator's fields")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds")
    parser.add_argument("--requests", type=int, default=200, help="tickets per round and cell")
    parser.add_argument("--out", type=Path, default=Path("out/bench/gateway.json"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    instances = orjson.loads(orjson.dumps(simulate(options.requests, seed=99).select(FIELDS).to_pylist()))
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as scratch:
        cells = asyncio.run(measure(options.bundle, instances, options.rounds, Path(scratch)))
    made = machine()
    result = {"machine": made, "rounds": options.rounds, "requests": options.requests, "cells": cells}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"{made['cpu']}, {made['cores']} cores, load {made['load_average'][0]:.1f}; {options.rounds} rounds of")
    print(f"{options.requests} simulated tickets (seed 99) per cell\n")
    print("| one ticket, milliseconds | p50 | p95 | p99 | p95, lowest-highest round | CPU of the way |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, cell in cells.items():
        p50, p95, p99 = (cell[key]["median"] for key in ("p50", "p95", "p99"))
        span = f"{cell['p95']['low']:.2f}-{cell['p95']['high']:.2f}"
        print(f"| {name} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {span} | {cell['cpu']:.2f} |")


@dataclass(frozen=True)
class Way:
    """A port to ask, and every process that works for its answers."""

    port: int
    processes: tuple[subprocess.Popen[bytes], ...]

    def cpu(self) -> float:
        """Return the CPU seconds of all of them."""
        return sum(cpu_seconds(process.pid) for process in self.processes)


async def measure(bundle: str, instances: list[Any], rounds: int, scratch: Path) -> dict[str, Any]:
    """Time every way at each number of connections."""
    with ExitStack() as stack:
        ways = _model_servers(stack, bundle, scratch)
        requests = {name: [_request(MODEL, one) for one in instances] for name in ways}
        for behind in list(ways):
            name = f"gateway, {behind}"
            ways[name], key = _gateway(stack, scratch / f"gateway-{behind}.db", ways[behind])
            requests[name] = [_request(GATEWAY, one, key) for one in instances]
        for name, way in ways.items():
            await until_ready(name, way.processes[0], way.port, requests[name][0])
        cells = {(name, connections): Cell() for name in ways for connections in CONNECTIONS}
        order = list(cells)
        for number in range(rounds + 1):
            random.shuffle(order)
            for name, connections in order:
                cpu = ways[name].cpu()
                times = await load(ways[name].port, requests[name], connections)
                if number:
                    cells[name, connections].add(times, ways[name].cpu() - cpu)
    return {f"{name} x{connections}": summary(cell) for (name, connections), cell in cells.items()}


def _model_servers(stack: ExitStack, bundle: str, scratch: Path) -> dict[str, Way]:
    process, port = start("uvicorn-echo", bundle, scratch)
    stack.callback(_end, process)
    ways = {"echo": Way(port, (process,)), "collocated": _serve(stack, scratch / "collocated.log", bundle)}
    for name, protocol in (("split-rest", "v2"), ("split-grpc", "grpc-v2")):
        grpc_port = _free_port()
        options = ("--role", "predictor", "--grpc-port", str(grpc_port))
        predictor = _serve(stack, scratch / f"{name}-predictor.log", bundle, *options)
        asked = grpc_port if protocol == "grpc-v2" else predictor.port
        options = ("--predictor-host", f"127.0.0.1:{asked}", "--predictor-protocol", protocol)
        transformer = _serve(stack, scratch / f"{name}.log", bundle, *options)
        ways[name] = Way(transformer.port, transformer.processes + predictor.processes)
    return ways


def _request(path: str, instance: Any, key: str = "") -> bytes:
    body = orjson.dumps({"instances": [instance]})
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {key}\r\n" if key else ""
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _serve(stack: ExitStack, log: Path, bundle: str, *options: str) -> Way:
    port = _free_port()
    return Way(port, (_start(stack, log, ("serve", bundle, "--port", str(port), *options), {}),))


def _gateway(stack: ExitStack, database: Path, behind: Way) -> tuple[Way, str]:
    opened = open_database(f"sqlite:///{database}")
    opened.upgrade()
    key = create_key(opened, "benchmark", ["tickets"]).text
    opened.close()
    port = _free_port()
    environment = {
        "FRONTDESK_DATABASE": f"sqlite:///{database}",
        "FRONTDESK_MODELS": orjson.dumps({"ticket": f"http://127.0.0.1:{behind.port}"}).decode(),
        "FRONTDESK_GATEWAY_REQUESTS_PER_SECOND": "1000000",
        "FRONTDESK_GATEWAY_BURST": "1000000",
    }
    process = _start(stack, database.with_suffix(".log"), ("gateway", "--port", str(port)), environment)
    return Way(port, (process, *behind.processes)), key


def _start(
    stack: ExitStack, log: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "frontdesk.cli.main", *arguments]
    with log.open("wb") as opened:
        process = subprocess.Popen(command, stdout=opened, stderr=opened, env={**os.environ, **environment})
    stack.callback(_end, process)
    return process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


if __name__ == "__main__":
    main()
