"""Several processes train one network: the same steps as one process, to the rounding of sums, also after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from safetensors.numpy import load_file

from frontdesk.distributed import ALONE, Workers
from frontdesk.errors import UsageError
from frontdesk.preprocessing.encoding import Arrays
from frontdesk.storage import Store
from frontdesk.ticket.network import NetworkConfig, TicketNetwork
from frontdesk.train_worker import network_key
from frontdesk.training import Trainer, train
from tests.small_network import small_spec
from tests.tensor_folder import put_tensors
from tests.unit.test_training import SMALL, made, on_disk

ROWS = 120
PARAMETERS = SMALL.model_copy(update={"batch": 15})  # two processes get seven rows and eight
KILLED_ONCE = """
import os, signal, sys
from pathlib import Path
from frontdesk.cli.main import main
from frontdesk.training import Trainer

mark = Path(os.environ["MARK"])
descend = Trainer._descend

def dying(self, batch):
    if self.step == 9 and os.environ["RANK"] == "1" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return descend(self, batch)

Trainer._descend = dying
main()
"""


def test_two_processes_one_of_which_is_killed_give_what_one_process_gives(tmp_path: Path) -> None:
    spec = small_spec()
    data = made(spec, ROWS)
    store = Store(str(tmp_path / "store"))
    arrays = Arrays(np.asarray(data.ids), np.asarray(data.categories), np.asarray(data.numbers))
    put_tensors(store, "made", arrays, data.labels, spec=spec)
    script, mark = tmp_path / "killed_once.py", tmp_path / "mark"
    script.write_text(KILLED_ONCE)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    worker = ["train-worker", "--tensors", "made", "--store", store.root, "--work", str(tmp_path / "node"), "--json"]
    given = ["--parameters", json.dumps(PARAMETERS.model_dump(mode="json"))]
    environment = os.environ | {
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "FRONTDESK_THREADS": "1",
        "MARK": str(mark),
    }

    def run() -> subprocess.CompletedProcess[str]:
        command = [*launcher, str(script), *worker, *given]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    failed = run()  # as a cluster does: all processes end, all are started anew
    assert failed.returncode != 0
    assert not (tmp_path / "store/networks").exists()
    done = run()
    assert done.returncode == 0, done.stderr
    assert '"training_resumed"' in done.stderr + done.stdout

    key = network_key("made", PARAMETERS)
    assert [path.name for path in (tmp_path / "store/networks").iterdir()] == [key]
    assert done.stdout.count(f'"network": "{key}"') == 2
    assert not list((tmp_path / "node").rglob(".checkpoints/*.safetensors"))

    alone = train(on_disk(tmp_path / "tensors", spec, data), tmp_path / "alone", PARAMETERS)
    together = Path(store.uri("networks", key))
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (alone, together))
    assert ours.keys() == theirs.keys()
    for name, weights in ours.items():
        # A sum in another order is another number, which Adam divides by its own size where a gradient is all but zero.
        np.testing.assert_allclose(theirs[name], weights, rtol=1e-2, atol=1e-2, err_msg=name)
    lines = [orjson.loads((folder / "history.json").read_bytes()) for folder in (alone, together)]
    for one, several in zip(*lines, strict=True):
        assert several["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert {name: several[name] for name in one if name != "loss"} == {
            name: one[name] for name in one if name != "loss"
        }


def test_the_parts_of_a_batch_give_its_gradients(tmp_path: Path) -> None:
    spec = small_spec()
    trainer = Trainer(spec, made(spec, ROWS), tmp_path, PARAMETERS)
    (batch,) = trainer.feed.batches(trainer._order(0)[:1])

    def gradients(group: Workers) -> list[torch.Tensor]:
        trainer.network.zero_grad()
        part = trainer.network.part = group.part(len(batch.ids))
        rows = part.rows if part else slice(None)
        torch.manual_seed(3)
        logits = trainer.network(batch.ids[rows], batch.categories[rows], batch.numbers)
        loss = trainer.loss(logits, {head: labels[rows] for head, labels in batch.labels.items()})
        (loss * (1 if part is None else (rows.stop - rows.start) / part.of)).backward()
        return [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.to_dense()
            for parameter in trainer.network.parameters()
        ]

    trainer.network.train()
    whole = gradients(ALONE)
    parts = [gradients(Workers(rank, 3)) for rank in range(3)]
    for expected, *shares in zip(whole, *parts, strict=True):
        torch.testing.assert_close(sum(shares), expected, rtol=1e-4, atol=1e-6)


def test_every_row_of_a_batch_belongs_to_one_process() -> None:
    for rows in (5, 16, 64):
        parts = [Workers(rank, 5).part(rows) for rank in range(5)]
        assert [place for part in parts if part for place in range(rows)[part.rows]] == list(range(rows))
    assert ALONE.part(7) is None
    with pytest.raises(UsageError, match="cannot be divided"):
        Workers(0, 8).part(7)


def test_a_network_that_answers_has_no_part() -> None:
    spec = small_spec()
    network = TicketNetwork(NetworkConfig.of(spec, embedding=4, filters=4, hidden=8), spec)
    assert network.part is None
    assert "part" not in network.state_dict()
