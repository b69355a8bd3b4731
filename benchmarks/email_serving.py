"""Time the engines of a mail model in process, from raw mails to probabilities, beside the naive `pipeline` x 3.

    python -m benchmarks.email_serving [--layers 3] [--width 384] [--mails 64] [--rounds 3]

The encoder is a DistilBERT with random weights and a tokeniser of its own: the time is that of a trained one. Its
default is a small encoder, so that everything fits in six minutes; ``--layers 6 --width 768`` is DistilBERT's size.
Systems take turns in rounds, A B C then C B A, so that a busy moment of the machine meets all of them; ratios are taken
inside a round. One thread each, and processor time. ``auto`` is what `open_email_engine` chose at load.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["FRONTDESK_THREADS"] = "1"

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification, logging, pipeline

from frontdesk.email.building import build_network, describe_network
from frontdesk.email.combination import fit_combination
from frontdesk.email.engines import ENGINES, open_email_engine
from frontdesk.email.engines.engine import MailEngine
from frontdesk.email.export import export_graph
from frontdesk.email.files import WEIGHTS, save_combination, write_config
from frontdesk.email.recipe import EmailParameters
from frontdesk.email.tokens import TOKENIZER, hub_tokenizer
from frontdesk.errors import FrontdeskError
from frontdesk.golden import GOLDEN, golden_inputs, golden_table
from frontdesk.preprocessing.spec import Spec
from tests.email_desk import made_mails, put_mails
from tests.hub_encoder import made_distilbert

MOST_TOKENS = 512
NAIVE = "pipeline x 3"


def mails(count: int) -> dict[str, list[Any]]:
    """Return mails whose lengths are log-normal, 20 to 400 words, median 90, in the order of arrival."""
    draw = np.random.default_rng(5)
    lengths = np.clip(draw.lognormal(np.log(90), 0.7, count), 20, 400).astype(int)
    words = " ".join(made_mails(500, seed=9)[0]["body"]).split()
    bodies = [" ".join(draw.choice(words, length)) for length in lengths]
    return {"subject": ["Frage"] * count, "body": bodies, "custodian_bank": ["Nordbank"] * count}


def made_model(folder: Path, layers: int, width: int) -> tuple[Path, Spec, Path]:
    """Return a finished model folder with random weights, its spec, and the encoder's folder."""
    columns, labels = made_mails(500)
    encoder = made_distilbert(folder / "encoder", columns["body"], width=width, layers=layers, pieces=8_000)
    tokenizer = hub_tokenizer(str(encoder))
    spec = put_mails(folder / "desk", columns, labels, tokenizer=tokenizer, max_tokens=MOST_TOKENS)
    parameters = EmailParameters.of({"encoder": "hub", "encoder.name": str(encoder)})
    heads = {head: len(names) for head, names in spec.labels.items()}
    network = describe_network(parameters, 0, tuple(len(names) + 1 for names in spec.categorical.values()), heads)
    model = folder / "model"
    model.mkdir()
    torch.manual_seed(1)
    weights = {name: one.contiguous() for name, one in build_network(network, parameters).state_dict().items()}
    save_file(weights, model / WEIGHTS)
    (model / TOKENIZER).write_bytes(tokenizer)
    empty = {head: [np.zeros((0, count), np.float32)] for head, count in heads.items()}
    none = {head: np.zeros(0, np.int64) for head in heads}
    save_combination(model, fit_combination(empty, none, cross=False, seed=0)[0])
    write_config(model, network, spec, {})
    export_graph(model, spec, model)
    inputs, rows = golden_inputs(spec)
    answers = open_email_engine(model, spec, "eager", golden=False).probabilities(inputs, rows)
    pq.write_table(golden_table(inputs, answers, spec), model / GOLDEN)
    return model, spec, encoder


