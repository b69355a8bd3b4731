"""Time the engines of a bundle in process, from a raw record to its labels, beside torch eager and OpenVINO.

    python -m benchmarks.engines [--bundle DIR] [--words 100] [--rounds 6]

Every system has the same weights, the same cleaning and the same decisions (`Bundle.predict`), and one thread. Systems
take turns in rounds, A B C then C B A, so that a busy moment of the machine meets all of them; ratios are taken inside
a round. Without a bundle, a network of the default size with random weights stands in: the time is the same.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import torch
from onnx.utils import Extractor

from frontdesk import Bundle
from frontdesk.engines.graph import NUMBER
from frontdesk.fusion import fuse_network
from frontdesk.preprocessing.encoding import Encoder
from frontdesk.preprocessing.spec import CREATED_AT, FIRST_WORD, PAD, Spec
from frontdesk.ticket.terms import phrase_codes
from tests.small_network import small_spec, write_network

REFERENCE = "torch eager"
BATCH = 64


class OpenVinoEngine:
    """The same graph in OpenVINO. Look-ups of strings and phrases are done here: it has no operator for them."""

    def __init__(self, folder: Path, spec: Spec, precision: str) -> None:
        model = onnx.load(folder / "model.onnx")
        look_ups = [node.output[0] for node in model.graph.node if node.op_type == "LabelEncoder"]
        self._names = [*look_ups, *(NUMBER + name for name in spec.numeric)]
        shapes = onnx.shape_inference.infer_shapes(model)
        cut = Extractor(shapes).extract_model(self._names, list(spec.labels))
        core = openvino.Core()
        configuration = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
        self._compiled = core.compile_model(core.read_model(cut.SerializeToString()), "CPU", configuration)
        self._request = self._compiled.create_infer_request()
        self._spec, self._encoder, self._codes = spec, Encoder(spec), phrase_codes(spec)
        self.name = f"openvino {precision}"

    def probabilities(self, columns: Mapping[str, Sequence[Any]], rows: int) -> dict[str, np.ndarray]:
        """Return probabilities as an engine does."""
        arrays = self._encoder.encode(columns, rows)
        longest = int((arrays.ids != PAD).sum(1).max())
        ids = arrays.ids[:, : max(1, longest)].astype(np.int64)
        padded = np.pad(ids, ((0, 0), (0, 2)))[:, : self._spec.max_tokens]
        codes = padded[:, :-1] * self._spec.vocabulary_size + padded[:, 1:]
        places = np.minimum(self._codes.searchsorted(codes), len(self._codes) - 1)
        phrases = np.where(self._codes[places] == codes, places + self._spec.vocabulary_size, PAD)
        # The look-ups stand in the graph in this order: words, levels, phrases.
        values = [ids, *arrays.categories.astype(np.int64).T, phrases, *arrays.numbers.T]
        found = self._request.infer(dict(zip(self._names, map(np.ascontiguousarray, values), strict=True)))
        return dict(zip(self._spec.labels, (np.array(value) for value in found.values()), strict=True))


def records(spec: Spec, words: int, count: int) -> list[dict[str, Any]]:
    """Return seeded records: texts of frequent words, known levels, ordinary numbers."""
    draw = np.random.default_rng(1)
    texts = max(1, len(spec.text))

    def text() -> str:
        places = (len(spec.vocabulary) * draw.random(words // texts) ** 3).astype(int)
        pairs = draw.integers(0, max(1, len(spec.phrases)), words // texts // 10)
        phrases = [spec.vocabulary[word - FIRST_WORD] for place in pairs for word in spec.phrases[place]]
        return " ".join([spec.vocabulary[place] for place in places[len(phrases) :]] + phrases)

    return [
        {name: text() for name in spec.text}
        | {name: levels[int(draw.integers(len(levels)))] for name, levels in spec.categorical.items()}
        | {name: float(draw.normal(fit.mean, fit.scale)) for name, fit in spec.numeric.items() if name != CREATED_AT}
        for _ in range(count)
    ]


@dataclass
class Times:
    """Milliseconds: of one row, wall and processor, by round; of a row in a batch, processor, by round."""

    wall: list[list[float]] = field(default_factory=list)
    busy: list[list[float]] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)

    def run(self, bundle: Bundle, rows: list[dict[str, Any]]) -> None:
        """Measure one round."""
        wall, busy = [], []
        for row in rows:
            cpu, began = time.process_time(), time.perf_counter()
            bundle.predict([row])
            wall.append((time.perf_counter() - began) * 1e3)
            busy.append((time.process_time() - cpu) * 1e3)
        self.wall.append(wall)
        self.busy.append(busy)
        cpu = time.process_time()
        bundle.predict(rows[:BATCH])
        self.batch.append((time.process_time() - cpu) * 1e3 / BATCH)


def measure(bundles: dict[str, Bundle], rows: list[dict[str, Any]], rounds: int) -> None:
    """Print milliseconds of one row and of a row in a batch, and the ratios to torch eager inside each round."""
    times = {name: Times() for name in bundles}
    for bundle in bundles.values():
        for row in rows:
            bundle.predict([row])
    for turn in range(rounds):
        for name in list(bundles) if turn % 2 == 0 else list(bundles)[::-1]:
            times[name].run(bundles[name], rows)
    print(f"| engine | 1 row: p50 | p95 | CPU p50 | p50 / {REFERENCE}, by round | batch {BATCH}: CPU per row | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    reference = times[REFERENCE]
    for name, found in times.items():
        wall = sorted(value for part in found.wall for value in part)
        busy = statistics.median(value for part in found.busy for value in part)
        pairs = zip(found.wall, reference.wall, strict=True)
        ratios = " ".join(f"{statistics.median(ours) / statistics.median(theirs):.2f}" for ours, theirs in pairs)
        share = statistics.median(ours / theirs for ours, theirs in zip(found.batch, reference.batch, strict=True))
        line = [name, f"{statistics.median(wall):.3f}", f"{wall[int(len(wall) * 0.95)]:.3f}", f"{busy:.3f}", ratios]
        print("| " + " | ".join([*line, f"{statistics.median(found.batch):.3f}", f"{share:.2f}"]) + " |")


def hardware() -> str:
    """Return the processor's name, the number of cores and the load."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.split(":")[1].strip() for line in lines if line.startswith("model name")}
    load = os.getloadavg()[0]
    return f"{', '.join(names)}, {os.cpu_count()} cores (load {load:.1f}), Python {platform.python_version()}"


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bundle", type=Path)
    arguments.add_argument("--words", type=int, default=100)
    arguments.add_argument("--rounds", type=int, default=6)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as scratch:
        folder = chosen.bundle
        if folder is None:
            spec = small_spec(words=30_000, phrases=50_000, contact_types=150, max_tokens=400)
            sizes = {"embedding": 64, "filters": 64, "hidden": 256}
            network = write_network(Path(scratch) / "network", spec, spread=0.05, **sizes)
            folder = fuse_network(network, spec, "benchmark", Path(scratch) / "bundle")
        bundles = {}
        for name in ("word-tables", "graph", REFERENCE):
            bundles[name] = Bundle.load(folder, engine="eager" if name == REFERENCE else name)
        for precision in ("f32", "bf16"):
            bundle = Bundle.load(folder, engine="graph")
            bundle.model = OpenVinoEngine(folder, bundle.spec, precision)
            bundles[bundle.model.name] = bundle
        spec = bundles["graph"].spec
        labels = ", ".join(f"{head} {len(values):,}" for head, values in spec.labels.items())
        print(f"{hardware()}; torch {torch.__version__}, openvino {openvino.__version__}")
        vocabulary = f"{len(spec.vocabulary):,} words, {len(spec.phrases):,} phrases"
        print(f"{vocabulary}, labels: {labels}; {chosen.words} words a row")
        rows = records(spec, chosen.words, 100)
        columns = bundles["graph"].validate(rows)
        expected = bundles[REFERENCE].probabilities(columns, len(rows))
        for name, bundle in bundles.items():
            found = bundle.probabilities(columns, len(rows))
            worst = max(float(np.abs(found[head] - values).max()) for head, values in expected.items())
            print(f"{name}: largest difference from {REFERENCE} {worst:.1e}")
        measure(bundles, rows, chosen.rounds)


if __name__ == "__main__":
    main()
