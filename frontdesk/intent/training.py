"""The training loop of EvGen: every position of every session predicts its next intent.

Every random choice of a step follows from the seed and the step's number, so that a run killed at any moment goes on
from its last checkpoint and ends with the same weights, bit for bit.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import Tensor

from frontdesk.checkpoint import Checkpoint
from frontdesk.errors import TrainingError
from frontdesk.intent.batches import Positions, batches, pad
from frontdesk.intent.evgen import CONFIG, COUNTS, WEIGHTS
from frontdesk.intent.keys import suffix_keys, windows
from frontdesk.intent.mapped import write_arrays
from frontdesk.intent.network import Dropouts, EvGenNetwork, SessionBatch, next_intent_loss
from frontdesk.intent.network_config import NetworkConfig
from frontdesk.intent.recipe import IntentParameters
from frontdesk.intent.sessions import SessionSet
from frontdesk.intent.stacking import Stacking, opening_counts
from frontdesk.intent.tokens import UNSEEN, Tokenizer
from frontdesk.logs import event
from frontdesk.progress import report
from frontdesk.settings import settings
from frontdesk.storage import MANIFEST, canonical_json, describe, digest, write_atomically
from frontdesk.training import device_of

_log = logging.getLogger(__name__)
_WARM_UP = 0.05
_POOL = 512
_LONGEST_GRADIENT = 1.0
_VALIDATION_ROWS = 20_000
LONGEST_SESSION = 1_024
"""Rows of a session that training reads as one; a longer one is cut, because attention's cost is its square."""


