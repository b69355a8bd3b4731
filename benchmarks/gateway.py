"""Latency of one ticket through the gateway, beside the model server alone and servers that compute nothing.

``python -m benchmarks.gateway --bundle DIR [--rounds N] [--requests N] [--out FILE.json]``

All servers stand at once; every round visits every cell in another order, the first round is thrown away. The gateway
checks a key, asks the model server, and commits a row of the prediction log (SQLite, flushed to the disk) before it
answers. ``gateway-echo`` is the gateway in front of an echo server: what the gateway itself costs.
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
    print("| one ticket, milliseconds | p50 | p95 | p99 | p95, lowest-highest round | CPU of that process |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, cell in cells.items():
        p50, p95, p99 = (cell[key]["median"] for key in ("p50", "p95", "p99"))
        span = f"{cell['p95']['low']:.2f}-{cell['p95']['high']:.2f}"
        print(f"| {name} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {span} | {cell['cpu']:.2f} |")


async def measure(bundle: str, instances: list[Any], rounds: int, scratch: Path) -> dict[str, Any]:
    """Time every server at each number of connections."""
    with ExitStack() as stack:
        running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        requests: dict[str, list[bytes]] = {}
        for name in ("frontdesk", "uvicorn-echo"):
            running[name] = start(name, bundle, scratch)
            stack.callback(_end, running[name][0])
            requests[name] = [_request(MODEL, one) for one in instances]
        for name, behind in (("gateway", "frontdesk"), ("gateway-echo", "uvicorn-echo")):
            running[name], key = _gateway(scratch / f"{name}.db", running[behind][1])
            stack.callback(_end, running[name][0])
            requests[name] = [_request(GATEWAY, one, key) for one in instances]
        for name, (process, port) in running.items():
            await until_ready(name, process, port, requests[name][0])
        cells = {(name, connections): Cell() for name in running for connections in CONNECTIONS}
        order = list(cells)
        for number in range(rounds + 1):
            random.shuffle(order)
            for name, connections in order:
                process, port = running[name]
                cpu = cpu_seconds(process.pid)
                times = await load(port, requests[name], connections)
                if number:
                    cells[name, connections].add(times, cpu_seconds(process.pid) - cpu)
    return {f"{name} x{connections}": summary(cell) for (name, connections), cell in cells.items()}


def _request(path: str, instance: Any, key: str = "") -> bytes:
    body = orjson.dumps({"instances": [instance]})
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {key}\r\n" if key else ""
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _gateway(database: Path, model_port: int) -> tuple[tuple[subprocess.Popen[bytes], int], str]:
    opened = open_database(f"sqlite:///{database}")
    opened.upgrade()
    key = create_key(opened, "benchmark", ["tickets"]).text
    opened.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {
        **os.environ,
        "FRONTDESK_DATABASE": f"sqlite:///{database}",
        "FRONTDESK_MODELS": orjson.dumps({"ticket": f"http://127.0.0.1:{model_port}"}).decode(),
        "FRONTDESK_GATEWAY_REQUESTS_PER_SECOND": "1000000",
        "FRONTDESK_GATEWAY_BURST": "1000000",
    }
    command = [sys.executable, "-m", "frontdesk.cli.main", "gateway", "--port", str(port)]
    with database.with_suffix(".log").open("wb") as log:
        return (subprocess.Popen(command, stdout=log, stderr=log, env=environment), port), key


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


if __name__ == "__main__":
    main()