def naive(encoder: Path, spec: Spec) -> Callable[[Mapping[str, Any], int], None]:
    """Return three `pipeline`s of the same size, one per head, as a practitioner would write it."""
    tokenizer = AutoTokenizer.from_pretrained(encoder, model_max_length=MOST_TOKENS)
    config = DistilBertConfig.from_pretrained(encoder)
    pipes = []
    for labels in spec.labels.values():
        config.num_labels = len(labels)
        network = DistilBertForSequenceClassification(config).eval()
        pipes.append(pipeline("text-classification", model=network, tokenizer=tokenizer, device="cpu"))

    def answer(columns: Mapping[str, Any], rows: int) -> None:
        texts = [f"{subject}\n{body}" for subject, body in zip(columns["subject"], columns["body"], strict=True)]
        for pipe in pipes:
            pipe(texts, batch_size=32, truncation=True, padding=True)

    return answer


def turns(systems: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of every system in every round, after one call to warm up.

    Everything runs on one thread, so on a quiet machine they are the seconds of the clock; on a busy one they are what
    changes least.
    """
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for answer in systems.values():
        answer()
    for number in range(rounds):
        for name in list(systems)[:: 1 if number % 2 == 0 else -1]:
            began = time.process_time()
            systems[name]()
            seconds[name].append(time.process_time() - began)
    return seconds


def show(title: str, seconds: dict[str, list[float]], errors: dict[str, float], scale: float) -> None:
    """Print medians, and the ratio to ``auto`` inside each round."""
    print(f"\n{title}\n{'system':16} {'median ms':>10} {'x auto':>8} {'max logit difference':>22}")
    for name, found in seconds.items():
        ratio = statistics.median(one / own for one, own in zip(found, seconds["auto"], strict=True))
        error = f"{errors[name]:.1e}" if name in errors else "another network"
        print(f"{name:16} {statistics.median(found) * 1e3 / scale:10.2f} {ratio:8.2f} {error:>22}")


def difference(engine: MailEngine, reference: MailEngine, columns: dict[str, Any], rows: int) -> float:
    """Return the largest difference of a logit."""
    ours, theirs = engine.scores(columns, rows), reference.scores(columns, rows)
    return max(float(np.abs(ours[head][0] - theirs[head][0]).max()) for head in ours)


def hardware() -> str:
    """Return the chip, the formats that it computes in, and the load."""
    info = Path("/proc/cpuinfo").read_text("utf-8")
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx_vnni") if f" {name} " in info]
    return f"{model}, {os.cpu_count()} cores, {' '.join(known)}; load {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--mails", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    print(hardware())
    with tempfile.TemporaryDirectory() as place:
        model, spec, encoder = made_model(Path(place), given.layers, given.width)
        engines: dict[str, MailEngine] = {"auto": open_email_engine(model, spec)}
        for name in ENGINES["hub"]:
            try:
                engines[name] = open_email_engine(model, spec, name)
            except (FrontdeskError, ImportError) as error:
                print(f"{name} declines: {error}")
        baseline = naive(encoder, spec)
        print(f"auto is {engines['auto'].name}; {given.layers} layers of width {given.width}, one thread")
        batch = mails(given.mails)
        median = int(np.argsort([len(body) for body in batch["body"]])[given.mails // 2])
        single = {name: [values[median]] for name, values in batch.items()}
        for title, columns, rows, rounds in (
            ("one mail of median length", single, 1, given.rounds * 10),
            (f"{given.mails} mails of ragged length", batch, given.mails, given.rounds),
        ):
            errors = {name: difference(engine, engines["eager"], columns, rows) for name, engine in engines.items()}
            systems: dict[str, Callable[[], Any]] = {
                name: (lambda engine=engine, columns=columns, rows=rows: engine.probabilities(columns, rows))
                for name, engine in engines.items()
            }
            systems[NAIVE] = lambda columns=columns, rows=rows: baseline(columns, rows)
            show(title, turns(systems, rounds), errors, 1)


if __name__ == "__main__":
    main()
