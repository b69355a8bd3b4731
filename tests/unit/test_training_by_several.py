"""Several processes train one network: the same steps as one process, to the rounding of sums, also after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from safetensors.numpy import load_file

from frontdesk.distributed import ALONE, Workers
from frontdesk.errors import TrainingError, UsageError
from frontdesk.preprocessing.encoding import Arrays
from frontdesk.storage import Store
from frontdesk.ticket.network import NetworkConfig, TicketNetwork
from frontdesk.train_worker import network_key
from frontdesk.training import Trainer
from tests.serving.process import free_port
from tests.small_network import small_spec
from tests.tensor_folder import put_tensors
from tests.unit.test_training import SMALL, made

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


@dataclass
class Node:
    """Two processes that train the same tensors, the second of which can be killed once."""

    folder: Path
    store: Store

    @property
    def command(self) -> list[str]:
        """What each process runs."""
        work = ["--tensors", "made", "--store", self.store.root, "--work", str(self.folder / "work"), "--json"]
        given = ["--parameters", json.dumps(PARAMETERS.model_dump(mode="json"))]
        return [str(self.folder / "killed_once.py"), "train-worker", *work, *given]

    @property
    def environment(self) -> dict[str, str]:
        """One thread a process: with more, sums run in another order."""
        threads = {"OMP_NUM_THREADS": "1", "FRONTDESK_THREADS": "1"}
        return os.environ | threads | {"GLOO_SOCKET_IFNAME": "lo", "MARK": str(self.folder / "mark")}

    def killed(self) -> str:
        """Run both, the second of which is killed; return what the first one said at its end."""
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
        first, second = (
            subprocess.Popen(
                [sys.executable, *self.command],
                env=self.environment | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(2)
        )
        said, told = (process.communicate(timeout=300)[0] for process in (first, second))
        assert second.returncode == -signal.SIGKILL, told
        assert first.returncode == TrainingError.exit_code
        return said

    def finished(self, processes: int = 2) -> str:
        """Run both, or one alone, to the end, undisturbed from now on; return what they said."""
        (self.folder / "mark").touch()
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        done = subprocess.run(
            [*launcher, *self.command], env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        key = network_key("made", PARAMETERS)
        assert [path.name for path in (self.folder / "store/networks").iterdir()] == [key]
        assert done.stdout.count(f'"network": "{key}"') == processes
        assert not list((self.folder / "work").rglob(".checkpoints/*.safetensors"))
        return done.stdout + done.stderr

    @property
    def network(self) -> Path:
        """Where they put the network."""
        return Path(self.store.uri("networks", network_key("made", PARAMETERS)))


@pytest.fixture
def node(tmp_path: Path) -> Callable[[str], Node]:
    spec = small_spec()
    data = made(spec, ROWS)

    def start(name: str) -> Node:
        folder = tmp_path / name
        folder.mkdir()
        store = Store(str(folder / "store"))
        arrays = Arrays(np.asarray(data.ids), np.asarray(data.categories), np.asarray(data.numbers))
        put_tensors(store, "made", arrays, data.labels, spec=spec)
        (folder / "killed_once.py").write_text(KILLED_ONCE)
        return Node(folder, store)

    return start


def test_two_processes_give_what_one_process_gives(node: Callable[[str], Node]) -> None:
    one, two = node("one"), node("two")
    one.finished(1)
    assert '"training_resumed"' not in two.finished()
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (one.network, two.network))
    assert ours.keys() == theirs.keys()
    for name, weights in ours.items():
        np.testing.assert_allclose(theirs[name], weights, rtol=1e-4, atol=1e-4, err_msg=name)
    lines = [orjson.loads((each.network / "history.json").read_bytes()) for each in (one, two)]
    for alone, several in zip(*lines, strict=True):
        assert several["loss"] == pytest.approx(alone["loss"], rel=1e-5)
        assert {name: several[name] for name in alone if name != "loss"} == {
            name: alone[name] for name in alone if name != "loss"
        }


def test_after_a_kill_two_processes_end_with_the_same_weights(node: Callable[[str], Node]) -> None:
    calm, killed = node("calm"), node("killed")
    calm.finished()
    assert "the processes lost each other" in killed.killed()
    assert not (killed.folder / "store/networks").exists()
    assert '"training_resumed"' in killed.finished()
    for name in ("weights.safetensors", "validation.safetensors", "history.json"):
        assert (killed.network / name).read_bytes() == (calm.network / name).read_bytes(), name


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
