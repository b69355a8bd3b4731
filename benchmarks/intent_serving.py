"""Next intents per second and core: the network and the Markov table in every form, and both behind KServe.

    python -m benchmarks.intent_serving [--bundle DIR] [--rounds 5] [--rate 1000] [--seconds 10] [--workers 2]
    python -m benchmarks.intent_serving --bundle DIR --only-served --model markov --workers 1 2

In process, every system answers the same requests, one at a time, on one thread: sessions that grow by one row from
request to request, from the tokenised session to ranked intents. Systems take turns in rounds, A B C then C B A, so
that a busy moment of the machine meets all of them, and ratios are taken inside a round. Time is the thread's processor
time where nothing is waited for, that of all threads for a runtime with its own, and the wall clock for Redis.

Behind HTTP, a process of its own offers requests at a fixed rate from a schedule, whether the answers come or not, and
a latency counts from the moment of the schedule: a server that falls behind is not asked less. CPU is that of all the
server's processes for an answer, and beside it that of the offering process, which has the same cores.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import contextlib
import gc
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch

from benchmarks.engines import hardware
from benchmarks.openvino_network import OpenVinoNetwork
from frontdesk.intent.batches import pad_requests
from frontdesk.intent.codec import decode, encode
from frontdesk.intent.configuration import Configuration, LineConfiguration
from frontdesk.intent.engines.eager import EagerEngine
from frontdesk.intent.keys import asked_keys, recent_tokens, suffix_keys, window_of
from frontdesk.intent.markov import Found, MarkovTable, NextIntents, rank, walk
from frontdesk.intent.opening import IntentBundle, load_intents
from frontdesk.intent.redis_store import GuardedTable, RedisTable, prefix_of, publish
from frontdesk.intent.requests import parse_requests
from frontdesk.intent.sessions import Session
from frontdesk.redis_connection import connect
from frontdesk.simulation.sessions import simulate
from tests.serving.process import ServerProcess, free_port

SHOWN = 6
_LINES = ("evgen", "markov")
_REDIS_SECONDS = 7
Answer = Callable[[Session], Any]
Clock = Callable[[], float]


def streams(sessions: int, longest: int = 30) -> list[dict[str, Any]]:
    """Return requests of simulated sessions, each one row longer than the one before it."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in simulate(sessions * 40, seed=41).to_pylist():
        rows.setdefault(row["session_id"], []).append(row)
    found = []
    for name, session in list(rows.items())[:sessions]:
        session.sort(key=lambda row: row["timestamp"])
        events = [
            {each: row[each] for each in ("kind", "name", "element", "text")}
            | {"timestamp": row["timestamp"].isoformat()}
            for row in session[:longest]
        ]
        who = {"session": name, "operator": session[0]["operator"], "line": session[0]["line"]}
        found += [who | {"events": events[:size]} for size in range(1, len(events) + 1)]
    return found


@contextlib.contextmanager
def redis_on(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]] | None]:
    """Start a Redis and yield its address and its process; None where there is no redis-server."""
    if shutil.which("redis-server") is None:
        yield None
        return
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0", process
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit("a server did not start")


class PlainKeys:
    """The table as one Redis string per key, as a first version would have it.

    Args:
        client: Redis.
        single: one GET per key, five round trips; else one MGET.
    """

    def __init__(self, client: Any, *, single: bool) -> None:
        self._client, self._single = client, single

    def write(self, table: MarkovTable) -> None:
        """Store every key."""
        keys, values = table.keys.tolist(), encode(table, 0, len(table.keys))
        for begin in range(0, len(keys), 1_000):
            part = zip(keys[begin : begin + 1_000], values[begin : begin + 1_000], strict=True)
            self._client.mset({f"plain:{key}": value for key, value in part})

    def look_up(self, keys: np.ndarray) -> Found:
        """Return what followed the keys, uint64 [N, M]."""
        names = [f"plain:{key}" for key in keys.ravel().tolist()]
        values = [self._client.get(name) for name in names] if self._single else self._client.mget(names)
        return decode(values, (keys.shape[0], keys.shape[1]))


