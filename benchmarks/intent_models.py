"""What one answer of EvGen costs: torch's full pass, the full pass in arrays, and the cached step, interleaved.

    python -m benchmarks.intent_models FOLDER [--tokens 50] [--rounds 5]

FOLDER is what `frontdesk.intent.training.train_evgen` wrote. One thread each: set ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from frontdesk.intent.batches import pad_requests
from frontdesk.intent.engines.eager import EagerEngine
from frontdesk.intent.evgen import EvGen
from frontdesk.intent.sessions import Session
from frontdesk.intent.tokens import FIRST_TOKEN

BATCHES = (1, 32, 256)


def sessions_of(model: EvGen, count: int, tokens: int) -> list[Session]:
    """Return seeded sessions: one row in five is an opened intent."""
    draw = np.random.default_rng(0)
    config = model.network.config
    found = []
    for place in range(count):
        is_intent = draw.random(tokens) < 0.2
        intents = draw.integers(0, config.intents, tokens)
        first = FIRST_TOKEN + config.intents
        events = draw.integers(min(first, config.tokens - 1), config.tokens, tokens)
        ids = np.where(is_intent, FIRST_TOKEN + intents, events).astype(np.int32)
        opened = np.where(is_intent, intents, -1).astype(np.int32)
        found.append(Session(str(place), 0, 0, 0, ids, is_intent, opened, np.zeros(tokens, np.int64)))
    return found


def cut(session: Session, rows: int) -> Session:
    """Return the first rows of a session."""
    parts = {name: getattr(session, name)[:rows] for name in ("tokens", "is_intent", "intents", "times")}
    return replace(session, **parts)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds of a call."""
    wall, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - busy


def main() -> None:
    """Print medians over rounds: milliseconds per call, and answers per second of one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, eager = EvGen.load(given.folder), EagerEngine(given.folder)
    steps = 8
    for size in BATCHES:
        whole = sessions_of(model, size, given.tokens)
        times: dict[str, list[tuple[float, float]]] = {"torch full": [], "full": [], "step": [], "step + counts": []}
        for _ in range(given.rounds):
            padded = pad_requests(whole)
            times["torch full"].append(timed(lambda padded=padded: eager.logits(padded)))  # type: ignore[misc]
            times["full"].append(timed(lambda whole=whole: model.logits(whole)))  # type: ignore[misc]
            for name, asked in (("step", False), ("step + counts", True)):
                live = model.live(size)
                live.logits([cut(each, given.tokens - steps) for each in whole])
                for rows in range(given.tokens - steps + 1, given.tokens + 1):
                    grown = [cut(each, rows) for each in whole]
                    call = (lambda: model.scores(grown, live=live)) if asked else (lambda: live.logits(grown))  # noqa: B023
                    times[name].append(timed(call))
        for name, values in times.items():
            wall, busy = np.median(np.array(values), axis=0)
            print(f"{size:4d} sessions  {name:14s} {wall * 1e3:8.3f} ms  {size / busy:10,.0f} answers/s of one core")


if __name__ == "__main__":
    main()
