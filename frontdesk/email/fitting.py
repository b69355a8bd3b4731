"""The training loop of a mail network: batches by tokens, masked heads, checkpoints, mixed precision, metrics.

Every random choice of a step follows from the seed and the step's number, so that a run killed at any moment goes on
from its last checkpoint and ends with the same weights, bit for bit.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frontdesk.checkpoint import Checkpoint
from frontdesk.email.batches import packed, shuffled
from frontdesk.email.building import Separate
from frontdesk.email.combination import per_label
from frontdesk.email.recipe import EmailParameters
from frontdesk.errors import TrainingError
from frontdesk.logs import event
from frontdesk.progress import report
from frontdesk.settings import settings
from frontdesk.tensors import TensorSet
from frontdesk.training import Batch, Feed, device_of, peak_operations

_log = logging.getLogger(__name__)
_BACKWARD = 3  # a backward pass costs about two forward passes
_WARM_UP = 0.06
_ROWS = 64
"""Most rows of a training batch: a few thousand mails need steps more than they need large batches."""
_CLIP = 1.0


class Fitting:
    """One training run of one network.

    Args:
        network: fresh.
        data: tensors.
        rows: training rows, int64.
        held_out: rows measured after every epoch, int64; may be empty.
        parameters: knobs.
        checkpoints: folder of checkpoints.
        key: digest of everything that the run depends on.
        name: for the progress line.
    """

    def __init__(
        self,
        network: nn.Module,
        data: TensorSet,
        rows: np.ndarray,
        held_out: np.ndarray,
        parameters: EmailParameters,
        *,
        checkpoints: Path,
        key: str,
        name: str,
    ) -> None:
        self.data, self.rows, self.held_out, self.parameters, self.name = data, rows, held_out, parameters, name
        self.device = device_of(settings().device)
        self.bfloat16 = parameters.precision == "bfloat16" or (
            parameters.precision == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        self.network = network.to(self.device)
        self.parts = list(network.networks.values()) if isinstance(network, Separate) else [network]
        self.lengths = (data.ids != 0).sum(1).astype(np.int64)
        self.feed = Feed(data, self.device)
        self.priors = {head: self._prior(np.asarray(labels[rows])) for head, labels in data.labels.items()}
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=parameters.weight_decay)
        self.per_epoch = len(self._epoch(0))
        self.epochs = parameters.epochs_for(self.per_epoch)
        self.steps = self.epochs * self.per_epoch
        self.step = 0
        self.running = torch.zeros((), dtype=torch.float64, device=self.device)
        self.history: list[dict[str, Any]] = []
        self.speed: list[float] = []
        self.checkpoint = Checkpoint(checkpoints, key)

    def _prior(self, labels: np.ndarray) -> Tensor:
        known = labels[labels >= 0]
        counts = np.maximum(np.bincount(known), 1)
        prior = torch.zeros(int(max(counts.shape[0], 1)))
        prior[: len(counts)] = torch.from_numpy(np.log(counts / max(len(known), 1)))
        return (self.parameters.prior_strength * prior).to(self.device)

    def run(self) -> list[dict[str, Any]]:
        """Train to the last step, from the newest checkpoint where there is one; return the line of every epoch."""
        self._restore()
        saved = began = time.monotonic()
        seen = 0
        while self.step < self.steps:
            epoch = self.step // self.per_epoch
            self.network.train()
            lot = self._epoch(epoch)
            for batch in self.feed.batches(lot[self.step % self.per_epoch :]):
                self.running += self._descend(batch)
                self.step += 1
                seen += len(batch.ids)
                rate = seen / (time.monotonic() - began)
                words = f"{self.name}, epoch {epoch + 1}/{self.epochs}, {rate:,.0f} rows/s"
                report("train", self.step, self.steps, words)
                if self.step % self.per_epoch == 0:
                    self._finish_epoch(epoch, rate)
                if time.monotonic() - saved > self.parameters.checkpoint_seconds or self.step == self.steps:
                    self._save()
                    saved = time.monotonic()
        return self.history

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        """Return the batches of an epoch, always as many: the last ones are left out, or the first ones come again."""
        seed = (self.parameters.seed, 2, epoch)
        batches = shuffled(self.rows, self.lengths, self.parameters.tokens_per_batch, _ROWS, seed)
        wanted = getattr(self, "per_epoch", len(batches))
        return (batches * math.ceil(wanted / len(batches)))[:wanted]

    def _descend(self, batch: Batch) -> Tensor:
        torch.manual_seed(self.parameters.seed * 1_000_003 + self.step)
        share = self.step / self.steps
        factor = min(1.0, share / _WARM_UP + 1e-3) * 0.5 * (1 + math.cos(math.pi * share))
        for group in self.optimiser.param_groups:
            group["lr"] = self.parameters.peak_rate * factor
        self.optimiser.zero_grad(set_to_none=True)
        categories = batch.categories
        if self.parameters.category_dropout and categories.shape[1]:
            categories = categories * (
                torch.rand_like(categories, dtype=torch.float32) >= self.parameters.category_dropout
            )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits = self.network(batch.ids, categories, batch.numbers)
        loss = self._loss(logits, batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        for part in self.parts:
            nn.utils.clip_grad_norm_(part.parameters(), _CLIP)
        self.optimiser.step()
        return loss.detach()

    def _loss(self, logits: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy of every head over the rows that have its label.

        Where a row has several answers, [N, M, K], each counts.
        """
        total = torch.zeros((), device=self.device)
        for head, values in logits.items():
            known = labels[head] >= 0
            if not bool(known.any()):
                continue
            values, truth = values[known].float(), labels[head][known]
            if values.dim() == 3:
                truth = truth.repeat_interleave(values.shape[1])
                values = values.flatten(0, 1)
            adjusted = values + F.pad(self.priors[head], (0, values.shape[1] - len(self.priors[head])))
            loss = F.cross_entropy(adjusted, truth, label_smoothing=self.parameters.label_smoothing)
            total = total + loss * known.float().mean()
        if not total.requires_grad:  # no label in this batch
            total = total + 0.0 * sum(values.sum() for values in logits.values())
        return total

    @torch.no_grad()
    def answer(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the network's logits ``{head: float32 [len(rows), K]}``."""
        self.network.eval()
        lots = packed(self.lengths[rows], 4 * self.parameters.tokens_per_batch)
        found: dict[str, list[np.ndarray]] = {head: [] for head in self.data.labels}
        for batch in self.feed.batches([rows[lot] for lot in lots]):
            for head, values in self.network(batch.ids, batch.categories, batch.numbers).items():
                found[head].append(values.float().cpu().numpy())
        self.network.train()
        place = np.argsort(np.concatenate(lots)) if lots else np.zeros(0, np.int64)
        return {head: np.concatenate(parts)[place] for head, parts in found.items() if parts}

    def _finish_epoch(self, epoch: int, rate: float) -> None:
        loss = float(self.running) / self.per_epoch
        self.running.zero_()
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} in epoch {epoch + 1}", remedy="Lower --set rate")
        line: dict[str, Any] = {"epoch": epoch + 1, "loss": loss}
        for head, logits in self.answer(self.held_out).items():
            line |= measures(head, logits, np.asarray(self.data.labels[head][self.held_out]))
        self.history.append(line)
        self.speed.append(rate)
        tokens = float(self.lengths[self.rows].mean())
        achieved = self.network.operations(tokens) * _BACKWARD * rate  # type: ignore[operator]
        peak = peak_operations(self.device, torch.bfloat16 if self.bfloat16 else torch.float32)
        event(
            _log,
            "epoch",
            run=self.name,
            samples_per_second=round(rate),
            share_of_peak=round(achieved / peak, 4),
            **line,
        )

    def _save(self) -> None:
        values = {"step": self.step, "history": self.history, "speed": self.speed, "running": float(self.running)}
        self.checkpoint.save(self.network, self.optimiser, values)

    def _restore(self) -> None:
        if (values := self.checkpoint.restore(self.network, self.optimiser)) is None:
            return
        self.step, self.history, self.speed = values["step"], values["history"], values["speed"]
        self.running.fill_(values["running"])
        event(_log, "training_resumed", run=self.name, step=self.step, of=self.steps)


def measures(head: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return a head's loss, accuracy and macro precision, recall and F1 on held-out rows that have its label."""
    known = labels >= 0
    if not known.any():
        return {}
    logits, labels = logits[known].astype(np.float64), labels[known]
    shifted = logits - logits.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    found = logits.argmax(1)
    precision, recall, f1 = per_label(labels, found, logits.shape[1])
    values = {
        "loss": -float(logs[np.arange(len(labels)), labels].mean()),
        "accuracy": float((found == labels).mean()),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
    }
    return {f"validation_{name}.{head}": value for name, value in values.items()}