def systems(bundle: IntentBundle, folder: Path, address: str | None) -> dict[str, tuple[Answer, Clock]]:
    """Return ``{name: (answer, clock)}``."""
    evgen, table = bundle.evgen, bundle.recommender.tables["all"]
    live = evgen.live()

    def ranked(scores: np.ndarray) -> Any:
        return np.argsort(-scores, axis=1)[:, :SHOWN]

    def markov(store: NextIntents) -> Answer:
        def answer(session: Session) -> Any:
            rest = bundle.recommender.toppop.rank(
                np.array([session.operator]), np.array([session.line]), np.array([not session.is_intent.any()]), SHOWN
            )
            return rank(store, window_of(session), rest, SHOWN).intents

        return answer

    def walked(session: Session) -> Any:
        shown = list(islice(walk(map(table.level, asked_keys(recent_tokens(session), "oldest"))), SHOWN))
        return shown if len(shown) == SHOWN else markov(table)(session)

    found: dict[str, tuple[Answer, Clock]] = {
        "EvGen, full pass in arrays": (lambda session: ranked(evgen.scores([session])), time.thread_time),
        "EvGen, cached step in arrays": (lambda session: ranked(evgen.scores([session], live=live)), time.thread_time),
    }
    torch.set_num_threads(1)
    eager = EagerEngine(folder)
    found["EvGen, full pass in torch eager"] = (
        lambda session: ranked(
            evgen.stacking.mix(
                eager.logits(pad_requests([session]))[:, len(session.tokens)],
                evgen.counts.look_up(suffix_keys(window_of(session))),
            )
        ),
        time.thread_time,
    )
    openvino_logits = OpenVinoNetwork(eager)
    found["EvGen, full pass in OpenVINO"] = (
        lambda session: ranked(
            evgen.stacking.mix(openvino_logits(session), evgen.counts.look_up(suffix_keys(window_of(session))))
        ),
        time.process_time,
    )
    found["Markov in memory"] = (walked, time.thread_time)
    found["Markov in memory, in arrays"] = (markov(table), time.thread_time)
    if address is not None:
        client = connect(address, timeout_seconds=10)
        prefix = prefix_of(bundle.tokenizer.digest)
        publish(client, prefix, table)
        gets, mget = PlainKeys(client, single=True), PlainKeys(client, single=False)
        gets.write(table)
        found["Markov in Redis, 5 GETs"] = (markov(gets), time.perf_counter)
        found["Markov in Redis, MGET"] = (markov(mget), time.perf_counter)
        found["Markov in Redis, generations, pipelined"] = (markov(RedisTable(client, prefix)), time.perf_counter)
    return found


@dataclass
class Cell:
    """Seconds of a request by round."""

    rounds: list[float] = field(default_factory=list)
    clock: Clock = time.thread_time


def in_process(bundle: IntentBundle, folder: Path, address: str | None, rounds: int) -> dict[str, Cell]:
    """Time every system on the same requests; the first round is thrown away."""
    requests = streams(12)
    sessions = [one.session for one in bundle.recommender.ask(parse_requests(requests, bundle.tokenizer))]
    known = systems(bundle, folder, address)
    calls: dict[str, tuple[Callable[[Any], Any], list[Any], Clock]] = {
        name: (answer, sessions, clock) for name, (answer, clock) in known.items()
    }
    lines = {model: Configuration(default=LineConfiguration(model=model)) for model in _LINES}
    for model, configuration in lines.items():

        def whole(request: dict[str, Any], configuration: Configuration = configuration) -> Any:
            bundle.recommender.configuration = configuration
            return bundle.dump(bundle.predict([request]))

        calls[f"request to answer, {model}"] = (whole, list(requests), time.thread_time)
    cells = {name: Cell(clock=clock) for name, (_, _, clock) in calls.items()}
    for turn in range(rounds + 1):
        for name in list(calls) if turn % 2 else list(calls)[::-1]:
            answer, asked, clock = calls[name]
            gc.collect()
            began = clock()
            for one in asked:
                answer(one)
            if turn:
                cells[name].rounds.append((clock() - began) / len(asked))
    return cells


