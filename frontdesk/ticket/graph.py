"""Write the ticket network as one ONNX graph: cleaned text, categories and numbers in, calibrated probabilities out.

Only core operators and ``ai.onnx.ml`` are used, so any runtime takes it; nothing depends on a locale. The graph is
built node by node from the weights (no tracing), so the same weights give the same bytes. It computes what
`frontdesk.ticket.network.TicketNetwork` computes; `frontdesk.fusion` proves it on the golden rows.

Shapes: N rows, L tokens of the longest text, E embedding, F filters, R rank of the wide path, K labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from frontdesk.engines.graph import CATEGORY, NO_LEVEL, NUMBER, TEXT
from frontdesk.preprocessing.spec import FIRST_WORD, PAD, UNKNOWN, Spec
from frontdesk.ticket.recipe import HEADS
from frontdesk.ticket.terms import NORM_EPSILON, NUMBER_LIMIT, phrase_codes, term_weights

OPSET, ML_OPSET, IR_VERSION = 20, 4, 10


class _Nodes:
    """A graph under construction: operators and constants get running names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, kind: Any = None) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, kind)), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def __call__(self, operator: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        outputs = [output or f"value_{len(self.nodes)}"]
        if operator == "StringSplit":
            outputs.append(f"{outputs[0]}_counts")
        self.nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def look_up(self, strings: str, indices: Mapping[str, int], default: int) -> str:
        keys, values = list(indices), list(indices.values())
        return self(
            "LabelEncoder",
            strings,
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_int64s=values,
            default_int64=default,
        )


def build_graph(weights: Mapping[str, np.ndarray], network: Mapping[str, Any], spec: Spec) -> bytes:
    """Return the bytes of ``model.onnx``.

    Args:
        weights: the arrays of ``weights.safetensors``, named as in `TicketNetwork`.
        network: the network's part of ``config.json``.
        spec: the fitted values.

    Returns:
        A checked model. Inputs: `TEXT` string [N], one string [N] per category, one double [N] per number. Outputs: one
        float [N, K] per head, named as the head.
    """
    nodes = _Nodes()
    ids = _word_ids(nodes, spec)
    levels = [
        nodes.look_up(CATEGORY + name, {NO_LEVEL: 0} | {text: place + 1 for place, text in enumerate(values)}, 0)
        for name, values in spec.categorical.items()
    ]
    numbers = _numbers(nodes, weights, spec) if spec.numeric else None
    combined = _combined(nodes, weights, network, ids, levels, numbers)
    features, bag = _terms(nodes, spec, ids)
    raw: dict[str, str] = {}
    for head in network["heads"]:
        hidden = combined
        if head == HEADS[1] and HEADS[0] in raw:
            seen = nodes("Softmax", raw[HEADS[0]], axis=1)
            hidden = nodes("Add", hidden, _linear(nodes, weights, "state", seen))
        total = nodes(
            "Add", _linear(nodes, weights, f"outputs.{head}", hidden), _wide(nodes, weights, head, features, bag)
        )
        for place, level in enumerate(levels):
            table = nodes.constant(weights[f"category_logits.{head}.{place}.weight"])
            total = nodes("Add", total, nodes("Gather", table, level, axis=0))
        if numbers is not None:
            total = nodes("Add", total, _linear(nodes, weights, f"number_logits.{head}", numbers))
        raw[head] = total
        temperature = nodes.constant((network["temperature"] or {}).get(head, 1.0), np.float32)
        nodes("Softmax", nodes("Div", total, temperature), output=head, axis=1)
    return _model(nodes, network, spec)


def _model(nodes: _Nodes, network: Mapping[str, Any], spec: Spec) -> bytes:
    inputs = [helper.make_tensor_value_info(TEXT, TensorProto.STRING, ["N"])]
    inputs += [helper.make_tensor_value_info(CATEGORY + name, TensorProto.STRING, ["N"]) for name in spec.categorical]
    inputs += [helper.make_tensor_value_info(NUMBER + name, TensorProto.DOUBLE, ["N"]) for name in spec.numeric]
    outputs = [
        helper.make_tensor_value_info(head, TensorProto.FLOAT, ["N", labels])
        for head, labels in network["heads"].items()
    ]
    graph = helper.make_graph(nodes.nodes, "ticket", inputs, outputs, nodes.constants)
    model = helper.make_model(
        graph,
        producer_name="frontdesk",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _word_ids(nodes: _Nodes, spec: Spec) -> str:
    """Split and look up: int64 [N, L]. Two columns of padding keep every later axis from being empty."""
    words = nodes("StringSplit", TEXT, delimiter=" ", maxsplit=spec.max_tokens)
    places = {"": PAD} | {word: place + FIRST_WORD for place, word in enumerate(spec.vocabulary)}
    ids = nodes.look_up(words, places, UNKNOWN)
    padded = nodes("Pad", ids, nodes.integers(0, 0, 0, 2), nodes.constant(PAD, np.int64))
    return nodes("Slice", padded, nodes.integers(0), nodes.integers(spec.max_tokens), nodes.integers(1))


def _numbers(nodes: _Nodes, weights: Mapping[str, np.ndarray], spec: Spec) -> str:
    """Fill, clamp, scale in float64, clip, then batch-normalise: float [N, 2 D + knots]."""
    axis = nodes.integers(1)
    value = nodes("Concat", *(nodes("Unsqueeze", NUMBER + name, axis) for name in spec.numeric), axis=1)
    fitted = {name: nodes.constant(weights[f"numbers.{name}"]) for name in ("fill", "low", "high", "mean", "scale")}
    missing = nodes("IsNaN", value)
    filled = nodes("Where", missing, fitted["fill"], value)
    clamped = nodes("Min", nodes("Max", filled, fitted["low"]), fitted["high"])
    scaled = nodes("Div", nodes("Sub", clamped, fitted["mean"]), fitted["scale"])
    limits = (nodes.constant(-NUMBER_LIMIT, np.float64), nodes.constant(NUMBER_LIMIT, np.float64))
    parts = [nodes("Clip", scaled, *limits), missing]
    for place, number in enumerate(spec.numeric.values()):
        if number.knots:
            column = nodes("Gather", clamped, nodes.integers(place), axis=1)
            parts.append(nodes("Greater", column, nodes.constant(number.knots, np.float64)))
    joined = nodes("Concat", *(nodes("Cast", part, to=TensorProto.FLOAT) for part in parts), axis=1)
    deviation = np.sqrt(weights["numbers.norm.running_var"] + np.float32(NORM_EPSILON))
    centred = nodes("Sub", joined, nodes.constant(weights["numbers.norm.running_mean"]))
    scale = nodes.constant(weights["numbers.norm.weight"] / deviation)
    return nodes("Add", nodes("Mul", centred, scale), nodes.constant(weights["numbers.norm.bias"]))


def _linear(nodes: _Nodes, weights: Mapping[str, np.ndarray], name: str, value: str) -> str:
    product = nodes("MatMul", value, nodes.constant(weights[f"{name}.weight"].T))
    bias = weights.get(f"{name}.bias")
    return product if bias is None else nodes("Add", product, nodes.constant(bias))


def _combined(
    nodes: _Nodes,
    weights: Mapping[str, np.ndarray],
    network: Mapping[str, Any],
    ids: str,
    levels: list[str],
    numbers: str | None,
) -> str:
    """Mean embedding, peaks of the convolutions, embedded categories and numbers through the combiner: float [N, H]."""
    embedded = nodes("Gather", nodes.constant(weights["words.weight"]), ids, axis=0)  # [N, L, E]
    is_word = nodes("Cast", nodes("Greater", ids, nodes.constant(PAD, np.int64)), to=TensorProto.FLOAT)
    length = nodes("Max", nodes("ReduceSum", is_word, nodes.integers(1)), nodes.constant(1, np.float32))  # [N, 1]
    parts = [nodes("Div", nodes("ReduceSum", embedded, nodes.integers(1), keepdims=0), length)]
    channels = nodes("Transpose", embedded, perm=[0, 2, 1])
    for place, width in enumerate(network["widths"]):
        bias = nodes.constant(weights[f"convolutions.{place}.bias"])
        kernel = nodes.constant(weights[f"convolutions.{place}.weight"])
        windows = nodes("Conv", channels, kernel, bias, pads=[width - 1, width - 1], kernel_shape=[width])
        # The maximum is taken with the bias too: the value of a window over padding alone.
        peak = nodes("Max", nodes("ReduceMax", windows, nodes.integers(2), keepdims=0), bias)
        parts.append(nodes("Relu", peak))
    for place, level in enumerate(levels):
        parts.append(nodes("Gather", nodes.constant(weights[f"categories.{place}.weight"]), level, axis=0))
    if numbers is not None:
        parts.append(numbers)
    return nodes("Relu", _linear(nodes, weights, "combiner", nodes("Concat", *parts, axis=1)))


def _terms(nodes: _Nodes, spec: Spec, ids: str) -> tuple[str, str]:
    """Words and phrases with their TF-IDF weights, of unit length: int64 [N, T], float [N, 1, T]; T is 2 L - 1.

    A term that occurs t times has each occurrence weighted by 1/t.
    """
    idf = nodes.constant(term_weights(spec))
    features, shares = [ids], [_shares(nodes, idf, ids)]
    if spec.phrases:
        axis, start = nodes.integers(1), nodes.integers(0)
        first = nodes("Slice", ids, start, nodes.integers(-1), axis)
        second = nodes("Slice", ids, nodes.integers(1), nodes.integers(spec.max_tokens), axis)
        code = nodes("Add", nodes("Mul", first, nodes.constant(spec.vocabulary_size, np.int64)), second)
        codes = phrase_codes(spec)
        phrases = nodes(
            "LabelEncoder",
            code,
            domain="ai.onnx.ml",
            keys_int64s=codes.tolist(),
            values_int64s=list(range(spec.vocabulary_size, spec.vocabulary_size + len(codes))),
            default_int64=PAD,
        )
        features.append(phrases)
        shares.append(_shares(nodes, idf, phrases))
    squares = [nodes("ReduceSum", nodes("Mul", weight, full), nodes.integers(1)) for weight, full in shares]
    total = squares[0] if len(squares) == 1 else nodes("Add", *squares)
    norm = nodes("Sqrt", nodes("Max", total, nodes.constant(1e-12, np.float32)))
    joined = shares[0][0] if len(shares) == 1 else nodes("Concat", *(weight for weight, _ in shares), axis=1)
    bag = nodes("Unsqueeze", nodes("Div", joined, norm), nodes.integers(1))
    return (features[0] if len(features) == 1 else nodes("Concat", *features, axis=1)), bag


def _shares(nodes: _Nodes, idf: str, features: str) -> tuple[str, str]:
    """Return ``idf (1 + ln t) / t`` and ``idf (1 + ln t)`` of every occurrence, float [N, T]; no word has 0."""
    rows, columns = nodes("Unsqueeze", features, nodes.integers(2)), nodes("Unsqueeze", features, nodes.integers(1))
    same = nodes("Cast", nodes("Equal", rows, columns), to=TensorProto.FLOAT)
    count = nodes("ReduceSum", same, nodes.integers(2), keepdims=0)
    damped = nodes("Add", nodes("Log", count), nodes.constant(1, np.float32))
    full = nodes("Mul", nodes("Gather", idf, features, axis=0), damped)
    return nodes("Div", full, count), full


def _wide(nodes: _Nodes, weights: Mapping[str, np.ndarray], head: str, features: str, bag: str) -> str:
    """Sum the weighted rows of the wide table: float [N, K]."""
    rows = nodes("Gather", nodes.constant(weights[f"wide_tables.{head}.weight"]), features, axis=0)  # [N, T, R]
    summed = nodes("Squeeze", nodes("MatMul", bag, rows), nodes.integers(1))
    if f"wide_outputs.{head}.weight" in weights:
        return _linear(nodes, weights, f"wide_outputs.{head}", summed)
    return summed
