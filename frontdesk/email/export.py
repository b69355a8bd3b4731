"""A ``hub`` encoder with its heads as an ONNX graph, whose batch and length stay open."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from frontdesk.email.building import build_network
from frontdesk.email.files import MODEL, WEIGHTS, read_config
from frontdesk.preprocessing.spec import Spec

_OPSET = 17


class _Positional(nn.Module):
    """The network with its answers as a tuple, in the order of the heads."""

    def __init__(self, network: nn.Module, heads: list[str]) -> None:
        super().__init__()
        self.network, self.heads = network, heads

    def forward(self, ids: Tensor, categories: Tensor) -> tuple[Tensor, ...]:
        found = self.network(ids, categories, ids.new_zeros((len(ids), 0)))
        return tuple(found[head] for head in self.heads)


def export_graph(folder: Path, spec: Spec, target: Path) -> Path:
    """Write ``target/model.onnx`` of a finished training.

    Inputs: ``ids`` int64 [N, L] (0 = padding) and, where there are categorical fields, ``categories`` int64 [N, C];
    outputs: the logits, float32 [N, K], named as the heads.

    Args:
        folder: of the training.
        spec: the fitted values.
        target: folder that gets the graph.
    """
    network = dict(read_config(folder, spec)["network"])
    heads = list(network["heads"])
    model = build_network(network)
    model.load_state_dict(load_file(folder / WEIGHTS))
    # The exporter puts back the mode that it found; a wrapper is made in training mode, with dropout.
    positional = _Positional(model, heads).eval()
    fields = len(network["levels"])
    ids = torch.ones(2, 8, dtype=torch.int64) * 2
    ids[1, 5:] = 0  # traced with padding, so that the mask is part of the graph
    path = target / MODEL
    with warnings.catch_warnings():
        # The tracing exporter is the one that needs no further package; it warns of its successor and of shapes that
        # it takes as constants. What the graph answers at other shapes is proven by every engine.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            positional,
            (ids, torch.zeros(2, fields, dtype=torch.int64)),
            str(path),
            input_names=["ids", "categories"],
            output_names=heads,
            dynamic_axes={
                "ids": {0: "rows", 1: "tokens"},
                "categories": {0: "rows"},
                **{head: {0: "rows"} for head in heads},
            },
            opset_version=_OPSET,
            dynamo=False,
        )
    return path
