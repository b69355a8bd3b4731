"""Several processes train one network: each computes a part of every batch, and all take the same step.

``torchrun`` starts the processes and tells each its rank; a process that was started otherwise is alone. What a step
gives does not depend on how many share it, to the rounding of sums: random masks are drawn for the whole batch, the
loss is the whole batch's mean, and gradients are summed before the step. The first process alone validates, keeps the
checkpoint and writes the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from frontdesk.errors import TrainingError, UsageError

Backend = Literal["auto", "gloo", "nccl"]
_PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others, who may be waiting for the first one's validation."""


@dataclass(frozen=True)
class Part:
    """The rows of a batch that one process computes: `rows` of `of`."""

    rows: slice
    of: int


@dataclass(frozen=True)
class Workers:
    """The processes of one training, seen from one of them.

    Attributes:
        rank: this one's place, from 0.
        size: how many there are.
        device: where what they tell each other lies.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this process writes what only one may write."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.size == 1

    def place(self, device: torch.device) -> torch.device:
        """Return this process's own device in place of any of its kind."""
        return self.device if device.type == self.device.type else device

    def part(self, rows: int) -> Part | None:
        """Return this process's rows of a batch, None for all of them. Raises `UsageError` for too small a batch."""
        if self.alone:
            return None
        if rows < self.size:
            words = f"a batch of {rows} rows cannot be divided among {self.size} processes"
            raise UsageError(words, where="batch", remedy="Raise --set batch, or ask for fewer nodes")
        return Part(slice(rows * self.rank // self.size, rows * (self.rank + 1) // self.size), rows)

    def wait(self) -> None:
        """Return when every process has come here."""
        if not self.alone:
            with _together():
                dist.all_reduce(torch.zeros(1, device=self.device))

    @torch.no_grad()
    def same_start(self, network: nn.Module) -> None:
        """Give every process the first one's weights, which devices of other kinds may have computed otherwise."""
        if self.alone:
            return
        with _together():
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, 0)

    def from_first(self, content: bytes | None) -> bytes | None:
        """Return the bytes that the first process holds; what the others pass is not looked at."""
        if self.alone:
            return content
        held = content if self.first else None
        with _together():
            length = torch.tensor([-1 if held is None else len(held)], device=self.device)
            dist.broadcast(length, 0)
            if int(length) < 0:
                return None
            if held is not None:
                buffer = torch.frombuffer(bytearray(held), dtype=torch.uint8).to(self.device)
            else:
                buffer = torch.empty(int(length), dtype=torch.uint8, device=self.device)
            dist.broadcast(buffer, 0)
        return buffer.cpu().numpy().tobytes()

    @torch.no_grad()
    def sum_gradients(self, dense: Sequence[nn.Parameter], sparse: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Replace gradients by their sums over all processes, the same bits everywhere; return the sum of the losses.

        Args:
            dense: parameters with ordinary gradients; one that no process has a gradient of keeps none.
            sparse: parameters whose gradients name the rows that they are about.
            loss: this process's share, a scalar.
        """
        if self.alone:
            return loss
        with _together():
            total = self._sum_dense(dense, loss)
            for parameter in sparse:
                self._sum_sparse(parameter)
        return total

    def _sum_dense(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """All gradients travel as one vector, and with them how many processes had each."""
        had = torch.tensor([float(parameter.grad is not None) for parameter in parameters], device=loss.device)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(grad.reshape(-1).float() for grad in grads), had, loss.reshape(1).float()])
        dist.all_reduce(flat)
        *sums, counts, total = torch.split(flat, [*(grad.numel() for grad in grads), len(grads), 1])
        for parameter, summed, count in zip(parameters, sums, counts.tolist(), strict=True):
            parameter.grad = summed.view_as(parameter).to(parameter.dtype) if count else None
        return total.reshape(())

    def _sum_sparse(self, parameter: nn.Parameter) -> None:
        """Rows and values of every process are gathered, padded to the longest; their sum is one sparse gradient."""
        width = parameter.shape[1]
        if parameter.grad is None:
            rows = torch.zeros(0, dtype=torch.int64, device=parameter.device)
            values = torch.zeros(0, width, dtype=parameter.dtype, device=parameter.device)
        else:
            own = parameter.grad.coalesce()
            rows, values = own.indices()[0], own.values()
        counts = [torch.zeros(1, dtype=torch.int64, device=parameter.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=parameter.device))
        lengths = [int(count) for count in counts]
        longest = max(lengths)
        if not longest:
            parameter.grad = None
            return
        all_rows = [rows.new_empty(longest) for _ in lengths]
        all_values = [values.new_empty(longest, width) for _ in lengths]
        dist.all_gather(all_rows, torch.cat([rows, rows.new_zeros(longest - len(rows))]))
        dist.all_gather(all_values, torch.cat([values, values.new_zeros(longest - len(values), width)]))
        places = torch.cat([found[:length] for found, length in zip(all_rows, lengths, strict=True)])
        summands = torch.cat([found[:length] for found, length in zip(all_values, lengths, strict=True)])
        parameter.grad = torch.sparse_coo_tensor(
            places[None], summands, parameter.shape, check_invariants=False
        ).coalesce()


ALONE = Workers()


@contextmanager
def workers(backend: Backend = "auto") -> Iterator[Workers]:
    """Yield the processes that ``torchrun`` started this one among; `ALONE` where it did not.

    Args:
        backend: how they talk: ``gloo`` (processors), ``nccl`` (GPUs of one maker); ``auto`` by what is there.

    Raises:
        TrainingError: the processes lost each other. Started again, all go on from the checkpoint.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    chosen = backend if backend != "auto" else "nccl" if torch.cuda.is_available() else "gloo"
    device = torch.device("cpu")
    if chosen == "nccl":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    with _together():
        dist.init_process_group(chosen, timeout=_PATIENCE)
    try:
        yield Workers(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()


@contextmanager
def _together() -> Iterator[None]:
    """Tell a broken connection, which nearly always is another process that ended, as what it is."""
    try:
        yield
    except RuntimeError as error:  # what NCCL raises is one, and so is what gloo raises
        remedy = "The log of the first that ended says why; started again, all go on from the checkpoint"
        raise TrainingError(f"the processes lost each other ({type(error).__name__})", remedy=remedy) from error