def without_redis(bundle: IntentBundle, address: str, process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    """Ask the recommender with its table in Redis: while Redis answers, hangs, is dead; seconds of whole requests."""
    client = connect(address)
    prefix = prefix_of(bundle.tokenizer.digest)
    recommender = bundle.recommender
    recommender.configuration = Configuration(default=LineConfiguration(model="markov"))
    requests = streams(60)
    found = []
    states: dict[str, Callable[[], None]] = {
        "answers": lambda: None,
        "hangs": lambda: process.send_signal(signal.SIGSTOP),
        "is dead": process.kill,
    }
    for state, begin in states.items():
        recommender.store = GuardedTable(RedisTable(client, prefix), recommender.tables["all"])
        begin()
        times, degraded = [], 0
        until = time.perf_counter() + _REDIS_SECONDS
        while time.perf_counter() < until:
            for request in requests:
                began = time.perf_counter()
                (answer,) = bundle.predict([request])
                times.append(time.perf_counter() - began)
                degraded += answer.degraded
        shares = np.percentile(times, [50, 95, 99, 100]) * 1e3
        names = dict(zip(("p50", "p95", "p99", "most"), map(float, shares), strict=True))
        found.append({"state": state, "asked": len(times), "degraded": degraded, **names})
    recommender.store = None
    return found


def report_without_redis(states: list[dict[str, Any]]) -> str:
    """Return the figures as text."""
    lines = ["", "| Markov in Redis, milliseconds (wall) | p50 | p95 | p99 | longest | asked | from the bundle |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| Redis {one['state']} | {one['p50']:.2f} | {one['p95']:.2f} | {one['p99']:.2f} | {one['most']:.1f} | "
        f"{one['asked']:,} | {one['degraded']:,} |"
        for one in states
    ]
    return "\n".join(lines)


def behind_http(
    location: Path, models: Sequence[str], workers: Sequence[int], rates: Sequence[int], seconds: float, scratch: Path
) -> list[dict[str, Any]]:
    """Offer requests to the served bundle from another process; return one line for each model, workers and rate."""
    from tests.intent_bundles import with_configuration

    found = []
    requests = streams(60)
    bodies = scratch / "bodies.json"
    bodies.write_bytes(orjson.dumps(requests))
    for model, count in product(models, workers):
        served = scratch / f"bundle-{model}"
        if not served.exists():
            with_configuration(location, Configuration(default=LineConfiguration(model=model)), served)
        with ServerProcess.of_bundles(scratch / "log.jsonl", served, arguments=("--workers", str(count))) as server:
            processes = _with_children(server.process.pid)
            _load(server.port, bodies, rates[0] // 4 + 1, 2)
            for rate in rates:
                before = [_cpu_seconds(pid) for pid in processes]
                line = _load(server.port, bodies, rate, seconds)
                spent = [_cpu_seconds(pid) - cpu for pid, cpu in zip(processes, before, strict=True)]
                each = 1e3 / max(line["answered"], 1)
                share = max(spent) / max(sum(spent), 1e-9)
                found.append({"model": model, "workers": count, "cpu": each * sum(spent), "share": share, **line})
    return found


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [pid, *map(int, children)]


def _load(port: int, bodies: Path, rate: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.offered_load", str(port), str(bodies)]
    done = subprocess.run([*command, str(rate), str(seconds)], check=True, stdout=subprocess.PIPE)
    line: dict[str, Any] = orjson.loads(done.stdout)
    return line


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report_in_process(cells: dict[str, Cell]) -> str:
    """Return the figures as text."""
    reference = cells["EvGen, full pass in arrays"].rounds
    lines = ["| in process, one thread | requests/s per core | microseconds | / full pass, by round |"]
    lines += ["| --- | --- | --- | --- |"]
    for name, cell in cells.items():
        middle = statistics.median(cell.rounds)
        ratios = [mine / theirs for mine, theirs in zip(cell.rounds, reference, strict=True)]
        clock = {time.perf_counter: " (wall)", time.process_time: " (all its threads)"}.get(cell.clock, "")
        lines.append(f"| {name}{clock} | {1 / middle:,.0f} | {middle * 1e6:.0f} | {statistics.median(ratios):.2f} |")
    return "\n".join(lines)


def report_served(served: list[dict[str, Any]]) -> str:
    """Return the figures as text."""
    titles = ("behind KServe, milliseconds", "workers", "offered/s", "p50", "p90", "p95", "p99", "answered", "dropped")
    titles += ("CPU an answer", "of the offering process", "share of the busiest worker")
    lines = ["", f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    lines += [
        f"| {one['model']} | {one['workers']} | {one['rate']:,} | {one['p50']:.1f} | {one['p90']:.1f} | "
        f"{one['p95']:.1f} | {one['p99']:.1f} | {one['answered']:,} | {one['dropped'] + one['failed']:,} | "
        f"{one['cpu']:.2f} | {one['offering_cpu']:.2f} | {one['share']:.0%} |"
        for one in served
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle of simulated sessions; default: a new one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--rate", type=int, default=1_000, help="highest offered rate; a quarter and a half are tried too"
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of the server")
    parser.add_argument("--model", choices=_LINES, nargs="+", default=_LINES, help="behind HTTP")
    parser.add_argument("--only-served", action="store_true", help="leave out what is measured in process")
    chosen = parser.parse_args()
    rate = min(chosen.rate, 1_000)
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as scratch:
        folder = Path(scratch)
        location = chosen.bundle or _small_bundle(folder / "made")
        bundle = load_intents(location)
        print(hardware())
        config = bundle.evgen.network.config
        print(f"bundle {bundle.model_id}: width {config.width}, {config.layers} layers, {config.intents} intents")
        if not chosen.only_served:
            with redis_on(folder) as redis:
                cells = in_process(bundle, location, redis[0] if redis else None, chosen.rounds)
                print(report_in_process(cells), flush=True)
                if redis:
                    print(report_without_redis(without_redis(bundle, *redis)), flush=True)
        rates = (rate // 4, rate // 2, rate)
        served = behind_http(location, chosen.model, chosen.workers, rates, min(chosen.seconds, 10), folder)
        print(report_served(served))
        print(f"load at the end: {os.getloadavg()[0]:.1f}")


def _small_bundle(folder: Path) -> Path:
    import pyarrow.parquet as pq

    from tests.intent_bundles import run_jobs

    print("training a bundle on simulated sessions ...", flush=True)
    folder.mkdir()
    pq.write_table(simulate(20_000, seed=7), folder / "sessions.parquet")
    sizes = {"width": 64, "layers": 2, "heads": 4, "memory": 256}
    return run_jobs(folder / "sessions.parquet", folder, **sizes).bundle


if __name__ == "__main__":
    main()