def train_evgen(sessions: SessionSet, tokenizer: Tokenizer, parameters: IntentParameters, work: Path) -> Path:
    """Train EvGen on sessions.

    Args:
        sessions: the training sessions, by start; the newest `validation_share` of them are held out.
        tokenizer: what made their tokens.
        parameters: knobs.
        work: folder of this training; a finished one is returned as it is, an interrupted one goes on.

    Returns:
        ``work/evgen``: ``weights.safetensors``, ``counts.safetensors``, ``config.json``, ``history.json`` (per epoch
        loss, and hit rates of the network alone on the held-out sessions), ``validation.safetensors`` (of the network:
        logits float32 [n, K], labels int32 [n], and the row of `sessions` that each asks before, int64 [n]), manifest
        last.

    Raises:
        TrainingError: no opened intent to learn, or a loss that is not finite.
    """
    folder = work / "evgen"
    if (folder / MANIFEST).is_file():
        return folder
    torch.set_num_threads(settings().threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    trainer = Trainer(sessions, tokenizer, work / ".checkpoints", parameters)
    trainer.run()
    trainer.save(folder)
    return folder


def short_pieces(sessions: SessionSet, longest: int = LONGEST_SESSION) -> SessionSet:
    """Cut sessions of more rows than `longest` into sessions of at most as many."""
    lengths = np.diff(sessions.offsets)
    if lengths.max(initial=0) <= longest:
        return sessions
    offsets = [0]
    ids: list[str] = []
    for name, begin, end in zip(sessions.session_ids, sessions.offsets[:-1], sessions.offsets[1:], strict=True):
        cuts = [*range(int(begin) + longest, int(end), longest), int(end)]
        offsets += cuts
        ids += [name] * len(cuts)
    return replace(sessions, session_ids=tuple(ids), offsets=np.array(offsets, np.int64))


class Trainer:
    """One training run.

    Args:
        sessions: training sessions, by start.
        tokenizer: what made their tokens.
        checkpoints: folder of checkpoints.
        parameters: knobs.
    """

    def __init__(
        self, sessions: SessionSet, tokenizer: Tokenizer, checkpoints: Path, parameters: IntentParameters
    ) -> None:
        self.sessions, self.parameters = sessions, parameters
        self.device = device_of(settings().device)
        self.bfloat16 = parameters.precision == "bfloat16" or (
            parameters.precision == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        if not (sessions.is_target & (sessions.intents >= 0)).any():
            raise TrainingError("no session has an opened intent to learn", remedy="Check the columns kind and name")
        held_out = min(max(round(len(sessions) * parameters.validation_share), 1), len(sessions) // 2)
        self.first_held_out = int(sessions.offsets[len(sessions) - held_out])
        self.learnt = short_pieces(sessions.take(0, len(sessions) - held_out))
        self.held_out = short_pieces(sessions.take(len(sessions) - held_out, len(sessions)))
        self.positions = Positions.of(self.learnt)
        self.born = first_times(self.learnt, len(tokenizer.intents))
        torch.manual_seed(parameters.seed)
        config = NetworkConfig(
            tokens=tokenizer.size,
            intents=len(tokenizer.intents),
            operators=len(tokenizer.operators),
            lines=len(tokenizer.lines),
            width=parameters.width,
            layers=parameters.layers,
            heads=parameters.heads,
            window=parameters.window,
            memory=parameters.memory,
            end_of_session=parameters.end_of_session,
            features=tuple(feature.size for feature in tokenizer.features),
        )
        hidden = Dropouts(
            parameters.dropout,
            parameters.operator_dropout,
            parameters.line_dropout,
            parameters.token_dropout,
            parameters.feature_dropout,
        )
        self.network = EvGenNetwork(config, hidden).to(self.device)
        matrices = [value for value in self.network.parameters() if value.ndim > 1]
        vectors = [value for value in self.network.parameters() if value.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": parameters.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW(groups, lr=parameters.rate, betas=(0.9, 0.98), fused=True)
        self.lengths = np.diff(self.learnt.offsets)
        self.epochs = parameters.epochs_for(len(self._order(0)))
        self.step, self.epoch, self.done_in_epoch = 0, 0, 0
        self.running_loss = 0.0
        self.history: list[dict[str, Any]] = []
        key = {
            "tokenizer": tokenizer.digest,
            "parameters": parameters.model_dump(),
            "rows": digest(sessions.tokens.tobytes()),
        }
        self.checkpoint = Checkpoint(checkpoints, digest(key))

    def run(self) -> None:
        """Train to the last step, from the newest checkpoint where there is one."""
        self._restore()
        saved = began = time.monotonic()
        seen = 0
        while self.epoch < self.epochs:
            order = self._order(self.epoch)
            self.network.train()
            for places in order[self.done_in_epoch :]:
                share = (self.epoch + self.done_in_epoch / len(order)) / self.epochs
                self.running_loss += self._descend(places, share)
                self.step += 1
                self.done_in_epoch += 1
                seen += int(self.lengths[places].sum())
                rate = seen / (time.monotonic() - began)
                note = f"epoch {self.epoch + 1}/{self.epochs}, {rate:,.0f} rows/s"
                report("train", self.epoch + self.done_in_epoch / len(order), self.epochs, note)
                if self.done_in_epoch == len(order):
                    self._finish_epoch(self.running_loss / len(order), rate)
                if time.monotonic() - saved > self.parameters.checkpoint_seconds:
                    self._save_checkpoint()
                    saved = time.monotonic()
        self._save_checkpoint()

    def _order(self, epoch: int) -> list[np.ndarray]:
        """Return the sessions of every batch of an epoch.

        Sessions are shuffled, then sorted by length within pools, so that a batch holds little padding; the batches
        are shuffled again.
        """
        random = np.random.default_rng([self.parameters.seed, 2, epoch])
        order = random.permutation(len(self.lengths))
        pools = [order[start : start + _POOL] for start in range(0, len(order), _POOL)]
        sorted_pools = [pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools]
        found = [batch for pool in sorted_pools for batch in batches(self.lengths, pool, self.parameters.batch_tokens)]
        return [found[place] for place in random.permutation(len(found))]

    def _descend(self, places: np.ndarray, share: float) -> float:
        """Take one step; everything random in it follows from the seed and the step's number."""
        torch.manual_seed(self.parameters.seed * 1_000_003 + self.step)
        factor = min(1.0, share / _WARM_UP + 1e-3) * 0.5 * (1 + math.cos(math.pi * share))
        for group in self.adam.param_groups:
            group["lr"] = self.parameters.rate * factor
        batch, targets, valid, weights = self._batch(places)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits = self.network(batch)
        loss = next_intent_loss(logits, targets, valid, weights, label_smoothing=self.parameters.label_smoothing)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _LONGEST_GRADIENT)
        self.adam.step()
        return float(loss.detach())

    def _batch(self, places: np.ndarray) -> tuple[SessionBatch, Tensor, Tensor, Tensor]:
        """Return sessions; at their positions the targets, int64 [N, P], and their weights, float32 [N, P]; and the
        intents that existed when the sessions ended, bool [N, K]. The end of a session is target K."""
        begin, lengths = self.positions.offsets[places], self.lengths[places]
        steps = np.arange(int(lengths.max()) + 1)
        inside = steps <= lengths[:, None]
        flat = np.where(inside, begin[:, None] + steps, 0)
        targets = np.where(inside, self.positions.targets[flat], UNSEEN)
        weights = np.where(self.positions.before_target[flat], 1.0, self.parameters.event_weight)
        last = self.learnt.times[self.learnt.offsets[places + 1] - 1]
        valid = self.born <= last[:, None]
        if self.parameters.end_of_session:
            targets = np.where(inside & self.positions.ended[flat], len(self.born), targets)
            valid = np.pad(valid, ((0, 0), (0, 1)), constant_values=True)
        padded = pad(self.learnt, self.positions, places)
        # A request knows who asks now and what is known of them now, not who opened a session that was handed over:
        # training shows any of them.
        draw = np.random.default_rng([self.parameters.seed, 3, self.step]).integers(0, lengths + 1)
        rows = np.arange(len(places))
        padded = replace(
            padded,
            operator=padded.asking_operator[rows, draw],
            line=padded.asking_line[rows, draw],
            features=self.positions.features[begin + draw].astype(np.int64),
        )
        return (
            to_device(padded, self.device),
            torch.from_numpy(targets.astype(np.int64)).to(self.device),
            torch.from_numpy(valid).to(self.device),
            torch.from_numpy(weights.astype(np.float32)).to(self.device),
        )

    def _finish_epoch(self, loss: float, rate: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} in epoch {self.epoch + 1}", remedy="Lower --set rate")
        logits, labels, _ = self.validate()
        line: dict[str, Any] = {"epoch": self.epoch + 1, "loss": loss, **hit_rates(logits, labels)}
        self.history.append(line)
        event(_log, "epoch", rows_per_second=round(rate), **line)
        self.epoch, self.done_in_epoch, self.running_loss = self.epoch + 1, 0, 0.0

    @torch.no_grad()
    def validate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return logits float32 [n, K], labels int32 [n] and rows int64 [n] of the held-out sessions' intents."""
        self.network.eval()
        sessions = self.held_out
        positions, lengths = Positions.of(sessions), np.diff(sessions.offsets)
        rows = np.flatnonzero(sessions.is_target)[:_VALIDATION_ROWS]
        session_of = sessions.session_of
        last = int(session_of[rows].max(initial=-1)) + 1
        flat = np.zeros((len(sessions.tokens) + len(sessions), self.network.config.intents), np.float32)
        for places in batches(lengths, np.argsort(lengths[:last], kind="stable"), 8 * self.parameters.batch_tokens):
            logits = self.network(to_device(pad(sessions, positions, places), self.device)).float().cpu().numpy()
            for place, session in enumerate(places):
                begin, end = positions.offsets[session : session + 2]
                flat[begin:end] = logits[place, : end - begin, : flat.shape[1]]
        self.network.train()
        return flat[rows + session_of[rows]], sessions.intents[rows], rows + self.first_held_out

    def save(self, folder: Path) -> None:
        """Write the finished network, manifest last."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        logits, labels, rows = self.validate()
        save_arrays({"logits": logits, "labels": labels, "rows": rows}, folder / "validation.safetensors")
        write_arrays(folder / COUNTS, opening_counts(self.sessions).arrays())
        description = {
            "network": self.network.config.to_json(),
            "stacking": self._stacking(logits, labels, rows).to_json(),
            "parameters": self.parameters.model_dump(),
        }
        write_atomically(folder / CONFIG, canonical_json(description))
        write_atomically(folder / "history.json", canonical_json(self.history))
        write_atomically(folder / MANIFEST, canonical_json({"files": describe(folder)}))
        self.checkpoint.clear()

    def _stacking(self, logits: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Stacking:
        """Weigh the counts of the learnt sessions against the network on the held-out ones."""
        window = windows(self.sessions, self.sessions.session_of[rows], rows)
        return Stacking.fit(logits, opening_counts(self.learnt).look_up(suffix_keys(window)), labels)

    def _save_checkpoint(self) -> None:
        names = ("step", "epoch", "done_in_epoch", "running_loss", "history")
        self.checkpoint.save(self.network, self.adam, {name: getattr(self, name) for name in names})

    def _restore(self) -> None:
        if (values := self.checkpoint.restore(self.network, self.adam)) is None:
            return
        for name, value in values.items():
            setattr(self, name, value)
        event(_log, "training_resumed", epoch=self.epoch + 1, of=self.epochs)


def to_device(padded: Any, device: torch.device) -> SessionBatch:
    """Copy padded sessions to a device."""
    names = [field.name for field in fields(SessionBatch)]
    return SessionBatch(*(torch.from_numpy(getattr(padded, name)).to(device, non_blocking=True) for name in names))


def first_times(sessions: SessionSet, intents: int) -> np.ndarray:
    """Return when each intent was first opened, int64 [K]; for one that never was, the beginning of time.

    A procedure that came later is no wrong answer before.
    """
    born = np.full(intents, np.iinfo(np.int64).max)
    known = sessions.intents >= 0
    np.minimum.at(born, sessions.intents[known], sessions.times[known])
    born[born == np.iinfo(np.int64).max] = np.iinfo(np.int64).min
    return born


def hit_rates(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return ``hr@1``, ``hr@6`` and ``mrr@10``; ties count against the model, unknown labels as misses."""
    if not len(labels):
        return {}
    own = logits[np.arange(len(labels)), np.maximum(labels, 0)]
    rank = (logits >= own[:, None]).sum(1).astype(float)
    rank[labels < 0] = np.inf
    shares = {f"hr@{top}": float((rank <= top).mean()) for top in (1, 6)}
    return shares | {"mrr@10": float(np.where(rank <= 10, 1 / rank, 0).mean())}
