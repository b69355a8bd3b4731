"""One online read of features in process: Feast on Redis and on SQLite, beside the plain Redis commands that it sends.

    python -m benchmarks.features [--customers 20000] [--reads 2000] [--rounds 5]

A read is what a request costs: two views of one customer and an on-demand view, checked for age
(`OnlineFeatures.read`), and the same within its deadline, in a thread of its own (`TimedReader.read`). Systems take
turns in rounds, A B C then C B A. Times are wall clock, because the answer is waited for.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import hardware
from frontdesk.feature_repo.materialising import materialise
from frontdesk.feature_repo.online import OnlineFeatures, push
from frontdesk.feature_repo.repository import open_repository
from frontdesk.feature_repo.views import LINE_STATE_PUSH
from frontdesk.redis_connection import connect
from frontdesk.serving.features import TimedReader
from tests.feature_tables import NOON, TICKET, line_table, write_history
from tests.redis_server import running_redis

_HUNDRED = 100


def measured(read: Callable[[str], Any], customers: list[str]) -> list[float]:
    """Return milliseconds of one read per customer."""
    times = []
    for customer in customers:
        began = time.perf_counter()
        read(customer)
        times.append((time.perf_counter() - began) * 1e3)
    return times


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--reads", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = [f"C{number:06d}" for number in range(options.customers)]
    rows = tuple((name, -1.0, -1.0, f"type {place % 70}", 1.0, 2.0) for place, name in enumerate(names))
    moment = [NOON.timestamp()]
    with tempfile.TemporaryDirectory(prefix="frontdesk-") as folder, running_redis() as server:
        root = str(write_history(Path(folder), rows))
        stores = {name: open_repository(root, redis=url) for name, url in (("redis", server.url), ("sqlite", None))}
        for name, repository in stores.items():
            began = time.perf_counter()
            materialise(repository, NOON)
            print(f"materialise {options.customers:,} customers to {name}: {time.perf_counter() - began:.1f} s")
        readers = {name: OnlineFeatures(repository, TICKET) for name, repository in stores.items()}
        timed = TimedReader(readers["redis"], deadline_seconds=1.0)
        client = connect(server.url, timeout_seconds=1.0)
        key = next(iter(client.scan_iter()))
        fields = client.hkeys(key)
        systems: dict[str, Callable[[str], Any]] = {
            "feast, redis": lambda customer: readers["redis"].read({"customer": [customer]}, moment),
            "feast, redis, with a deadline": lambda customer: timed.read({"customer": [customer]}, moment),
            "feast, sqlite": lambda customer: readers["sqlite"].read({"customer": [customer]}, moment),
            "feast, redis, 100 customers": lambda _: readers["redis"].read(
                {"customer": names[:_HUNDRED]}, moment * _HUNDRED
            ),
            "plain HMGET of the same fields": lambda _: client.hmget(key, fields),
            "push of one row, redis": lambda _: push(
                stores["redis"], LINE_STATE_PUSH, line_table("cards", NOON, "none", 1.0)
            ),
        }
        rng = np.random.default_rng(0)
        times: dict[str, list[float]] = {name: [] for name in systems}
        for turn in range(options.rounds + 1):
            if turn == 1:  # the first round warms up
                times = {name: [] for name in systems}
            for name in list(systems) if turn % 2 == 0 else list(reversed(systems)):
                slow = "100" in name or "push" in name
                count = options.reads // (20 if slow else 1) // options.rounds
                times[name] += measured(systems[name], [str(one) for one in rng.choice(names, count)])
        client.close()
    print(f"\n{hardware()}; Redis and reader on one machine, {options.rounds} rounds\n")
    print("| read | p50 ms | p95 | p99 | n |\n| --- | --- | --- | --- | --- |")
    for name, found in times.items():
        p50, p95, p99 = np.percentile(found, (50, 95, 99))
        print(f"| {name} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {len(found)} |")


if __name__ == "__main__":
    main()
