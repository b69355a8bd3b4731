"""The newest state of a training in one safetensors file: tensors of network and optimiser, and plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow.fs as pafs
import torch
from safetensors.torch import load, save, save_file
from torch import Tensor, nn

from frontdesk.errors import StorageError
from frontdesk.storage import Store, filesystem


class Checkpoint:
    """The newest state of a run, replaced whole: one that was half written never counts.

    Args:
        folder: where it lives, a folder or ``s3://``.
        key: digest of data and parameters; a checkpoint of another run is ignored.
    """

    def __init__(self, folder: Path | str, key: str) -> None:
        self.store, self.name = Store(str(folder)), f"{key[:20]}.safetensors"

    def save(self, network: nn.Module, optimiser: torch.optim.Optimizer, values: dict[str, Any]) -> None:
        """Replace the checkpoint. Plain values travel in the header of the same file, so that both are of one step."""
        tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
        host = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"values": orjson.dumps(values).decode()}
        if not self.store.local:
            self.store.put(save(host, metadata), self.name)
            return
        path = Path(self.store.uri(self.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        save_file(host, temporary, metadata)
        temporary.replace(path)

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put the newest state into a network and its optimiser; return the plain values, None where there is none."""
        content = self.read()
        return None if content is None else self.apply(content, network, optimiser)

    def read(self) -> bytes | None:
        """Return the newest state as it was written, None where there is none."""
        return self.store.read_bytes(self.name) if self._is_there() else None

    @staticmethod
    def apply(content: bytes, network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """Put a state that `read` returned into a network and its optimiser; return the plain values."""
        header = content[8 : 8 + int.from_bytes(content[:8], "little")]
        values: dict[str, Any] = orjson.loads(orjson.loads(header)["__metadata__"]["values"])
        weights: dict[str, Tensor] = {}
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in load(content).items():
            kind, _, rest = name.partition(".")
            if kind == "network":
                weights[rest] = tensor
            else:
                index, _, key = rest.partition(".")
                state.setdefault(int(index), {})[key] = tensor
        network.load_state_dict(weights)
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        return values

    def clear(self) -> None:
        """Remove the checkpoint of a finished run."""
        if self._is_there():
            files, path = filesystem(self.store.uri(self.name))
            files.delete_file(path)

    def _is_there(self) -> bool:
        files, path = filesystem(self.store.uri(self.name))
        try:
            return bool(files.get_file_info(path).type == pafs.FileType.File)
        except OSError as error:
            where = self.store.uri(self.name)
            raise StorageError(f"the store does not answer ({type(error).__name__})", where=where) from error
